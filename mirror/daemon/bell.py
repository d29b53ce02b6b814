"""What wakes a worker: any number of rings before it looks are one, and none of their names is lost."""

from __future__ import annotations

import anyio


class Bell:
    """Belongs to one event loop; one worker waits, anybody rings."""

    def __init__(self) -> None:
        self._rung = anyio.Event()
        self._names: set[str] = set()

    def ring(self, name: str = "") -> None:
        """Wake the worker, for `name` if one is given."""
        if name:
            self._names.add(name)
        self._rung.set()

    async def wait(self, seconds: float | None = None) -> set[str]:
        """Wait for a ring, no longer than so many seconds; the names that were rung for since the last look."""
        with anyio.move_on_after(seconds):
            await self._rung.wait()
        self._rung = anyio.Event()
        names, self._names = self._names, set()
        return names
