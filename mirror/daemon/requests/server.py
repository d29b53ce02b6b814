"""The daemon's side: a socket in the home, and a connection for each request."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import msgspec
from anyio.abc import SocketListener, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from mirror.daemon.events import Event
from mirror.daemon.listening import LEFT, Listening
from mirror.daemon.logs import Log
from mirror.daemon.requests.wire import (
    LONGEST_REQUEST,
    Failed,
    Outcome,
    Reply,
    Request,
    decode_request,
    encode_message,
    socket_address,
)
from mirror.errors import MirrorError, StoreError
from mirror.layout import Home

MOST_AT_ONCE = 16  # connections; more are closed at once
PATIENCE_S = 10.0  # for a request to arrive, and for a reply to be taken
OTHER_VERSION = "it may be of another version: restart it"

Tell = Callable[[Reply], Awaitable[None]]
Answer = Callable[[Request, Tell], Awaitable[Outcome]]


class RequestServer:
    """Takes requests for as long as nobody cancels it.

    Args:
        home: where the socket is.
        log: for what goes wrong.
        answer: does what is asked, tells progress, and returns the outcome.
    """

    def __init__(self, home: Home, log: Log, answer: Answer) -> None:
        self._home = home
        self._log = log
        self._answer = answer

    async def run(self) -> None:
        """Listen. A home that can hold no socket now costs requests alone."""
        hint = "`pull`, `maintain` and `repair` are refused while the daemon runs; it is tried again"
        address = str(self._home.daemon_socket)
        await Listening(self._log, address, hint, self._opened, self._serve, MOST_AT_ONCE).run()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[SocketListener]:
        with socket_address(self._home) as address:  # what a daemon before left is replaced: `daemon.lock` is ours
            listener = await anyio.create_unix_listener(address, mode=0o600, backlog=MOST_AT_ONCE)
        try:
            async with listener:
                yield listener
        finally:
            with contextlib.suppress(OSError):
                self._home.daemon_socket.unlink(missing_ok=True)

    async def _serve(self, stream: SocketStream) -> None:
        with anyio.fail_after(PATIENCE_S):
            line = await BufferedByteReceiveStream(stream).receive_until(b"\n", LONGEST_REQUEST)
        await self._exchange(stream, line)

    async def _exchange(self, stream: SocketStream, line: bytes) -> None:
        one_line = anyio.Lock()
        async with anyio.create_task_group() as group:

            async def tell(reply: Reply) -> None:
                line = encode_message(reply)
                try:  # whoever is cancelled meanwhile leaves no half of a line behind
                    with anyio.CancelScope(shield=True), anyio.fail_after(PATIENCE_S):
                        async with one_line:
                            await stream.send(line)
                except LEFT:
                    group.cancel_scope.cancel()

            group.start_soon(_cancel_when_left, stream, group.cancel_scope)
            await tell(await self._outcome(line, tell))
            group.cancel_scope.cancel()

    async def _outcome(self, line: bytes, tell: Tell) -> Outcome:
        try:
            return await self._answer(decode_request(line), tell)
        except msgspec.DecodeError as error:
            return Failed(StoreError(f"the daemon does not understand this request: {error}", hint=OTHER_VERSION))
        except MirrorError as error:
            return Failed(error)
        except Exception as error:  # a defect of ours is no reason to stop mirroring
            self._log.alarm(Event.ANSWER_FAILED, exc=error, reason=f"{type(error).__name__}: {error}")
            return Failed(MirrorError(f"{type(error).__name__}: {error}", hint="the log of the daemon has the cause"))


async def _cancel_when_left(stream: SocketStream, scope: anyio.CancelScope) -> None:
    """A person who presses Ctrl-C ends what was asked."""
    try:
        while await stream.receive():
            pass
    except LEFT:
        scope.cancel()
