"""Connections within bounds: so many at once, a request's head within so long, and no body without an end.

Who holds a connection and asks nothing gives way to who comes: a machine's other users, who have no key, can open as
many as they like, and keep nobody out. After them goes who neither reads an answer nor sends the rest of a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from mirror.gateway.http.budget import STALLED_S
from mirror.wandb_protocol.errors import errors_object, json_body

MOST_CONNECTIONS = 400
HEAD_WITHIN_S = 10.0  # from the first byte of a request's head, or the connection's beginning, to its last
REST_WITHIN_S = 10.0  # for a body that goes on when its request has been answered
GIVES_WAY_S = 2.0  # a client that neither read nor sent for so long gives way to who comes


def allow_connections(most: int = MOST_CONNECTIONS) -> int:
    """Raise this process's limit of open files, and say how many connections fit below it.

    Args:
        most: that are wanted; each may have a file open, too.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return most
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * most + 400  # with those of the lake
    if soft != resource.RLIM_INFINITY and soft < wanted:
        raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
        most = max(8, min(most, (soft - 100) // 2))
    return most


class BoundedProtocol(H11Protocol):
    """One connection."""

    most = MOST_CONNECTIONS
    _timer: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _since = 0.0  # when it last sent or read something

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, unless so many are open that none gives way."""
        super().connection_made(transport)
        self._since = time.monotonic()
        if len(self.connections) > self.most and not self._make_room():
            self._refuse()
            return
        self._begin(HEAD_WITHIN_S)

    def data_received(self, data: bytes) -> None:
        """Read on, and watch for what never ends."""
        self._since = time.monotonic()
        super().data_received(data)
        theirs, ours = self.conn.their_state, self.conn.our_state
        if theirs is h11.IDLE or (theirs is h11.SEND_BODY and ours is h11.DONE):
            if self._timer is None:
                self._begin(HEAD_WITHIN_S if theirs is h11.IDLE else REST_WITHIN_S)
        else:
            self._cancel()

    def on_response_complete(self) -> None:
        """The next request's head has its own time, from its first byte on."""
        super().on_response_complete()
        if self.conn.their_state is not h11.SEND_BODY:
            self._cancel()

    def pause_writing(self) -> None:
        """The client does not read: it is given up, should it go on so."""
        super().pause_writing()
        self._since = time.monotonic()
        if self._stalled is None:
            self._stalled = self.loop.call_later(STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._cancel()
        self._go_on()
        super().connection_lost(exc)

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        return not self._has_asked or self.cycle.response_complete

    @property
    def _has_asked(self) -> bool:
        """Whether a request ever came; before the first one there is none, whatever the types say."""
        return self.__dict__["cycle"] is not None

    def is_stalled(self, now: float) -> bool:
        """Whether only its client could go on, and does not."""
        waits = self.flow.write_paused or (self.conn.their_state is h11.SEND_BODY and not self.flow.read_paused)
        return waits and now - self._since >= GIVES_WAY_S

    def _make_room(self) -> bool:
        """Close what has asked nothing for longest, or else what has stalled for longest; whether there was one."""
        others = [
            one for one in cast("set[BoundedProtocol]", self.connections) - {self} if not one.transport.is_closing()
        ]
        now = time.monotonic()
        giving_way = [one for one in others if one.is_idle and not one.flow.write_paused]
        giving_way = giving_way or [one for one in others if one.is_stalled(now)]
        if not giving_way:
            return False
        oldest = min(giving_way, key=lambda one: one._since)
        if not oldest._has_asked:
            oldest._refuse()
        elif oldest.is_idle and not oldest.flow.write_paused:
            oldest.transport.close()
        else:
            oldest.transport.abort()
        self.connections.discard(oldest)
        return True

    def send_400_response(self, msg: str) -> None:
        """Say in JSON, as all else is said, that what came is no HTTP."""
        self._say("400 Bad Request", msg)

    def _refuse(self) -> None:
        """Say that there are too many, without waiting for a request."""
        self._say("503 Service Unavailable\r\nretry-after: 1", "too many connections at once; try again in a moment")

    def _say(self, status: str, message: str) -> None:
        """Answer without a request, and end."""
        body = json_body(errors_object(message))
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close"
        self.transport.write(f"{head}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        self.transport.close()

    def _begin(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._late)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go_on(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _late(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.abort()
