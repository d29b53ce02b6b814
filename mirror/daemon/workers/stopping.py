"""The end of what a worker does in threads: a thread cannot be cancelled, but it asks."""

from __future__ import annotations

import threading

import anyio

from mirror.daemon.workers.activity import Activity


class StoppedError(Exception):
    """The worker is cancelled: what a thread of it reads is not wanted any more."""


class Stopping:
    """Of one worker.

    Args:
        activity: of the worker; what its threads pass are steps.
    """

    def __init__(self, activity: Activity) -> None:
        self._activity = activity
        self._stopped = threading.Event()

    def begin(self) -> None:
        """The worker begins, perhaps again: threads go on."""
        self._stopped.clear()

    async def wait(self) -> None:
        """Until it is cancelled; from then on threads stop."""
        try:
            await anyio.sleep_forever()
        finally:
            self._stopped.set()

    def passed(self, _: int) -> None:
        """A thread got so much further.

        Raises:
            StoppedError: it is not to go on.
        """
        self._activity.steps += 1
        if self._stopped.is_set():
            raise StoppedError
