"""The writing side of the lake: one process, one lock, one commit at a time.

What a crash leaves at each point is told where the lake stands: `local_storage`, `shared_storage`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from itertools import chain
from types import TracebackType
from typing import Any

import duckdb

from mirror.durable import make_folder
from mirror.errors import LakeTooNew, StoreError
from mirror.layout import Home
from mirror.private import tighten
from mirror.store.engine.answers import Answers
from mirror.store.engine.connection import (
    LAKE,
    new_engine,
    one_commit,
    plan_lightly,
    sql_text,
    store_errors,
    use_threads,
)
from mirror.store.engine.freed_memory import give_back
from mirror.store.engine.literals import inlined
from mirror.store.engine.meta import (
    APP_URL,
    DEPLOYMENT,
    MOVING,
    VERSION,
    has_table,
    is_empty,
    lake_meta,
    other_deployment,
    version_in,
)
from mirror.store.engine.queries import Snapshot
from mirror.store.engine.spill import remove_stale_spills
from mirror.store.engine.storages import storage_of
from mirror.store.engine.writer_lock import WriterLock
from mirror.store.schema.tables import INLINED_ROWS, INLINED_TABLES, MIGRATIONS, SCHEMA_VERSION
from mirror.store_settings import StoreSettings

# DuckLake remembers the statistics of all tables for each snapshot that it saw, and forgets none: 10 to 100 KB each.
COMMITS_OF_AN_ENGINE = 100


class Lake:
    """The lake opened for writing; a context manager that holds `writer.lock`.

    Args:
        home: where it lives; created when missing.
        deployment: canonical id of the W&B server that this home mirrors, recorded at the first opening.
        known_as: every id under which that server may have been recorded.
        app_url: the address of that server's pages, recorded for those who read offline.
        settings: memory and threads of the engine.
        brief: whether it is opened for one change; other processes wait for that.
        is_locked: whether `writer.lock` is held already, by whoever opens it.
        moving: from where another lake is moved into it.

    Raises:
        HomeBusy: another process holds the lock; the message names it.
        HomeUnusable: read-only, full, or on a network file system.
        OtherDeployment: the catalog records another server.
        LakeTooNew: a newer wandb-mirror wrote it.
    """

    def __init__(
        self,
        home: Home,
        *,
        deployment: str,
        known_as: frozenset[str] = frozenset(),
        app_url: str | None = None,
        settings: StoreSettings | None = None,
        brief: bool = False,
        is_locked: bool = False,
        moving: str | None = None,
    ) -> None:
        self.home, self.moving = home, moving
        self._brief, self._is_locked = brief, is_locked
        self._deployment = deployment
        self._known_as = known_as | {deployment}
        self._app_url = app_url
        self._settings = settings or StoreSettings()
        self._closing = contextlib.ExitStack()
        self._turn = threading.RLock()  # the engine takes one thread at a time
        self._commits = 0  # of this engine
        self._is_small: bool | None = None  # as its questions are planned
        self._readers = 0  # that use this engine now, in the thread that has the turn
        self._is_writing = False
        self._is_reading = False  # in a transaction that questions share
        self._answers = Answers()  # of that transaction, and those of earlier ones that are still true

    def __enter__(self) -> Lake:
        """Take the lock, open or create the catalog, bring the schema to this version."""
        with contextlib.ExitStack() as opening:
            opening.enter_context(store_errors(self.home))
            make_folder(self.home.root)
            if not self._is_locked:
                self._closing.enter_context(WriterLock(self.home, brief=self._brief))
            opening.callback(self._closing.close)
            self.storage = storage_of(self.home)  # as it is now: a lake that was moved is written no more
            tighten(self.home)
            remove_stale_spills(self.home)
            self.storage.open_to_write(self._closing)
            self._engine = new_engine(self._settings, self.home, with_one_thread=True)
            self._closing.callback(lambda: self._engine.close())
            self._closing.callback(self._end_reading)
            self._attach()
            self.storage.attached()
            self._is_small = None
            self._plan_for_size()
            self._bring_up()
            opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the engine and give the lock back."""
        self._closing.close()

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """As `Queryable.rows`; other threads wait. A small answer is asked for once, until a commit may change it."""
        text = inlined(query, parameters)
        with self._turn:
            if self._is_writing or (known := self._answers.get(text)) is None:
                with self.snapshot() as snapshot:
                    known = snapshot.rows(text)
                if self._is_reading:
                    self._answers.put(text, known)
            return [*known]

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """One commit, for several questions; other threads wait.

        Questions share a transaction up to the next commit, for outside of one DuckLake reads its catalog anew for each
        statement. Nobody else commits, so it never is behind.
        """
        with self._turn, store_errors(self.home):
            is_first = not self._readers and not self._is_writing
            if is_first and not self._is_reading:
                self._engine.execute("BEGIN")
                self._is_reading = True
            self._readers += 1
            try:
                yield Snapshot(self._engine)
            except BaseException:
                if is_first:  # after an error DuckDB takes no more questions in it
                    self._end_reading()
                raise
            finally:
                self._readers -= 1

    def rest(self) -> None:
        """End the transaction that questions share, unless somebody is at it: a database need not keep it open."""
        if self._turn.acquire(blocking=False):
            try:
                if not self._readers and not self._is_writing:
                    self._end_reading()
            finally:
                self._turn.release()

    def _end_reading(self, *, forgets: bool = True) -> None:
        if forgets:
            self._answers.clear()
        if self._is_reading:
            self._is_reading = False
            with contextlib.suppress(duckdb.Error):
                self._engine.execute("ROLLBACK")

    @contextlib.contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The engine itself, for looking at the last commit; other threads wait."""
        with self._turn, store_errors(self.home):
            self._end_reading()
            self._readers += 1
            try:
                yield self._engine
            finally:
                self._readers -= 1

    @contextlib.contextmanager
    def transaction(self, *, only: str | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """All statements inside become visible together and durably, or not at all.

        Args:
            only: the table that is written, if it is but one: what was answered about others stays true.

        Raises:
            StoreError: nothing of the transaction is visible.
        """
        with contextlib.ExitStack() as begun:
            begun.enter_context(self._turn)
            begun.enter_context(store_errors(self.home))
            self._end_reading(forgets=only is None)
            if self._commits >= COMMITS_OF_AN_ENGINE and not self._readers:
                self._renew_engine()
            begun.enter_context(self.storage.committing())
            self._engine.execute("BEGIN")
            self._is_writing = True
            try:
                yield self._engine
                self.storage.flush()
                self._engine.execute("COMMIT")
                self._commits += 1
            except BaseException:
                self._answers.clear()
                with contextlib.suppress(duckdb.Error):
                    self._engine.execute("ROLLBACK")
                raise
            finally:
                self._is_writing = False
            if only is not None:
                self._answers.forget(only)
            self.storage.committed()
            self._plan_for_size()

    def _plan_for_size(self) -> None:
        """Plan as the lake's size asks for, which changes when it has grown or was tidied."""
        is_small = self.storage.is_small
        if is_small != self._is_small:
            self._suit(self._engine, is_small=is_small)
            self._is_small = is_small

    def _suit(self, engine: duckdb.DuckDBPyConnection, *, is_small: bool) -> None:
        plan_lightly(engine, is_small=is_small)
        use_threads(engine, self._settings, is_small=is_small)

    def _renew_engine(self) -> None:
        """Take another engine in place of one that has grown; when there is none to be had, this one does a while."""
        self._commits = 0
        with contextlib.suppress(StoreError, duckdb.Error, OSError):
            engine = new_engine(self._settings, self.home, with_one_thread=True)
            try:
                self.storage.attach_to_write(engine)
                self._suit(engine, is_small=bool(self._is_small))
            except BaseException:
                engine.close()
                raise
            self._engine, grown = engine, self._engine
            grown.close()
            give_back()

    def _bring_up(self) -> None:
        """Bring schema, options and what the lake says of itself up to date: one look, and one commit if need be."""
        with self.reading() as engine, one_commit(engine):  # outside DuckLake reads its catalog anew for each statement
            meta = lake_meta(Snapshot(engine))
            options = engine.execute(
                "SELECT scope_entry FROM ducklake_options('lake') WHERE scope = 'TABLE'"
            ).fetchall()
        version = version_in(meta)
        if version > SCHEMA_VERSION:
            raise LakeTooNew(
                f"the lake in {self.home.root} has schema version {version}; this wandb-mirror knows {SCHEMA_VERSION}"
            )
        if (moving := (meta or {}).get(MOVING)) not in (None, self.moving):
            raise StoreError(
                f"the lake of {moving} is being moved here, and is not whole yet",
                hint="run the same `wandb-mirror migrate` there again; it goes on where it was",
            )
        held = (meta or {}).get(DEPLOYMENT)
        is_others = held is not None and held not in self._known_as
        says = {VERSION: str(SCHEMA_VERSION), DEPLOYMENT: self._deployment, APP_URL: self._app_url}
        if held is not None and not is_others:
            says[DEPLOYMENT] = held
        news = {key: value for key, value in says.items() if value is not None and value != (meta or {}).get(key)}
        options_due = [table for table in INLINED_TABLES if (f"main.{table}",) not in options]
        self._make_table_folders()
        if news:
            with self._new_tables() if not version else contextlib.nullcontext(), self.transaction() as engine:
                for table, statement in chain.from_iterable(MIGRATIONS[version:]):
                    if version or table in INLINED_TABLES:
                        engine.execute(statement)
                self._make_table_folders()
                if held is not None and is_others:
                    if not is_empty(Snapshot(engine)):
                        raise other_deployment(self.home, held=held, asked=self._deployment)
                    engine.execute("DELETE FROM lake.sources")  # of a server that never answered: a mistyped address
                engine.execute(inlined("DELETE FROM lake.meta WHERE key IN (SELECT unnest(?::VARCHAR[]))", [[*news]]))
                rows = ", ".join(["(?, ?)"] * len(news))
                engine.execute(inlined(f"INSERT INTO lake.meta VALUES {rows}", [*chain.from_iterable(news.items())]))
        if options_due:  # DuckLake sets none for tables of the same transaction
            with self.transaction() as engine:
                for table in options_due:
                    name = sql_text(table)
                    engine.execute(
                        f"CALL lake.set_option('data_inlining_row_limit', {INLINED_ROWS}, table_name => {name})"
                    )

    @contextlib.contextmanager
    def _new_tables(self) -> Iterator[None]:
        """Make the tables of a new lake whose rows lie in files; inside, a table gets its place in the catalog at once.

        Such a place that DuckLake makes later has a schema version of its own, and it reads the schema again for each
        of these, 15 ms, at every opening. `meta` has such a place: a lake that was left in between counts as empty.
        """
        left_behind = has_table(self, "runs")
        with self.transaction() as engine:
            for table, statement in chain.from_iterable(MIGRATIONS):
                if table not in INLINED_TABLES:
                    if left_behind and statement.startswith("CREATE"):  # by another version, as it may be
                        engine.execute(f"DROP TABLE IF EXISTS lake.{table}")
                    engine.execute(statement)
        self._attach(inlined_rows=INLINED_ROWS)
        yield
        self._attach()

    def _attach(self, *, inlined_rows: int = 0) -> None:
        self._end_reading()
        self._engine.execute(f"DETACH DATABASE IF EXISTS {LAKE}")
        self.storage.attach_to_write(self._engine, inlined_rows=inlined_rows)

    def _make_table_folders(self) -> None:
        """Make what DuckLake does not make below a path with a backslash, which it takes for one of Windows."""
        if "\\" not in str(self.home.lake_data):
            return
        query = f"SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = {sql_text(LAKE)}"
        for schema, table in self._engine.execute(query).fetchall():
            make_folder(self.home.lake_data / str(schema) / str(table))
