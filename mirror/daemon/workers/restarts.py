"""How a worker that crashed is restarted, and when that is given up: a pure decision over a monotonic clock."""

from __future__ import annotations

from collections import deque

from mirror.backoff import backoff_s
from mirror.config import DaemonSettings

FIRST_WAIT_S = 1.0  # doubled for each further crash within the window
LONGEST_WAIT_S = 60.0


class Restarts:
    """The crashes of one worker.

    Args:
        settings: how many crashes in how long are a loop.
    """

    def __init__(self, settings: DaemonSettings) -> None:
        self._most = settings.crashes_max
        self._window_s = settings.crashes_within_minutes * 60
        self._crashes: deque[float] = deque()

    def crashed(self, now: float) -> float | None:
        """Count a crash at `now`; how many seconds to wait before the restart, None when it is a loop."""
        self._crashes.append(now)
        while self._crashes[0] < now - self._window_s:
            self._crashes.popleft()
        if len(self._crashes) >= self._most:
            return None
        return backoff_s(len(self._crashes) - 1, first_s=FIRST_WAIT_S, longest_s=LONGEST_WAIT_S)
