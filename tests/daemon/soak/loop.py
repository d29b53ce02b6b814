"""An event loop that lives by the shared clock, and resolves the names of the story's server."""

from __future__ import annotations

import asyncio
import selectors
import socket
from typing import Any

from tests.daemon.soak.shared_clock import SharedClock

LOOK_S = 0.005  # real time between two looks at the clock, which others move
API_HOST = "wandb.soak.localhost"  # another name than the bucket's, so that the key's way can be told


class _Impatient(selectors.DefaultSelector):
    """Waits for files no longer than until the next look at the clock."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As its base does."""
        return super().select(LOOK_S if timeout is None else min(timeout, LOOK_S))


class StoryLoop(asyncio.SelectorEventLoop):
    """Of one process.

    Args:
        clock: its time.
    """

    def __init__(self, clock: SharedClock) -> None:
        self._story = clock
        super().__init__(_Impatient())

    def time(self) -> float:
        """Seconds of the story's monotonic clock."""
        return self._story.now()

    async def getaddrinfo(self, host: Any, port: Any, **how: Any) -> Any:
        """As its base does, when names can be resolved.

        Raises:
            socket.gaierror: they cannot.
        """
        if self._story.names_are_lost:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return await super().getaddrinfo("127.0.0.1" if host in {API_HOST, API_HOST.encode()} else host, port, **how)
