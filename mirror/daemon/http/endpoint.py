"""The place on loopback where the daemon answers: opened, moved and closed as the configuration says.

A port that somebody else has is said once and tried again; no connection, however it behaves, ends the daemon.
"""

from __future__ import annotations

from typing import cast

import anyio
from anyio.abc import SocketListener, SocketStream, TaskGroup

from mirror.config import loopback_address
from mirror.daemon.events import Event
from mirror.daemon.http.exchange import Pages, exchange
from mirror.daemon.logs import Log

AGAIN_S = 5.0  # until a port that could not be had is tried again
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
        self._open = 0  # connections

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
        host, port = loopback_address(address)
        is_told = False
        while True:
            try:
                listeners = await anyio.create_tcp_listener(local_host=host, local_port=port)
                async with listeners, anyio.create_task_group() as group:
                    self._log.info(Event.LISTENING, address=address)
                    is_told = False
                    await self._accept(cast("SocketListener", listeners.listeners[0]), group)
            except OSError as error:
                if not is_told:
                    self._log.warning(
                        Event.CANNOT_LISTEN,
                        address=address,
                        reason=error.strerror or str(error),
                        hint="choose another port for `listen`; it is tried again",
                    )
                is_told = True
            await anyio.sleep(AGAIN_S)

    async def _accept(self, listener: SocketListener, group: TaskGroup) -> None:
        while True:
            stream = await listener.accept()
            group.start_soon(self._answer, stream)

    async def _answer(self, stream: SocketStream) -> None:
        if self._open >= MOST_AT_ONCE:
            await anyio.aclose_forcefully(stream)
            return
        self._open += 1
        try:
            await exchange(stream, self._pages)
        except Exception as error:  # a defect of ours in an answer is no reason to stop mirroring
            self._log.alarm(Event.ANSWER_FAILED, exc=error, reason=f"{type(error).__name__}: {error}")
        finally:
            self._open -= 1
