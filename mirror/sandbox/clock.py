"""The sandbox's one source of time, so that tests move it instead of sleeping."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime


class Clock:
    """Wall-clock time plus an offset that tests move forward.

    It dates runs and heartbeats, expires signed URLs and opens rate-limit windows. Thread-safe.
    """

    def __init__(self) -> None:
        self._offset_s = 0.0
        self._frozen_at: float | None = None
        self._lock = threading.Lock()

    def time(self) -> float:
        """Seconds since the epoch, as the sandbox sees it."""
        with self._lock:
            current = time.time() if self._frozen_at is None else self._frozen_at
            return current + self._offset_s

    def now(self) -> datetime:
        """The same moment as an aware UTC datetime."""
        return datetime.fromtimestamp(self.time(), UTC)

    def advance(self, seconds: float) -> None:
        """Move time forward by `seconds` (negative moves it back)."""
        with self._lock:
            self._offset_s += seconds

    def freeze(self, at: datetime | None = None) -> None:
        """Stop time at `at` (default: now); from then on only `advance` moves it."""
        moment = self.now() if at is None else at.astimezone(UTC)
        with self._lock:
            self._frozen_at, self._offset_s = moment.timestamp(), 0.0
