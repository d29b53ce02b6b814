"""How slow bodies may come: one of a few bytes a second ends as an error, while a slow link goes on.

All bodies of a client share one link, so each owes the least speed divided by how many are under way. Only the time
that the network is waited for counts.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator

import anyio
import httpx

from mirror.api.limits.spent import Meter
from mirror.config import ServerSettings
from mirror.errors import TooSlow

START_BYTES = 4096  # of an answer without what was asked for, as much is looked at


class Incoming:
    """The bodies that come to one client.

    Args:
        settings: the least speed, and for how long a body may be slower.
        meter: counts the bytes as they come.
    """

    def __init__(self, settings: ServerSettings, meter: Meter) -> None:
        self._least, self._window_s = settings.slow_bytes_per_s, settings.slow_after_s
        self._start_s = settings.timeout_s
        self._meter = meter
        self._under_way = 0

    async def pieces(self, response: httpx.Response, host: str) -> AsyncGenerator[bytes, None]:
        """A body as it comes from the network.

        Raises:
            TooSlow: fewer bytes came than it owes.
            httpx.HTTPError: the connection broke.
        """
        waited_s, size, sharers = 0.0, 0, 1
        received = response.aiter_raw()
        self._under_way += 1
        try:
            while True:
                began = time.monotonic()
                piece = await anext(received, None)
                if piece is None:
                    return
                waited_s += time.monotonic() - began
                size += len(piece)
                self._meter.bytes_down += len(piece)
                sharers = max(sharers, self._under_way)
                if waited_s >= self._window_s:
                    if size < self._least * waited_s / sharers:
                        raise TooSlow(f"{host} sent {size:,} bytes in {waited_s:.0f} s")
                    waited_s, size, sharers = 0.0, 0, 1
                yield piece
        finally:
            self._under_way -= 1

    async def start(self, response: httpx.Response) -> bytes:
        """The first bytes of an answer; read to its end where it is short, so that the connection can be used again."""
        start = b""
        with anyio.move_on_after(self._start_s):
            try:
                async for piece in response.aiter_raw():
                    start += piece
                    if len(start) >= START_BYTES:
                        break
            except httpx.HTTPError:
                return start
        return start
