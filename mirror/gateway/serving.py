"""A gateway that serves: one event loop, until it is told to stop."""

from __future__ import annotations

import os
import socket
import threading

import uvicorn

from mirror.gateway.app import Gateway


def serve(gateway: Gateway, listening: socket.socket, *, until_closed: int | None = None) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        gateway: to be served.
        listening: where.
        until_closed: the reading end of a pipe; its end ends the gateway, too.
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
        http="h11",
        ws="none",
    )
    server = uvicorn.Server(config)
    if until_closed is not None:
        threading.Thread(target=_wait, args=(server, until_closed), daemon=True).start()
    gateway.prepare()
    server.run(sockets=[listening])


def _wait(server: uvicorn.Server, pipe: int) -> None:
    while os.read(pipe, 1):
        pass
    server.should_exit = True
