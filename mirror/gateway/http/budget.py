"""How many bytes of answers may be in memory at once: clients that read slowly give way to those that wait."""

from __future__ import annotations

import time

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

MOST_BYTES = 64 * 1024 * 1024  # that wait to be sent; more are begun only when some are gone
STALLED_S = 30.0  # a client that reads nothing for so long is gone
GIVES_WAY_S = 2.0  # and one that reads nothing for so long goes where others wait for its room
PIECE = 64 * 1024  # bytes that a connection holds of what its client has not read yet


class Budget:
    """Counts the bytes that wait to be sent. Of one event loop.

    Args:
        most: bytes.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._waiting = 0
        self._sending: set[SentInPieces] = set()
        self._freed = anyio.Event()

    async def room(self) -> None:
        """Wait until there is room for another answer."""
        while self._waiting >= self._most:
            with anyio.move_on_after(GIVES_WAY_S / 4):
                await self._freed.wait()
                continue
            if self._sending:
                min(self._sending, key=lambda answer: answer.since).give_way()

    def take(self, answer: SentInPieces) -> None:
        """An answer is there; it gives its room back when it was sent, or nobody waits for it any more."""
        self._waiting += len(answer.body)
        self._sending.add(answer)
        answer.budget = self

    def give_back(self, answer: SentInPieces) -> None:
        """Nothing of an answer is left to be sent."""
        self._sending.discard(answer)
        self._waiting -= len(answer.body)
        self._freed.set()
        self._freed = anyio.Event()


class SentInPieces(Response):
    """A body that leaves memory as fast as its client reads it."""

    budget: Budget | None = None  # that it is counted in
    since = 0.0  # when its client read the last piece
    _patience: anyio.CancelScope | None = None

    def give_way(self) -> None:
        """Give up a client that reads nothing, should it have done so for a while."""
        if self._patience is not None and time.monotonic() - self.since >= GIVES_WAY_S:
            self._patience.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, or give up on a client that does not read: its connection is closed then."""
        del scope, receive
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            body = memoryview(self.body)
            for start in range(0, max(1, len(body)), PIECE):
                piece = {"body": body[start : start + PIECE], "more_body": start + PIECE < len(body)}
                self.since = time.monotonic()
                with anyio.move_on_after(STALLED_S) as self._patience:
                    await send({"type": "http.response.body", **piece})
                if self._patience.cancelled_caught:
                    return
        finally:
            if self.budget is not None:
                self.budget.give_back(self)
