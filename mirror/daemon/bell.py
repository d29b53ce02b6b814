"""What wakes a worker: any number of rings before it looks are one."""

from __future__ import annotations

import anyio


class Bell:
    """Belongs to one event loop; one worker waits, anybody rings."""

    def __init__(self) -> None:
        self._rung = anyio.Event()

    def ring(self) -> None:
        """Wake the worker."""
        self._rung.set()

    async def wait(self, seconds: float) -> None:
        """Wait for a ring, no longer than so many seconds."""
        with anyio.move_on_after(seconds):
            await self._rung.wait()
        self._rung = anyio.Event()
