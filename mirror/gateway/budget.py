"""How many bytes of answers may be in memory at once: clients that read slowly keep others waiting, and no more."""

from __future__ import annotations

from collections.abc import Callable

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

MOST_BYTES = 128 * 1024 * 1024  # that wait to be sent; more are begun only when some are gone
STALLED_S = 30.0  # a client that reads nothing for so long is gone
PIECE = 64 * 1024  # bytes that a connection holds of what its client has not read yet


class Budget:
    """Counts the bytes that wait to be sent. Of one event loop.

    Args:
        most: bytes.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._waiting = 0
        self._freed = anyio.Event()

    async def room(self) -> None:
        """Wait until there is room for another answer."""
        while self._waiting >= self._most:
            await self._freed.wait()

    def take(self, size: int) -> None:
        """An answer is there."""
        self._waiting += size

    def give_back(self, size: int) -> None:
        """An answer was sent, or nobody waits for it any more."""
        self._waiting -= size
        self._freed.set()
        self._freed = anyio.Event()


class SentInPieces(Response):
    """A body that leaves memory as fast as its client reads it."""

    done: Callable[[], None] | None = None  # called when nothing of it is left to be sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, or give up on a client that does not read: its connection is closed then."""
        del scope, receive
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            body = memoryview(self.body)
            for start in range(0, max(1, len(body)), PIECE):
                piece = {"body": body[start : start + PIECE], "more_body": start + PIECE < len(body)}
                with anyio.move_on_after(STALLED_S) as patience:
                    await send({"type": "http.response.body", **piece})
                if patience.cancelled_caught:
                    return
        finally:
            if self.done is not None:
                self.done()
