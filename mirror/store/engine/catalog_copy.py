"""A private copy of the catalog, of one moment: whoever reads it touches nothing of the home, holds up no writer, and
keeps no old state from being cleared away.

Opening a catalog in WAL mode creates files beside it, even for reading. So the database file and its log are copied as
bytes, and the copy counts when neither changed meanwhile. Beside a writer that commits without a pause SQLite itself
makes the copy; the files that it needs for that are there already.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mirror.durable import file_names
from mirror.errors import StoreError
from mirror.layout import Home
from mirror.store.engine.catalog_seal import Seal, log_of, read_seal

_TRIES = 20
_SETTLED_NS = 20_000_000  # file systems keep times in steps; a file that just changed may change again unseen


class CatalogCopy(NamedTuple):
    """A copy, with its log beside it where it has one."""

    path: Path
    seal: Seal | None  # that was on the catalog all the time while it was copied


@contextlib.contextmanager
def catalog_copy(home: Home) -> Iterator[CatalogCopy]:
    """A copy of the catalog, removed afterwards.

    Raises:
        StoreError: there is no catalog, or SQLite cannot copy it.
        OSError: it cannot be read, or the temporary folder is full.
    """
    with tempfile.TemporaryDirectory(prefix="wandb-mirror-catalog-") as folder:
        target = Path(folder) / home.catalog.name
        seal = read_seal(home)
        for _ in range(_TRIES):
            if _copied(home.catalog, target):
                break
            time.sleep(0.05)
            seal = read_seal(home)
        else:
            _copy_with_sqlite(home.catalog, target)
            seal = None  # the same pages, but another file
        yield CatalogCopy(target, seal if seal == read_seal(home) else None)


def is_blank(catalog: Path) -> bool:
    """Whether a copy is a database without any table: the first pull was stopped before it made the lake."""
    try:
        with contextlib.closing(sqlite3.connect(f"{catalog.as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None
    except sqlite3.Error:
        return False


def _copied(catalog: Path, target: Path) -> bool:
    """Copy the bytes; False when somebody wrote meanwhile."""
    log, log_target = log_of(catalog), log_of(target)
    before = _state(catalog), _state(log)
    if before[0] is None:
        raise StoreError(f"the catalog {catalog} is missing", hint="restore lake/ from a backup")
    if any(state is not None and 0 <= time.time_ns() - state[1] < _SETTLED_NS for state in before):
        return False
    log_target.unlink(missing_ok=True)
    shutil.copyfile(catalog, target)
    if before[1] is not None:
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(log, log_target)
    return before == (_state(catalog), _state(log))


def _copy_with_sqlite(catalog: Path, target: Path) -> None:
    log_of(target).unlink(missing_ok=True)
    target.unlink(missing_ok=True)
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{catalog.as_uri()}?mode=ro", uri=True, timeout=30)) as source,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)
    except sqlite3.Error as error:
        raise StoreError(f"the catalog {catalog} cannot be read: {error}") from error


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 -- one look at three facts
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def refuse_lost_catalog(home: Home) -> None:
    """Refuse to begin a new lake over the data of one whose catalog is lost: its runs would be out of sight."""
    lost = not home.catalog.exists() or home.catalog.stat().st_size == 0
    if lost and file_names(home.lake_data):
        raise StoreError(
            f"{home.lake_data} holds data, but the catalog {home.catalog} is missing or empty",
            hint="restore the catalog from a backup, or move the folder lake away to mirror anew",
        )
