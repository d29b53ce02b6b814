"""The place on loopback where the daemon answers: opened, moved and closed as the configuration says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

import anyio
from anyio.abc import SocketListener

from mirror.config import loopback_address
from mirror.daemon.http.exchange import Pages, exchange
from mirror.daemon.listening import Listening
from mirror.daemon.logs import Log

MOST_AT_ONCE = 32  # connections; more are closed at once


class Endpoint:
    """Answers at one address, or nowhere.

    Args:
        log: for what goes wrong.
        pages: what is answered.
    """

    def __init__(self, log: Log, pages: Pages) -> None:
        self._log = log
        self._pages = pages
        self._address = ""
        self._moved = anyio.Event()

    def move(self, address: str) -> None:
        """Answer there from now on; nowhere, if it is empty.

        Args:
            address: as the setting `listen`.
        """
        if address != self._address:
            self._address = address
            self._moved.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._moved = anyio.Event()
            async with anyio.create_task_group() as group:
                if self._address:
                    group.start_soon(self._serve, self._address)
                await self._moved.wait()
                group.cancel_scope.cancel()

    async def _serve(self, address: str) -> None:
        hint = "choose another port for `listen`; it is tried again"
        opened, answer = partial(_opened, address), partial(exchange, pages=self._pages)
        await Listening(self._log, address, hint, opened, answer, MOST_AT_ONCE).run()


@asynccontextmanager
async def _opened(address: str) -> AsyncIterator[SocketListener]:
    host, port = loopback_address(address)
    listeners = await anyio.create_tcp_listener(local_host=host, local_port=port)
    async with listeners:
        yield cast("SocketListener", listeners.listeners[0])
