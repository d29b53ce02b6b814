"""A lake that stands in its home: the catalog in SQLite, the Parquet files beside it.

writer.lock taken                           crash: the system frees it
rows written as Parquet files               crash: files no snapshot names; maintenance removes them
those files and their folders synced, their digests recorded
                                            crash: the same
COMMIT in the catalog (SQLite, WAL)         crash before: the old snapshot; after: the new one, whole
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sqlite3
import weakref
from collections.abc import Iterable
from pathlib import Path

import duckdb

from mirror.durable import file_names, make_folder, sync_new_files
from mirror.errors import NotMirrored, StoreError
from mirror.layout import Home
from mirror.store.engine.catalog_copy import catalog_copy, is_blank, refuse_lost_catalog
from mirror.store.engine.catalog_seal import break_seal, log_of, seal, unsealed
from mirror.store.engine.connection import (
    CATALOG_DATABASE,
    LAKE,
    Engine,
    attach_lake,
    is_small_lake,
    nothing_yet,
    sql_text,
)
from mirror.store.engine.filesystem import check_can_hold_lake
from mirror.store.engine.lake_digests import complete_digests, record_digests
from mirror.store.engine.storage import DataFile


class LocalStorage:
    """The lake in a home.

    Args:
        home: whose.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._durable: set[str] | None = None  # data files known to be on the disk, by whoever writes

    @property
    def is_small(self) -> bool:
        """As `Storage.is_small`."""
        return is_small_lake(file_names(self._home.lake_data) if self._durable is None else self._durable)

    @property
    def is_fresh(self) -> bool:
        """Always."""
        return True

    @property
    def stamp(self) -> object:
        """As `Storage.stamp`."""
        seen = []
        for path in (self._home.catalog, log_of(self._home.catalog)):
            with contextlib.suppress(FileNotFoundError):
                found = path.stat()
                seen.append((found.st_ino, found.st_mtime_ns, found.st_size))
        return seen

    def attach_to_read(self, engine: Engine, name: str = LAKE) -> None:
        """Attach in place; where that cannot be, attach a private copy of the small catalog.

        SQLite needs to create a shared-memory file beside a catalog in WAL mode, even to read it: that fails in a
        folder that cannot be written, and on a full disk.
        """
        home = self._home
        if not home.catalog.exists():
            raise nothing_yet(home)
        refuse_lost_catalog(home)
        try:
            attach_lake(engine, home.catalog, home.lake_data, read_only=True, name=name)
        except duckdb.Error as error:
            with contextlib.ExitStack() as opening:
                try:
                    copy = opening.enter_context(catalog_copy(home)).path
                    if is_blank(copy):
                        raise nothing_yet(home) from None
                    attach_lake(engine, copy, home.lake_data, read_only=True, name=name)
                except NotMirrored:
                    raise
                except (OSError, StoreError, duckdb.Error):
                    raise error from None
                weakref.finalize(engine, opening.pop_all().close)

    def open_to_write(self, closing: contextlib.ExitStack) -> None:
        """As `Storage.open_to_write`."""
        check_can_hold_lake(self._home.root)
        make_folder(self._home.lake_data)
        refuse_lost_catalog(self._home)
        break_seal(self._home)
        closing.callback(seal, self._home)

    def attach_to_write(self, engine: Engine, *, inlined_rows: int = 0) -> None:
        """As `Storage.attach_to_write`."""
        if not _uses_wal(engine, self._home):
            _use_wal(self._home)
        attach_lake(engine, self._home.catalog, self._home.lake_data, read_only=False, inlined_rows=inlined_rows)

    def attached(self) -> None:
        """As `Storage.attached`."""
        self._durable = file_names(self._home.lake_data)
        complete_digests(self._home, self._durable)
        seal(self._home)

    def committing(self) -> contextlib.AbstractContextManager[None]:
        """As `Storage.committing`."""
        return unsealed(self._home)

    def flush(self) -> None:
        """As `Storage.flush`."""
        record_digests(self._home, sync_new_files(self._home.lake_data, self._durable or set()))

    def committed(self) -> None:
        """As `Storage.committed`."""
        self._durable = file_names(self._home.lake_data)

    def may_write(self) -> None:
        """Always: the lock of the home is held until its process ends."""

    @property
    def option(self) -> str:
        """None is needed."""
        return ""

    @property
    def metrics_folder(self) -> Path:
        """Where they stay."""
        return self._home.metric_data

    def place_metrics(self, file: Path) -> str:
        """It was written where it belongs."""
        return str(file)

    def remove_metrics(self, name: str) -> None:
        """As `Storage.remove_metrics`."""
        (self._home.metric_data / name).unlink(missing_ok=True)

    def listed(self) -> dict[str, DataFile]:
        """As `Storage.listed`."""
        found: dict[str, DataFile] = {}
        for path in file_names(self._home.lake_data):
            with contextlib.suppress(FileNotFoundError):
                at = os.stat(path, follow_symlinks=False)  # noqa: PTH116 -- one look at both facts
                name = os.path.relpath(path, self._home.lake_data).replace(os.sep, "/")
                found[name] = DataFile(at.st_size, dt.datetime.fromtimestamp(at.st_mtime, dt.UTC))
        return found

    def address(self, name: str) -> str:
        """As `Storage.address`."""
        return os.fspath(self._home.lake_data / name)

    def remove(self, names: Iterable[str]) -> None:
        """As `Storage.remove`."""
        for name in names:
            (self._home.lake_data / name).unlink(missing_ok=True)

    def waits_for_readers(self, engine: Engine) -> bool:
        """Whether any reader on this machine does not see the last commit. Waits some seconds for those.

        SQLite's log says so: a reader's transaction holds a lock on the place up to which it reads, and the log goes
        back into the catalog only as far as the reader furthest behind. It is asked through the engine: two SQLite
        libraries in one process would take each other's locks away. Not seen are readers of a copy of the catalog.
        """
        row = engine.execute(
            f"FROM sqlite_query({sql_text(CATALOG_DATABASE)}, 'PRAGMA wal_checkpoint(FULL)')"
        ).fetchone()
        return row is None or int(row[0]) != 0


def _uses_wal(engine: Engine, home: Home) -> bool:
    """Whether the catalog is in WAL mode, as DuckDB's SQLite sees it.

    Python's own would take the locks away that readers in this process hold, when it closes the file.
    """
    if not home.catalog.exists():
        return False
    try:
        engine.execute(f"ATTACH {sql_text(str(home.catalog))} AS looked_at (TYPE sqlite)")
        try:
            return engine.execute("FROM sqlite_query('looked_at', 'PRAGMA journal_mode')").fetchone() == ("wal",)
        finally:
            engine.execute("DETACH looked_at")
    except duckdb.Error:  # what is wrong with it is said by the attempt to change it
        return False


def _use_wal(home: Home) -> None:
    """Put the catalog into WAL mode, in which readers and the writer do not block each other."""
    try:
        connection = sqlite3.connect(home.catalog, timeout=30)
        try:
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise OSError(f"catalog {sql_text(str(home.catalog))}: {error}") from error
    if mode != "wal":
        raise StoreError(
            f"the file system of {home.root} cannot hold a shared catalog (journal mode {mode})",
            hint="put the home on a local disk; `wandb-mirror doctor` checks a folder",
        )
