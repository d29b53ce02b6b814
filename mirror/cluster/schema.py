"""What a shared lake has in PostgreSQL beside DuckLake's own tables: the lease, and a fence before every change.

DuckLake writes its catalog through many connections, and its commits are transactions that nobody else can join. So
it is PostgreSQL that asks: a trigger on each of DuckLake's tables refuses a connection whose token is not that of the
lease. It holds the key of the lease's row while the change is under way, so that no lease passes on in the middle of a
commit; the holder's beats change no key, and wait for nothing.
The token comes with the connection (`options`), for DuckDB resets everything else when it takes one from its pool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

LAKE_SCHEMA = "main"  # of DuckLake's own tables: the name that the catalog in SQLite has
TOKEN = "wandb_mirror.token"  # noqa: S105 -- the setting of a connection
OBJECTS_LOCK = "hashtext('wandb_mirror.objects')"  # held by who collects objects, shared by who brings some

# Taken inside a transaction: no lease passes on until its end. No row: it has passed on already.
HOLD = "SELECT 1 FROM wandb_mirror.lease WHERE token::text = current_setting('wandb_mirror.token', true) FOR KEY SHARE"

_TABLES = """
CREATE SCHEMA IF NOT EXISTS wandb_mirror;
CREATE TABLE IF NOT EXISTS wandb_mirror.lease (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    token bigint NOT NULL UNIQUE,
    beat bigint NOT NULL,
    holder text
);
INSERT INTO wandb_mirror.lease (token, beat) VALUES (0, 0) ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS wandb_mirror.lake (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id text NOT NULL
);
INSERT INTO wandb_mirror.lake (id) VALUES (gen_random_uuid()::text) ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS wandb_mirror.outbox (
    id text PRIMARY KEY,
    author text,
    state text NOT NULL,
    entity text NOT NULL,
    project text NOT NULL,
    run_id text NOT NULL,
    content bytea,
    number bigint NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS outbox_number ON wandb_mirror.outbox (number);
CREATE TABLE IF NOT EXISTS wandb_mirror.changes (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    number bigint NOT NULL
);
INSERT INTO wandb_mirror.changes (number) VALUES (0) ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS wandb_mirror.wishes (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL,
    wish text NOT NULL,
    author text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);
CREATE OR REPLACE FUNCTION wandb_mirror.fence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM HELD;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'wandb-mirror: another process has the lease' USING ERRCODE = 'WM001';
    END IF;
    RETURN NULL;
END $$;
""".replace("HELD", HOLD.removeprefix("SELECT "))

_FENCES = """
DO $$
DECLARE name text;
BEGIN
    FOR name IN
        SELECT table_name FROM information_schema.tables t
        WHERE table_schema = 'main' AND table_name LIKE 'ducklake%' AND NOT EXISTS (
            SELECT 1 FROM pg_trigger
            WHERE tgname = 'wandb_mirror_fence' AND tgrelid = format('main.%I', t.table_name)::regclass)
    LOOP
        EXECUTE format('CREATE TRIGGER wandb_mirror_fence BEFORE INSERT OR UPDATE OR DELETE ON main.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION wandb_mirror.fence()', name);
    END LOOP;
END $$;
"""


def make_tables(connection: psycopg.Connection[Any]) -> None:
    """Make what is not there; whoever is to hold the lease may call it, beside others."""
    if connection.execute("SELECT to_regclass('wandb_mirror.lake')").fetchone() == (None,):
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('wandb_mirror.make'))")
            connection.execute(_TABLES)


def fence(connection: psycopg.Connection[Any]) -> None:
    """Put the fence before the tables that DuckLake made since; the holder of the lease calls it."""
    with connection.transaction():
        connection.execute(_FENCES)
