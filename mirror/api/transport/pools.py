"""Clients of httpx with few connections each: it looks at each pair of a client's connections for each request."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import httpx

from mirror.api.transport.connection import DEFAULT_POOL, http_client
from mirror.config import ServerSettings

CONNECTIONS_IN_A_POOL = 4  # about: a busy pool opens more


class Pools:
    """Clients that are alike, opened when they are needed.

    Args:
        settings: timeouts, and how many transfers may be under way at once.
        base_url, transport, encoding, pool: as of `http_client`.
    """

    def __init__(
        self,
        settings: ServerSettings,
        base_url: str,
        transport: httpx.AsyncBaseTransport | None,
        *,
        encoding: str = "gzip",
        pool: httpx.Limits = DEFAULT_POOL,
    ) -> None:
        self._new = partial(http_client, settings, base_url, transport, encoding=encoding, pool=pool)
        count = max(1, settings.concurrent_transfers // CONNECTIONS_IN_A_POOL) if transport is None else 1
        self._busy = [0] * count  # requests under way in each
        self._clients: list[httpx.AsyncClient] = []  # as many as were needed so far

    async def aclose(self) -> None:
        """Close all connections."""
        for client in self._clients:
            await client.aclose()

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[httpx.AsyncClient, None]:
        """The first of the least busy ones, so that requests one after the other use one connection."""
        index = self._busy.index(min(self._busy))
        if index == len(self._clients):
            self._clients.append(self._new())
        self._busy[index] += 1
        try:
            yield self._clients[index]
        finally:
            self._busy[index] -= 1
