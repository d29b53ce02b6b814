"""What wakes a worker: any number of rings before it looks are one."""

from __future__ import annotations

import anyio


class WakeUp:
    """Belongs to one event loop; one worker waits, anybody rings."""

    def __init__(self) -> None:
        self._notified = anyio.Event()

    def notify(self) -> None:
        """Wake the worker."""
        self._notified.set()

    async def wait(self, seconds: float) -> None:
        """Wait for a notify, no longer than so many seconds."""
        with anyio.move_on_after(seconds):
            await self._notified.wait()
        self._notified = anyio.Event()
