"""Files of the lake that nothing needs: those that no snapshot names any more, and those that none ever named.

The first DuckLake knows and removes itself; a crash on the way leaves files that are asked for again next time, or
that nobody names. The second are what a killed commit left behind; DuckLake's own search for them compares paths as
texts, so that it would take every file of a home that was moved, and is not used.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from mirror.layout import Home
from mirror.store.care.catalog import instant, named_files, scheduled_files
from mirror.store.engine.connection import LAKE, Engine
from mirror.store.engine.lake import Lake
from mirror.store.engine.storage import DataFile, Storage


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """Files that were removed, or would be."""

    files: int = 0
    bytes: int = 0


class LakeFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Files of the lake that may go, by path below the data folder."""

    unnamed: list[str]  # no snapshot names them any more
    orphans: list[str]  # the catalog never heard of them
    listed: dict[str, DataFile]  # all that are there

    def size(self, names: Iterable[str]) -> Removed:
        """How many of some files are there, and their bytes."""
        sizes = [self.listed[name].size for name in names if name in self.listed]
        return Removed(files=len(sizes), bytes=sum(sizes))


def unneeded_files(engine: Engine, home: Home, storage: Storage, before: dt.datetime) -> LakeFiles:
    """What nothing has needed since a moment or earlier; changes nothing.

    Raises:
        StoreError: the catalog and the folder do not agree, so that nothing can be said.
    """
    named, listed = named_files(engine, home, storage)
    orphans = [name for name in sorted(listed) if name not in named and listed[name].written_at < before]
    return LakeFiles(unnamed=scheduled_files(engine, before), orphans=orphans, listed=listed)


def remove_unneeded(lake: Lake, before: dt.datetime) -> tuple[Removed, Removed]:
    """Remove them.

    Returns:
        What no snapshot named any more, and what none ever named.

    Raises:
        StoreError: the catalog and the folder do not agree, or the disk failed; nothing that is needed is gone.
    """
    with lake.transaction() as engine:
        found = unneeded_files(engine, lake.home, lake.storage, before)
        lake.storage.remove(found.orphans)
        if found.unnamed:
            engine.execute(f"CALL ducklake_cleanup_old_files('{LAKE}', older_than => {instant(before)})")
    return found.size(found.unnamed), found.size(found.orphans)


def measured(files: list[Path]) -> Removed:
    """How many of these files are there, and their bytes."""
    sizes = []
    for path in files:
        with contextlib.suppress(FileNotFoundError):  # an earlier maintenance was killed after it removed it
            sizes.append(path.stat().st_size)
    return Removed(files=len(sizes), bytes=sum(sizes))


def is_older(path: str | os.PathLike[str], moment: dt.datetime) -> bool:
    """Whether a file was last written before a moment; False for one that is gone."""
    try:
        return os.stat(path, follow_symlinks=False).st_mtime < moment.timestamp()  # noqa: PTH116 -- see `disk`
    except FileNotFoundError:
        return False
