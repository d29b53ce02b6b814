"""What requests read of a commit, kept for those that follow: a commit never changes, so that nothing here goes stale.

A question to the lake costs 10 to 20 ms of planning whatever it asks, and a script asks about one run a dozen times.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar, cast

from mirror.cluster.place import place_of
from mirror.layout import Home
from mirror.run.pending.local import LocalMirror, Waiting

MOST_BYTES = 96 * 1024 * 1024  # kept at a time, as the values weigh themselves
SMALL = 1_000  # bytes: what a value weighs that does not say
NOT_KEPT = MOST_BYTES  # what a value weighs that is not to be kept
T = TypeVar("T")


class CommitMemory:
    """Values by commit and question; those that were not asked for longest go first. For any thread."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._reading: dict[Hashable, threading.Event] = {}  # what is being read, until it is kept
        self._bytes = 0
        self._most_bytes = most_bytes
        self._turn = threading.Lock()

    def get(self, key: Hashable, read: Callable[[], T], weigh: Callable[[T], int] | None = None) -> T:
        """A value, read where it is not kept.

        Args:
            key: the commit, and what is asked of it.
            read: reads it.
            weigh: how many bytes it takes; None: few.
        """
        with self._turn:
            if key in self._kept:
                return cast("T", self._recalled(key))
            reading = self._reading.get(key)
            if reading is None:
                self._reading[key] = threading.Event()
        if reading is not None:  # another thread asks the very same
            reading.wait()
            with self._turn:
                if key in self._kept:
                    return cast("T", self._recalled(key))
            return read()  # it failed there, or is too large to be kept
        try:
            value = read()
            self._keep(key, value, SMALL if weigh is None else weigh(value))
        finally:
            with self._turn:
                self._reading.pop(key).set()
        return value

    def _recalled(self, key: Hashable) -> Any:
        self._kept.move_to_end(key)
        return self._kept[key][0]

    def _keep(self, key: Hashable, value: Any, weight: int) -> None:
        with self._turn:
            if weight <= self._most_bytes // 4:
                self._kept[key] = value, weight
                self._bytes += weight
            while self._bytes > self._most_bytes:
                _, (_, gone) = self._kept.popitem(last=False)
                self._bytes -= gone


class Stamp:
    """How some files or folders are, as far as that tells whether they changed.

    Args:
        paths: which; they need not be there.
    """

    _SETTLED_S = 2.0  # two changes within one tick of a file system's clock look like one

    def __init__(self, *paths: Path) -> None:
        self._paths = paths

    def look(self) -> tuple[object, ...] | None:
        """Another value after any change; None where they changed too recently for that to be so, or there are none."""
        if not self._paths:
            return None
        newest: float = 0.0
        looked: list[tuple[int, ...] | None] = []
        for path in self._paths:
            try:
                at = path.stat()
            except OSError:
                looked.append(None)
                continue
            newest = max(newest, at.st_mtime)
            looked.append((at.st_mtime_ns, at.st_size, at.st_ino))
        return None if time.time() - newest < self._SETTLED_S else tuple(looked)


class NewestCommit:
    """The number of the newest commit, known without a question while the catalog's files are as they were.

    Args:
        home: whose lake.
    """

    def __init__(self, home: Home) -> None:
        log = home.catalog.with_name(f"{home.catalog.name}-wal")
        self.stamp = Stamp(*(() if place_of(home) else (home.catalog, log)))
        self._known: tuple[tuple[object, ...], int] | None = None

    def known(self) -> int | None:
        """The newest commit; None where it has to be asked for."""
        known = self._known
        return known[1] if known is not None and known[0] == self.stamp.look() else None

    def learn(self, looked: tuple[object, ...] | None, commit: int) -> None:
        """Take what the lake said.

        Args:
            looked: how the files were before it was asked.
            commit: the newest.
        """
        if looked is not None:
            self._known = looked, commit


class Queue:
    """What waits in the outbox, read again only where its folders changed.

    Args:
        mirror: whose.
    """

    def __init__(self, mirror: LocalMirror) -> None:
        self._mirror = mirror
        self._stamp = Stamp(*(mirror.home.outbox / state for state in ("new", "claimed", "conflict")))
        self._known: tuple[tuple[object, ...], Waiting] | None = None

    def waiting(self) -> Waiting:
        """By project and run id."""
        self._mirror.exchange()
        looked, known = self._stamp.look(), self._known
        if known is not None and known[0] == looked:
            return known[1]
        waiting = self._mirror.waiting()
        if looked is not None:
            self._known = looked, waiting
        return waiting
