"""Whether a worker moves: what the watchdog and `status.json` are told about it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Literal

import anyio

State = Literal["idle", "busy", "restarting"]


class Activity:
    """Of one worker.

    Args:
        name: of the worker.
        now: monotonic seconds.
        evidence: a value that changes whenever the worker gets on with its work; so does what it counts in `steps`.
    """

    def __init__(self, name: str, now: Callable[[], float], evidence: Callable[[], object] = lambda: None) -> None:
        self.name = name
        self.steps = 0
        self.state: State = "idle"
        self.crashes = 0
        self.last_error: str | None = None
        self.doing: str | None = None  # while it is busy
        self._since = now()
        self._now = now
        self._evidence = evidence
        self._seen: object = (evidence(), 0)
        self._moved_at = now()
        self._idle_until: float | None = None  # None: as long as it takes
        self._settled = anyio.Event()
        self._settled.set()

    def idle(self, wait_s: float | None) -> None:
        """It waits for so many seconds, or for something to happen."""
        self.state, self.doing = "idle", None
        self._moved_at = self._now()
        self._idle_until = None if wait_s is None else self._moved_at + wait_s
        self._settled.set()

    @contextlib.contextmanager
    def busy(self, doing: str) -> Iterator[None]:
        """It works inside, at what is said; afterwards it is idle, however it ended."""
        self.state, self.doing = "busy", doing
        self._moved_at = self._since = self._now()
        self._settled = anyio.Event()
        try:
            yield
        finally:
            self.idle(None)

    def crashed(self, reason: str) -> None:
        """It ended with an error and waits for its restart."""
        self.state = "restarting"
        self.crashes += 1
        self.last_error = reason

    def forgive(self, seconds: float) -> None:
        """The whole process stood still for so long: a container was frozen, a virtual machine paused."""
        self._moved_at += seconds
        if self._idle_until is not None:
            self._idle_until += seconds

    async def wait_settled(self) -> None:
        """Until it is not busy."""
        await self._settled.wait()

    @property
    def busy_s(self) -> float:
        """For how long it is at its work, seconds."""
        return self._now() - self._since if self.state == "busy" else 0.0

    def stuck_s(self) -> float:
        """For how long nothing has moved that should have, seconds; look often, for only changes are evidence."""
        now = self._now()
        if self.state == "busy":
            if (seen := (self._evidence(), self.steps)) != self._seen:
                self._seen, self._moved_at = seen, now
            return now - self._moved_at
        if self.state == "idle" and self._idle_until is not None:
            return max(0.0, now - self._idle_until)
        return 0.0
