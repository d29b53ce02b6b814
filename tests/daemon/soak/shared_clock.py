"""One clock for several processes: real time and, in a mapped file, how far ahead of it the story is."""

from __future__ import annotations

import datetime as dt
import mmap
import time
from pathlib import Path

AHEAD, SLEPT, WRONG, NAMES_LOST = range(4)  # cells of eight bytes; nanoseconds but for the last
CELLS = 4


class SharedClock:
    """Read by every process, moved by one.

    Args:
        path: the file; `create` makes one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("r+b") as file:
            self._cells = memoryview(mmap.mmap(file.fileno(), CELLS * 8)).cast("q")

    @classmethod
    def create(cls, path: Path) -> SharedClock:
        """A new one that shows real time."""
        path.write_bytes(bytes(CELLS * 8))
        return cls(path)

    def now(self) -> float:
        """The monotonic clock, seconds. It stands while the machine sleeps."""
        return time.monotonic() + self._cells[AHEAD] / 1e9

    def true_time(self) -> float:
        """Seconds since the epoch, as the server has them."""
        return time.time() + (self._cells[AHEAD] + self._cells[SLEPT]) / 1e9

    def utc(self) -> dt.datetime:
        """The wall clock of the mirror's machine."""
        return dt.datetime.fromtimestamp(self.true_time() + self._cells[WRONG] / 1e9, dt.UTC)

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self._cells[AHEAD] += int(seconds * 1e9)

    def sleep(self, seconds: float) -> None:
        """The mirror's machine sleeps so long: its monotonic clock stands."""
        self._cells[SLEPT] += int(seconds * 1e9)

    def set_wrong(self, seconds: float) -> None:
        """The wall clock of the mirror's machine is off by so much from now on; 0 sets it right."""
        self._cells[WRONG] = int(seconds * 1e9)

    @property
    def names_are_lost(self) -> bool:
        """Whether no host name can be resolved."""
        return bool(self._cells[NAMES_LOST])

    def lose_names(self, lost: bool) -> None:
        """Let the mirror's machine resolve host names no more, or again."""
        self._cells[NAMES_LOST] = int(lost)
