"""What was queued out of a watch folder, remembered across restarts: one file a watch below `watch/` of the home.

It is a cache of what the outbox and the mirror know, with the times of files that neither of them has. So it may be
lost, and it is written after what it speaks of is in the outbox: a file that it does not know is read, and its MD5 is
compared with what waits for the run and with what the mirror has of it. The same bytes are then remembered, not queued.

It matters once somebody changes such a file upstream: what was uploaded once and is the same here is not sent again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container
from pathlib import Path

import msgspec

from mirror.daemon.watch_folder.rules import Queued
from mirror.durable import make_folder, write_replace
from mirror.layout import Home
from mirror.store.engine.connection import store_errors
from mirror.typed import decode

VERSION = 1
SPARE = 10_000  # so many files that vanished are remembered: a folder that was not mounted for a while comes back


class _File(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    of: tuple[str, ...]  # what the watch is, for people
    queued: dict[str, Queued]  # by slash path below the folder


class Memory:
    """Of one watch.

    Args:
        home: where it is kept.
        of: what makes it this watch: the project, the folder, the run, the prefix.
    """

    def __init__(self, home: Home, of: tuple[str, ...]) -> None:
        self._home = home
        self._of = of
        digest = hashlib.sha256(msgspec.json.encode(of)).hexdigest()
        self._path: Path = home.watch / f"{digest[:16]}.json"
        self._queued: dict[str, Queued] = self._read()
        self.is_dirty = False

    def get(self, path: str) -> Queued | None:
        """What was queued of a file; None when nothing is known."""
        return self._queued.get(path)

    def note(self, path: str, queued: Queued) -> None:
        """Remember what was queued; `save` makes it last."""
        self._queued[path] = queued
        self.is_dirty = True

    def forget_vanished(self, present: Container[str]) -> None:
        """Stay bounded: forget files that are gone, once they are many."""
        vanished = [path for path in self._queued if path not in present]
        if len(vanished) > SPARE:
            for path in vanished:
                del self._queued[path]
            self.is_dirty = True

    def save(self) -> None:
        """Write what changed.

        Raises:
            StoreError: the disk is full or failing; the file is as it was.
        """
        if not self.is_dirty:
            return
        content = msgspec.json.encode(_File(version=VERSION, of=self._of, queued=self._queued))
        with store_errors(self._home):
            make_folder(self._path.parent)
            write_replace(self._path, content)
        self.is_dirty = False

    def _read(self) -> dict[str, Queued]:
        try:
            file = decode(self._path.read_bytes(), _File)
        except (OSError, msgspec.DecodeError):  # lost, or never there: see above
            return {}
        return file.queued if file.version == VERSION else {}
