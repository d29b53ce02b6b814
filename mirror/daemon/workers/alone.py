"""Pulls go beside one another; maintenance of the home goes alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class Turns:
    """Who is at the home. Belongs to one event loop."""

    def __init__(self) -> None:
        self._gate = anyio.Lock()
        self._inside = 0
        self._empty = anyio.Event()
        self._empty.set()

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """Be there with others; waits while somebody is, or wants to be, alone."""
        async with self._gate:
            self._inside += 1
            if self._empty.is_set():
                self._empty = anyio.Event()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    @asynccontextmanager
    async def alone(self, patience_s: float) -> AsyncIterator[None]:
        """Be there alone: waits so many seconds for a moment without others, then lets no further ones in."""
        until = anyio.current_time() + patience_s
        while True:
            with anyio.CancelScope(deadline=until):
                await self._wait_empty()
            await self._gate.acquire()
            if not self._inside or anyio.current_time() >= until:
                break
            self._gate.release()  # somebody came in between
        try:
            await self._wait_empty()
            yield
        finally:
            self._gate.release()

    async def _wait_empty(self) -> None:
        while self._inside:
            await self._empty.wait()
