"""Bodies of requests within bounds: of one, and of all that are under way.

A body that is not small takes its room before it is read, all at once, so that no two wait for one another's.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import anyio
from starlette.requests import Request

BODY_MAX = 16 * 1024 * 1024  # bytes of a request
SMALL = 64 * 1024  # bytes; what is no longer is read without room: 400 of them are 26 MB
MOST_BYTES = 64 * 1024 * 1024  # of all that are longer, until they are answered
ROOM_WITHIN_S = 10.0  # for which a body waits for room
BODY_WITHIN_S = 120.0
PIECE_WITHIN_S = 10.0  # a client that sends nothing for so long is given up
_LOOK_S = 0.1  # between two looks whether there is room


class TooLong(Exception):
    """A body has more bytes than it may."""


class TooSlow(Exception):
    """A body did not come in its time."""


class NoRoom(Exception):
    """Others hold all the room."""


class Bodies:
    """Counts the bytes of those under way. Of one event loop."""

    def __init__(self) -> None:
        self._taken = 0

    @contextlib.asynccontextmanager
    async def of(self, request: Request) -> AsyncIterator[bytes]:
        """The whole body, whose room is held until the block ends.

        Raises:
            TooLong: nothing is read of one that says so.
            TooSlow: it did not come in its time.
            NoRoom: others hold it for too long.
        """
        length = request.headers.get("content-length", "0" if "transfer-encoding" not in request.headers else None)
        wanted = BODY_MAX if length is None else _number(length)
        room = wanted if wanted > SMALL else 0
        await self._take(room)
        try:
            yield await _read(request)
        finally:
            self._taken -= room

    async def _take(self, room: int) -> None:
        with anyio.move_on_after(ROOM_WITHIN_S):
            while room and self._taken + room > MOST_BYTES:
                await anyio.sleep(_LOOK_S)
            self._taken += room
            return
        raise NoRoom


def _number(length: str) -> int:
    digits = length.lstrip("0") or "0"
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 12 or int(digits) > BODY_MAX:
        raise TooLong
    return int(digits)


async def _read(request: Request) -> bytes:
    found = bytearray()
    pieces = request.stream()
    with anyio.move_on_after(BODY_WITHIN_S):
        while True:
            piece: bytes | None = None
            with anyio.move_on_after(PIECE_WITHIN_S) as patience:
                piece = await anext(pieces, None)
            if patience.cancelled_caught:
                raise TooSlow
            if piece is None:
                return bytes(found)
            if len(found) + len(piece) > BODY_MAX:
                raise TooLong
            found += piece
    raise TooSlow
