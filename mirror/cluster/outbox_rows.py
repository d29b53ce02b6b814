"""The outbox of a group: a row for each operation that somebody's home handed over and that is not delivered yet.

Every change raises one counter and holds it until it is committed. So changes are seen in the order in which they are
numbered, and whoever remembers the last number that it saw has missed none. What left the outbox stays as a row
without content for `GONE_DAYS`, so that homes that had it let it go, too.

Only the holder of the lease delivers, and so changes rows (`update`, `leave`); everybody may add some, and say what a
person decided about one (`wish`).
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mirror.cluster.postgres import connect, postgres_errors
from mirror.cluster.schema import HOLD, OBJECTS_LOCK, make_tables
from mirror.errors import LeaseLost
from mirror.records.operations import Entry, EntryState, encode_entry
from mirror.store_settings import StoreSettings

if TYPE_CHECKING:
    import psycopg

GONE_DAYS = 30
PAGE = 1000  # rows that are read at once
STILL_S = 20.0  # for so long a transaction may say nothing while others wait for its number
PATIENCE_S = 10.0  # for those who hand work over; one of them may stand still
Wish = Literal["retry", "ours", "theirs", "drop"]
_NAMES_OBJECT = b'"object"'
_DIGEST = re.compile(rb"\b[0-9a-f]{64}\b")


class Row(NamedTuple):
    """An operation as the group knows it."""

    id: str
    state: EntryState | Literal["gone"]
    content: bytes | None  # of its file; None where it is gone
    number: int  # of its last change


class Wished(NamedTuple):
    """What somebody decided about an operation."""

    number: int
    id: str
    wish: Wish
    author: str


class OutboxRows:
    """The outbox of a group; any thread may use it, one at a time.

    Args:
        place: where the lake stands.

    Raises:
        LakeAway, StoreError: all methods, where PostgreSQL does not answer or refuses; nothing was changed then.
    """

    def __init__(self, place: StoreSettings) -> None:
        self._place = place
        self.option = ""  # with which a connection is that of the holder of the lease; set by who delivers
        self._turn = threading.RLock()
        self._connection: psycopg.Connection[Any] | None = None

    @property
    def catalog(self) -> str:
        """Of which lake."""
        return self._place.catalog

    def states(self, ids: Collection[str]) -> dict[str, str]:
        """The states of those that the group knows, or knew."""
        with self._connected() as database:
            rows = database.execute("SELECT id, state FROM wandb_mirror.outbox WHERE id = ANY(%s)", [list(ids)])
            return dict(rows.fetchall())

    def contents(self, ids: Collection[str]) -> dict[str, bytes]:
        """What those hold that the group knows, and is not done with."""
        with self._connected() as database:
            rows = database.execute(
                "SELECT id, content FROM wandb_mirror.outbox WHERE id = ANY(%s) AND content IS NOT NULL", [list(ids)]
            ).fetchall()
        return {name: bytes(content) for name, content in rows}

    @contextlib.contextmanager
    def handing_over(self) -> Iterator[HandOver]:
        """Add operations, whose bytes are put into the bucket inside: nobody collects those meanwhile."""
        with self._connected() as database, database.transaction():
            database.execute(f"SELECT pg_advisory_xact_lock_shared({OBJECTS_LOCK})")
            yield HandOver(database)

    def update(self, entry: Entry, state: EntryState) -> None:
        """Tell how an operation is now. One that is gone stays gone.

        Raises:
            LeaseLost: another process delivers it now; nothing is told.
        """
        with self._connected() as database, database.transaction():
            self._hold(database)
            database.execute(
                "UPDATE wandb_mirror.outbox SET state = %s, content = %s, number = %s"
                " WHERE id = %s AND state <> 'gone'",
                [state, encode_entry(entry), _next(database), entry.id],
            )

    def leave(self, ids: Collection[str]) -> None:
        """Tell that operations are done with.

        Raises:
            LeaseLost: another process delivers them now; nothing is told.
        """
        with self._connected() as database, database.transaction():
            self._hold(database)
            number = _next(database)
            database.execute(
                "UPDATE wandb_mirror.outbox SET state = 'gone', content = NULL, number = %s, changed_at = now()"
                " WHERE id = ANY(%s)",
                [number, list(ids)],
            )
            database.execute(
                "DELETE FROM wandb_mirror.outbox"
                " WHERE state = 'gone' AND changed_at < now() - make_interval(days => %s)",
                [GONE_DAYS],
            )

    def last_number(self) -> int:
        """The number of the last change."""
        with self._connected() as database:
            ((found,),) = database.execute("SELECT number FROM wandb_mirror.changes").fetchall()
        return int(found)

    def incarnation(self) -> str:
        """Another one once the database was restored, or set back: its numbers may have been others' before."""
        from psycopg import errors

        with self._connected() as database:
            query = "SELECT oid FROM pg_database WHERE datname = current_database()"
            found = database.execute(query).fetchall()
            with contextlib.suppress(errors.InsufficientPrivilege, errors.FeatureNotSupported):  # of some who host it
                query = "SELECT system_identifier, timeline_id FROM pg_control_system(), pg_control_checkpoint()"
                found += database.execute(query).fetchall()
        return " ".join(str(part) for row in found for part in row)

    def since(self, number: int, most: int) -> list[Row]:
        """The next changes after a number, oldest first."""
        with self._connected() as database:
            rows = database.execute(
                "SELECT id, state, content, number FROM wandb_mirror.outbox WHERE number > %s ORDER BY number"
                " FETCH FIRST %s ROWS WITH TIES",  # one change may have several
                [number, most],
            ).fetchall()
        return [Row(name, state, None if content is None else bytes(content), at) for name, state, content, at in rows]

    def needed_objects(self) -> Iterator[str]:
        """Digests of all objects that operations need, and maybe some more; those of newer versions, too."""
        last = ""
        while True:
            with self._connected() as database:
                rows = database.execute(
                    "SELECT id, content FROM wandb_mirror.outbox"
                    " WHERE id > %s AND state <> 'gone' AND position(%s::bytea IN content) > 0 ORDER BY id LIMIT %s",
                    [last, _NAMES_OBJECT, PAGE],
                ).fetchall()
            for _, content in rows:
                yield from (digest.decode() for digest in _DIGEST.findall(bytes(content)))
            if len(rows) < PAGE:
                return
            last = rows[-1][0]

    def wish(self, entry_id: str, wish: Wish, author: str) -> None:
        """Say what a person decided."""
        with self._connected() as database:
            database.execute(
                "INSERT INTO wandb_mirror.wishes (id, wish, author) VALUES (%s, %s, %s)", [entry_id, wish, author]
            )

    def wishes(self) -> list[Wished]:
        """What was decided and not done yet, oldest first."""
        with self._connected() as database:
            rows = database.execute(
                "SELECT number, id, wish, author FROM wandb_mirror.wishes ORDER BY number"
            ).fetchall()
        return [Wished(*row) for row in rows]

    def fulfilled(self, numbers: Sequence[int]) -> None:
        """They are done; so are those about operations that never came."""
        with self._connected() as database:
            database.execute(
                "DELETE FROM wandb_mirror.wishes WHERE number = ANY(%s) OR made_at < now() - make_interval(days => %s)",
                [list(numbers), GONE_DAYS],
            )

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """Inside, questions share a connection; outside, each has one of its own."""
        with self._turn, self._connected():
            yield

    def _hold(self, database: psycopg.Connection[Any]) -> None:
        if self.option and database.execute(HOLD).fetchone() is None:
            raise LeaseLost("this process has lost the lease of the shared lake")

    @contextlib.contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        with self._turn, postgres_errors(self._place):
            if self._connection is not None:
                yield self._connection
                return
            with contextlib.closing(connect(self._place, self.option)) as connection:
                self._connection = connection
                try:
                    make_tables(connection)
                    yield connection
                finally:
                    self._connection = None


class HandOver:
    """Adds operations, inside one transaction.

    Args:
        database: in it.
    """

    def __init__(self, database: psycopg.Connection[Any]) -> None:
        self._database = database

    def add(self, entries: Collection[tuple[EntryState, Entry]]) -> set[str]:
        """Add those that the group does not know; the ids of the others."""
        if not entries:
            return set()
        number = _next(self._database)
        ids = [entry.id for _, entry in entries]
        found = self._database.execute("SELECT id FROM wandb_mirror.outbox WHERE id = ANY(%s)", [ids]).fetchall()
        known = {name for (name,) in found}
        rows = [
            (entry.id, entry.author, state, *entry.run_path, encode_entry(entry))
            for state, entry in entries
            if entry.id not in known
        ]
        if not rows:
            return known
        # Many statements at once (`executemany`) would leave PostgreSQL without the timer that `_next` sets.
        self._database.execute(
            "INSERT INTO wandb_mirror.outbox (id, author, state, entity, project, run_id, content, number)"
            " SELECT *, %s FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],"
            " %s::bytea[]) ON CONFLICT (id) DO NOTHING",
            [number, *map(list, zip(*rows, strict=True))],
        )
        return known


def keep_from_handing_over(database: psycopg.Connection[Any]) -> bool:
    """Keep everybody from `handing_over` until the transaction ends; False where somebody is at it for too long."""
    until = time.monotonic() + PATIENCE_S
    while database.execute(f"SELECT pg_try_advisory_xact_lock({OBJECTS_LOCK})").fetchone() != (True,):
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def _next(database: psycopg.Connection[Any]) -> int:
    """The next number of a change; others wait for it until this one is committed, or its process stands still."""
    found = database.execute(
        "UPDATE wandb_mirror.changes SET number = number + 1"
        " RETURNING number, set_config('idle_in_transaction_session_timeout', %s, true)",
        [f"{STILL_S * 1000:.0f}"],
    ).fetchone()
    assert found is not None
    return int(found[0])
