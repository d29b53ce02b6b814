"""A bare HTTP/1.1 server on one event loop, which costs so little that it is not what is measured."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple

HOST = "127.0.0.1"
KEY = "k" * 40


class Asked(NamedTuple):
    """A request, read whole."""

    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class Answer(NamedTuple):
    """An answer, with its status line's end and more header lines."""

    body: bytes
    status: str = "200 OK"
    headers: str = ""


Respond = Callable[[Asked], Answer]


class Connection(asyncio.Protocol):
    """One connection: requests one after the other, each answered whole, after so many seconds."""

    def __init__(self, respond: Respond, latency_s: float) -> None:
        self._respond, self._latency_s = respond, latency_s
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where answers go."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer the requests that are there whole."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            first, *lines = self._received[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            stop = end + 4 + int(headers.get("content-length", 0))
            if len(self._received) < stop:
                return
            body, self._received = self._received[end + 4 : stop], self._received[stop:]
            method, path, _ = first.split(" ")
            answer = self._respond(Asked(path, headers, body))
            head = f"HTTP/1.1 {answer.status}\r\nContent-Length: {len(answer.body)}\r\n{answer.headers}\r\n"
            self._later(head.encode("latin-1") + (b"" if method == "HEAD" else answer.body))

    def _later(self, content: bytes) -> None:
        if self._latency_s:
            asyncio.get_running_loop().call_later(self._latency_s, self._transport.write, content)
        else:
            self._transport.write(content)


def start(respond: Respond, *, latency_s: float = 0.0) -> int:
    """Serve in a thread until the process ends; the port."""
    ports: list[int] = []
    is_up = threading.Event()

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: Connection(respond, latency_s), HOST, 0)
        ports.append(server.sockets[0].getsockname()[1])
        is_up.set()
        await server.serve_forever()

    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    is_up.wait()
    return ports[0]


def serve_until_told(port: int) -> None:
    """Say where, and wait for the end of the standard input."""
    print(f"http://{HOST}:{port}", KEY, flush=True)
    sys.stdin.read()
