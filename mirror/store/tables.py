"""The lake's tables and their versions. A migration is a list of statements, applied in one commit.

Rules for a migration: never edit one that was released, append a new one; add columns rather than change them; times
are TIMESTAMP in UTC. Names are W&B's own, lower-case. Nothing is partitioned by a name from the server, since DuckLake
would turn it into a folder.
"""

from __future__ import annotations

RUNS = """
CREATE TABLE lake.runs (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    storage_id VARCHAR NOT NULL,
    display_name VARCHAR,
    state VARCHAR,
    tags VARCHAR[],
    "group" VARCHAR,
    job_type VARCHAR,
    sweep VARCHAR,
    notes VARCHAR,
    description VARCHAR,
    "commit" VARCHAR,
    "user" VARCHAR,
    user_name VARCHAR,
    read_only BOOLEAN,
    created_at TIMESTAMP,
    heartbeat_at TIMESTAMP,
    history_line_count BIGINT,
    history_keys JSON,
    config JSON,
    summary JSON,
    system_metrics JSON,
    gone_at TIMESTAMP,
    synced_at TIMESTAMP NOT NULL,
    project_internal_id VARCHAR,
    created_at_text VARCHAR,
    heartbeat_at_text VARCHAR,
    config_wire VARCHAR,
    summary_wire VARCHAR,
    system_metrics_wire VARCHAR,
    fingerprint VARCHAR NOT NULL
)
"""

PROJECTS = """
CREATE TABLE lake.projects (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    storage_id VARCHAR,
    internal_id VARCHAR,
    created_at TIMESTAMP,
    created_at_text VARCHAR,
    synced_at TIMESTAMP NOT NULL
)
"""

SWEEPS = """
CREATE TABLE lake.sweeps (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    sweep_id VARCHAR NOT NULL,
    storage_id VARCHAR NOT NULL,
    display_name VARCHAR,
    state VARCHAR,
    method VARCHAR,
    description VARCHAR,
    config VARCHAR,
    best_loss DOUBLE,
    run_count BIGINT,
    run_count_expected BIGINT,
    created_at TIMESTAMP,
    created_at_text VARCHAR,
    updated_at TIMESTAMP,
    heartbeat_at TIMESTAMP,
    gone_at TIMESTAMP,
    synced_at TIMESTAMP NOT NULL
)
"""

# One row a mirrored project: how far it was pulled and how the last pass went.
SOURCES = """
CREATE TABLE lake.sources (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    watermark TIMESTAMP,
    walk_started_at TIMESTAMP,
    walk_through VARCHAR,
    last_walk_at TIMESTAMP,
    last_pass_at TIMESTAMP,
    last_error VARCHAR,
    last_error_at TIMESTAMP,
    runs_upstream BIGINT,
    surplus BIGINT NOT NULL
)
"""

# What a pass could not take, and why; a success removes the row.
FAILURES = """
CREATE TABLE lake.failures (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    attempts BIGINT NOT NULL,
    first_at TIMESTAMP NOT NULL,
    last_at TIMESTAMP NOT NULL
)
"""

META = "CREATE TABLE lake.meta (key VARCHAR NOT NULL, value VARCHAR NOT NULL)"

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (META, PROJECTS, SWEEPS, RUNS, SOURCES, FAILURES),  # version 1
)
SCHEMA_VERSION = len(MIGRATIONS)

# Small tables that change on every pass live inside the catalog, so that a pass that finds nothing leaves no file.
# DuckLake takes this option only for a table that is committed.
INLINED_TABLES = ("sources", "failures")
INLINED_ROWS = 1000

# What `mirror.connect()` shows under plain names: the exact wire texts and bookkeeping stay in `lake.*`.
VIEWS: dict[str, str] = {
    "projects": "SELECT * FROM lake.projects",
    "sweeps": "SELECT * FROM lake.sweeps",
    "runs": (
        "SELECT * EXCLUDE (created_at_text, heartbeat_at_text, config_wire, summary_wire, system_metrics_wire,"
        " fingerprint, project_internal_id) FROM lake.runs"
    ),
    "sources": "SELECT * EXCLUDE (walk_through, surplus) FROM lake.sources",
    "failures": "SELECT * FROM lake.failures",
}
