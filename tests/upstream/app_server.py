"""An ASGI application, served on a free port of loopback by a thread."""

from __future__ import annotations

import threading

import uvicorn
from starlette.types import ASGIApp


class AppServer:
    """A context manager.

    Args:
        app: to be served.
    """

    def __init__(self, app: ASGIApp) -> None:
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False, lifespan="off")
        self._socket = config.bind_socket()
        self._socket.listen()  # who comes before the thread serves waits
        self._server = uvicorn.Server(config)
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def __enter__(self) -> AppServer:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
