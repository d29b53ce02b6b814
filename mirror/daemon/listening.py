"""A place where connections are taken: bounded in number, and no connection, however it behaves, ends the daemon.

A place that cannot be had is said once and tried again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import anyio
from anyio.abc import SocketListener, SocketStream

from mirror.daemon.events import Event
from mirror.daemon.logs import Log
from mirror.tasks import side_by_side

AGAIN_S = 5.0  # until a place that could not be had is tried again

# How a connection ends whose other side went away, or never said anything.
LEFT = (
    OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, TimeoutError,
    anyio.IncompleteRead, anyio.DelimiterNotFound,
)  # fmt: skip


class Listening:
    """Takes connections for as long as nobody cancels it.

    Args:
        log: for what goes wrong.
        address: as the log names it.
        hint: what to do, or what it costs, where the place cannot be had.
        opened: makes the listener, and cleans up behind it; OSError where it cannot be had.
        answer: serves one connection.
        most_at_once: connections; more are closed at once.
    """

    def __init__(
        self,
        log: Log,
        address: str,
        hint: str,
        opened: Callable[[], AbstractAsyncContextManager[SocketListener]],
        answer: Callable[[SocketStream], Awaitable[None]],
        most_at_once: int,
    ) -> None:
        self._log = log
        self._address, self._hint = address, hint
        self._opened, self._answer = opened, answer
        self._most, self._open = most_at_once, 0

    async def run(self) -> None:
        """Listen, and try again."""
        is_told = False
        while True:
            try:
                async with self._opened() as listener, side_by_side() as group:
                    self._log.info(Event.LISTENING, address=self._address)
                    is_told = False
                    while True:
                        group.start_soon(self._serve, await listener.accept())
            except* OSError as errors:  # of the listener; those of a connection end it alone
                if not is_told:
                    first = errors.exceptions[0]
                    reason = (first.strerror if isinstance(first, OSError) else None) or str(first)
                    self._log.warning(Event.CANNOT_LISTEN, address=self._address, reason=reason, hint=self._hint)
                is_told = True
            await anyio.sleep(AGAIN_S)

    async def _serve(self, stream: SocketStream) -> None:
        if self._open >= self._most:
            await anyio.aclose_forcefully(stream)
            return
        self._open += 1
        try:
            async with stream:
                await self._answer(stream)
        except LEFT:
            return
        except Exception as error:  # a defect of ours is no reason to stop mirroring
            self._log.alarm(Event.ANSWER_FAILED, exc=error, reason=f"{type(error).__name__}: {error}")
        finally:
            self._open -= 1
