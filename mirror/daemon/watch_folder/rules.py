"""What is to be done with a file of a watch folder: pure decisions over what was seen, queued and is allowed.

A file is **restless** from when it differs from what was queued under its name until it is queued again. It is due
when it has looked the same for `stable_s`, or has been restless for `growing_minutes`: a log that never stops growing
is uploaded now and then, not never. Times are monotonic, and both looks are ours: no clock of a file server counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase, translate
from typing import NamedTuple

import msgspec

from mirror.texts.paths import why_refused
from mirror.watch_settings import WatchSettings

MB = 1_000_000


class FileStamp(NamedTuple):
    """A cheap look at a file. The time of the last change of its inode catches copies that keep `mtime`."""

    size: int  # bytes
    mtime_ns: int
    ctime_ns: int


class Queued(msgspec.Struct, frozen=True, array_like=True):
    """The bytes of a file that were queued last, and how it looked then."""

    seen: FileStamp
    md5: str  # base64, as W&B lists it


class Restless(NamedTuple):
    """A file that differs from what was queued."""

    seen: FileStamp
    still_since: float  # monotonic seconds; it has looked so since then
    first_at: float  # monotonic seconds; it has differed since then


class Target(NamedTuple):
    """Where a file goes."""

    run_id: str
    name: str  # slash path inside the run


def restless(seen: FileStamp, queued: Queued | None, before: Restless | None, now: float) -> Restless | None:
    """How a file stands after a look at it.

    Args:
        seen: how it looks now.
        queued: what was queued last; None when nothing was.
        before: how it stood at the look before.
        now: monotonic seconds.

    Returns:
        None when it is as it was queued.
    """
    if queued is not None and queued.seen == seen:
        return None
    if before is None:
        return Restless(seen, now, now)
    return before if before.seen == seen else Restless(seen, now, before.first_at)


def due_at(file: Restless, settings: WatchSettings) -> float:
    """When a file that stays as it is now is to be queued, monotonic seconds."""
    return min(file.still_since + settings.stable_s, growing_at(file, settings))


def growing_at(file: Restless, settings: WatchSettings) -> float:
    """When a file is to be queued however it changes, monotonic seconds."""
    return file.first_at + settings.growing_minutes * 60


class Rules:
    """What of one folder goes where.

    Args:
        settings: of the watch.
        size_max_mb: larger files are left out.
    """

    def __init__(self, settings: WatchSettings, size_max_mb: float) -> None:
        self._settings = settings
        self._size_max_mb = size_max_mb
        globs = "|".join(translate(glob.rstrip("/")) for glob in settings.ignore)
        self._ignored = re.compile(rf"(?s:.*/)?(?:{globs})") if globs else None

    def skips(self, path: str, *, is_folder: bool) -> bool:
        """Whether a file or a folder, with all below it, is nobody's business.

        Args:
            path: slash path below the watched folder.
            is_folder: what it is.
        """
        if self._ignored is not None and self._ignored.match(path):
            return True
        return is_folder and self._settings.is_of_folders and "/" not in path and not self._is_run(path)

    def target(self, path: str) -> Target | None:
        """Where a file goes; None when it lies in no run's folder."""
        if self._settings.is_of_folders:
            run_id, _, rest = path.partition("/")
            if not rest:
                return None
        else:
            run_id, rest = self._settings.run, path
        return Target(run_id, f"{self._settings.prefix}/{rest}" if self._settings.prefix else rest)

    def why_left_out(self, path: str, seen: FileStamp) -> str | None:
        """Why a file is not uploaded though nobody asked to ignore it; None when it is."""
        target = self.target(path)
        if target is None:
            return "it lies in no folder of a run"
        if reason := why_refused(target.name):
            return reason
        if why_refused(target.run_id):
            return "the name of its folder can be no run's"
        if seen.size > self._size_max_mb * MB:
            return f"larger than file_size_max_mb = {self._size_max_mb:g}"
        return None

    def _is_run(self, name: str) -> bool:
        return fnmatchcase(name, self._settings.run)


def newly_left_out(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, list[str]]:
    """What is to be said: by reason, the paths that were not left out for it before."""
    found: dict[str, list[str]] = {}
    for path, reason in now.items():
        if before.get(path) != reason:
            found.setdefault(reason, []).append(path)
    return found


def printable_path(path: str) -> str:
    """A path as it can be logged: bytes that are no Unicode are spelled out."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")
