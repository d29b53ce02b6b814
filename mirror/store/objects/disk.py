"""How much of the disk a home takes, by kind. What cannot be counted quickly is estimated, and said to be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from mirror.durable import file_names
from mirror.layout import Home

# So many objects are counted one by one, which takes 0.1 s. Of more, the first folders stand for all: an object's
# folder is the beginning of its SHA-256, so that chance alone decides which are looked at.
MOST_COUNTED = 20_000


class DiskUse(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes on this disk, by kind."""

    lake: int  # tables: the catalog and its Parquet files
    objects: int  # bytes of files, exports and artifacts, equal ones once; of a shared lake: those that are kept here
    partial: int  # downloads under way, or to be resumed
    catalog: int  # of those of the lake: the catalog with its log
    outbox: int  # operations that wait; the bytes that they upload are objects
    objects_estimated: bool  # there are so many objects that only some were counted


def disk_use(home: Home, *, most_counted: int | None = MOST_COUNTED) -> DiskUse:
    """Bytes that a home takes.

    Args:
        home: whose.
        most_counted: about so many objects are counted one by one; None counts all.

    Raises:
        OSError: a folder cannot be read.
    """
    objects, estimated = _objects_size(home, most_counted)
    catalog = sum(_size(os.fspath(home.catalog.with_name(f"{home.catalog.name}{end}"))) for end in ("", "-wal", "-shm"))
    return DiskUse(
        lake=_size_below(home.lake),
        objects=objects + _size_below(home.cache),
        partial=_size_below(home.partial),
        catalog=catalog,
        outbox=_size_below(home.outbox),
        objects_estimated=estimated,
    )


def _objects_size(home: Home, most_counted: int | None) -> tuple[int, bool]:
    """Bytes of all objects, staged ones with them; and whether that is an estimate."""
    staged = _size_below(home.staged)
    folders = sorted(_folders(home.objects))
    total = counted = 0
    for place, folder in enumerate(folders, start=1):
        names = file_names(Path(folder))
        total += sum(map(_size, names))
        counted += len(names)
        if most_counted is not None and counted >= most_counted and place < len(folders):
            return staged + total * len(folders) // place, True
    return staged + total, False


def _folders(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:  # nothing was mirrored yet
        return


def _size_below(folder: Path) -> int:
    return sum(map(_size, file_names(folder)))


def _size(name: str) -> int:
    try:
        return os.stat(name, follow_symlinks=False).st_size  # noqa: PTH116 -- no Path for each of a million names
    except FileNotFoundError:  # a writer replaced or removed it meanwhile
        return 0
