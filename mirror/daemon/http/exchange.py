"""One question over HTTP and its answer: whoever asks is bounded in time and bytes, and can only ask.

Programs of this machine are let in, pages of the web are not: a browser that was led here by a name that suddenly
resolves to loopback sends that name as `Host`, and is told that it is misdirected.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Callable
from http import HTTPStatus

import anyio
import h11
import msgspec
from anyio.abc import ByteStream

PATIENCE_S = 5.0  # from the connection to the last byte of the answer
LONGEST_HEAD = 16_384  # bytes of a request's line and headers
TEXT = "text/plain; charset=utf-8"


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent back."""

    status: int
    body: bytes
    kind: str = TEXT  # the content type


Pages = Callable[[str], Response | None]  # from a path to what is there


async def exchange(stream: ByteStream, *, pages: Pages) -> None:
    """Read one request, answer it, and close. Neither silence, nor slowness, nor nonsense is an error here.

    Args:
        stream: a new connection.
        pages: called once, with the path that is asked for; quick.
    """
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LONGEST_HEAD)
    async with stream:
        with (
            anyio.move_on_after(PATIENCE_S),
            contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError),
        ):
            try:
                request = await _request(connection, stream)
            except h11.RemoteProtocolError as error:
                refusal = Response(status=error.error_status_hint, body=b"this is no HTTP request\n")
                await stream.send(_encoded(connection, refusal, has_body=True))
                return
            if request is not None:
                answer = answer_to(request, pages)
                await stream.send(_encoded(connection, answer, has_body=request.method != b"HEAD"))


async def _request(connection: h11.Connection, stream: ByteStream) -> h11.Request | None:
    """The head of a request; None when the other side closed without one.

    Raises:
        h11.RemoteProtocolError: it is none, or too long.
    """
    while (event := connection.next_event()) is h11.NEED_DATA:
        try:
            connection.receive_data(await stream.receive(4096))
        except anyio.EndOfStream:
            connection.receive_data(b"")
    return event if isinstance(event, h11.Request) else None


def answer_to(request: h11.Request, pages: Pages) -> Response:
    """The rules: loopback names only, GET and HEAD only, known paths only."""
    hosts = [value.decode("latin-1") for name, value in request.headers if name == b"host"]
    if not all(map(is_loopback_host, hosts)):
        return Response(status=421, body=b"ask for localhost\n")
    if request.method not in (b"GET", b"HEAD"):
        return Response(status=405, body=b"only GET and HEAD are answered\n")
    path = request.target.decode("latin-1").partition("?")[0]
    return pages(path) or Response(status=404, body=b"there are /healthz and /metrics\n")


def is_loopback_host(host: str) -> bool:
    """Whether a `Host` header names this machine; the port may be that of a tunnel."""
    if host.startswith("["):
        name, _, port = host[1:].partition("]")
        port = port.removeprefix(":")
    else:
        name, _, port = host.partition(":")
    if port and not (port.isascii() and port.isdecimal()):
        return False
    if name.lower() in ("localhost", "localhost."):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _encoded(connection: h11.Connection, answer: Response, *, has_body: bool) -> bytes:
    headers = [
        ("Content-Type", answer.kind),
        ("Content-Length", str(len(answer.body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Connection", "close"),
    ]
    if answer.status == 405:
        headers.append(("Allow", "GET, HEAD"))
    head = (
        connection.send(
            h11.Response(status_code=answer.status, reason=HTTPStatus(answer.status).phrase, headers=headers)
        )
        or b""
    )
    body = connection.send(h11.Data(data=answer.body)) or b"" if has_body else b""
    return head + body
