"""A cable between a program and a server: it can be pulled out, or carry nothing while it stays in."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from types import TracebackType

_CHUNK = 1 << 16


class Cable:
    """Forwards a port of its own to another of loopback; a context manager.

    Args:
        port: where it leads.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._turn = threading.Lock()
        self._carries = threading.Event()
        self._carries.set()
        self._is_out = False
        self._closing = False

    def __enter__(self) -> Cable:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._carries.set()
        self._listener.close()
        self._drop()

    def pull_out(self) -> None:
        """End all connections, and take no more."""
        self._is_out = True
        self._drop()

    def hold(self) -> None:
        """Carry nothing, in both directions; nobody is told."""
        self._carries.clear()

    def restore(self) -> None:
        """As before."""
        self._is_out = False
        self._carries.set()

    def _drop(self) -> None:
        with self._turn:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def _accept(self) -> None:
        while not self._closing:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._is_out:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._target), 5)
            except OSError:
                near.close()
                continue
            with self._turn:
                self._pairs.add((near, far))
            threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), selectors.DefaultSelector() as ready:
            ready.register(near, selectors.EVENT_READ, far)
            ready.register(far, selectors.EVENT_READ, near)
            while not self._closing:
                for key, _ in ready.select(1.0):
                    self._carries.wait()
                    assert isinstance(key.fileobj, socket.socket)
                    content = key.fileobj.recv(_CHUNK)
                    if not content:
                        raise OSError
                    key.data.sendall(content)
        with self._turn:
            self._pairs.discard((near, far))
        near.close()
        far.close()
