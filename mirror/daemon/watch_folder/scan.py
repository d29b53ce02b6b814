"""Looking into a watch folder, which anybody may write to: links are never followed, and only regular files count."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO

import msgspec

from mirror.daemon.watch_folder.rules import FileStamp, Rules

MOST_FILES = 100_000  # of one folder: some 50 MB of memory
MOST_FOLDERS = 500  # that notifications are asked for; the others are found by the rescan


class Scan(msgspec.Struct, kw_only=True):
    """What a folder holds."""

    identity: tuple[int, int]  # of the folder: another one may come in its place
    files: dict[str, FileStamp]  # by slash path below the folder
    folders: list[str]  # full paths, the folder itself first; at most MOST_FOLDERS
    left_out: dict[str, str]  # paths that were not looked into, with the reason


def scan(root: str, rules: Rules, *, most: int = MOST_FILES) -> Scan:
    """Look at everything below a folder.

    Args:
        root: the folder.
        rules: what is skipped.
        most: so many files are looked at.

    Raises:
        OSError: the folder is not there or cannot be read.
    """
    found = os.stat(root)  # noqa: PTH116 -- texts throughout: a Path for each of 100,000 names costs seconds
    seen = Scan(identity=(found.st_dev, found.st_ino), files={}, folders=[], left_out={})
    pending = [""]
    while pending:
        below = pending.pop()
        place = f"{root}/{below}".rstrip("/")
        try:
            with os.scandir(place) as entries:
                ordered = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if not below:
                raise
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                seen.left_out[below] = f"it cannot be read: {error.strerror}"
            continue
        if len(seen.folders) < MOST_FOLDERS:
            seen.folders.append(place)
        inside = [folder for entry in ordered if (folder := _look(entry, below, rules, seen)) is not None]
        if len(seen.files) > most:
            _cut(seen, most)
            break
        pending += reversed(inside)
    return seen


def _look(entry: os.DirEntry[str], below: str, rules: Rules, seen: Scan) -> str | None:
    """Note a file; the path of a folder that is to be looked into."""
    path = below + entry.name
    try:
        if entry.is_dir(follow_symlinks=False):
            return None if rules.skips(path, is_folder=True) else f"{path}/"
        if entry.is_file(follow_symlinks=False) and not rules.skips(path, is_folder=False):
            seen.files[path] = seen_of(entry.stat(follow_symlinks=False))
    except FileNotFoundError:  # it vanished meanwhile
        return None
    except OSError as error:
        seen.left_out[path] = f"it cannot be read: {error.strerror}"
    return None


def _cut(seen: Scan, most: int) -> None:
    for path in list(seen.files)[most:]:
        del seen.files[path]
    seen.left_out["…"] = f"there are more than {most:,} files: the rest of the folder is left out"


def open_below(root: str, path: str) -> BinaryIO:
    """Open a regular file without following a link on the way, and without waiting for a pipe's other end.

    Args:
        root: the watched folder.
        path: slash path below it.

    Raises:
        OSError: it is not there (any more), is no regular file, or cannot be read.
    """
    *folders, name = path.split("/")
    place = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
            os.close(place)
            place = inner
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place)
    finally:
        os.close(place)
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "no regular file any more", path)
    return file


def seen_of(found: os.stat_result) -> FileStamp:
    """The cheap look in a result of `stat`."""
    return FileStamp(found.st_size, found.st_mtime_ns, found.st_ctime_ns)
