"""A gateway that serves: one event loop, until it is told to stop."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn

from mirror.gateway.http.app import Gateway
from mirror.gateway.http.connections import BoundedProtocol, allow_connections

_BACKLOG = 128  # connections that are accepted at a time, before any of them is looked at


def serve(gateway: Gateway, listening: socket.socket, *, until: Callable[[], object] | None = None) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        gateway: to be served.
        listening: where.
        until: waits, in a thread of its own, for what ends the gateway, too.
    """
    config = uvicorn.Config(
        gateway.asgi,
        log_config=None,
        log_level="critical",
        access_log=False,  # it would hold signed addresses
        lifespan="off",
        server_header=False,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=5,
        http=BoundedProtocol,
        backlog=_BACKLOG,
        ws="none",
    )
    BoundedProtocol.most = allow_connections()
    server = _Server(config)
    if until is not None:
        threading.Thread(target=_wait, args=(server, until), daemon=True).start()
    gateway.prepare()
    server.run(sockets=[listening])
    gateway.close()


class _Server(uvicorn.Server):
    """A server that a signal ends as it should: uvicorn sends itself the signal once more when it has ended."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let SIGTERM and Ctrl-C end what is under way first; a second one ends at once."""
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _wait(server: uvicorn.Server, until: Callable[[], object]) -> None:
    until()
    server.should_exit = True
