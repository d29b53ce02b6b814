"""The daemon's answers on loopback: to those who may ask, quickly, and whatever they send."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import httpx
import msgspec
import pytest

from mirror.daemon.http.endpoint import MOST_AT_ONCE, Endpoint
from mirror.daemon.http.exchange import Pages, Response, is_loopback_host
from mirror.daemon.http.pages import DaemonPages
from mirror.daemon.logs import Log
from mirror.daemon.status.health import Finding
from tests.daemon.test_health import WELL

pytestmark = pytest.mark.anyio
FINDING = Finding(name="conflicts", sentence="operations in conflict: 1", hint="`wandb-mirror outbox resolve`")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Place:
    """An endpoint, its port and its log."""

    def __init__(self, pages: Pages) -> None:
        self.out = io.StringIO()
        self.port = free_port()
        self.endpoint = Endpoint(Log(self.out, readable=False), pages)
        self.endpoint.move(f"127.0.0.1:{self.port}")

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, self.out.getvalue().splitlines()) if line["event"] == name]

    async def until(self, name: str, count: int = 1) -> None:
        with anyio.fail_after(30):
            while len(self.events(name)) < count:
                await anyio.sleep(0.01)

    async def ask(self, path: str, *, method: str = "GET", **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            return await client.request(method, f"http://127.0.0.1:{self.port}{path}", headers=headers)

    async def send(self, content: bytes) -> bytes:
        """What comes back for bytes that need be no HTTP, until the other side closes."""
        async with await anyio.connect_tcp("127.0.0.1", self.port) as stream:
            await stream.send(content)
            came = b""
            with anyio.fail_after(30):
                try:
                    while True:
                        came += await stream.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    return came


def echo(path: str) -> Response | None:
    return Response(status=200, body=b"here\n") if path == "/here" else None


@asynccontextmanager
async def serving(pages: Pages = echo) -> AsyncIterator[Place]:
    place = Place(pages)
    async with anyio.create_task_group() as group:
        group.start_soon(place.endpoint.run)
        await place.until("listening")
        yield place
        group.cancel_scope.cancel()


async def test_get_and_head_are_answered_and_nothing_else() -> None:
    async with serving() as place:
        got = await place.ask("/here?x=1")
        assert (got.status_code, got.text, got.headers["connection"]) == (200, "here\n", "close")
        head = await place.ask("/here", method="HEAD")
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "5")
        assert (await place.ask("/there")).status_code == 404
        posted = await place.ask("/here", method="POST")
        assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")


async def test_a_page_of_the_web_that_resolves_to_loopback_learns_nothing() -> None:
    async with serving() as place:
        assert (await place.ask("/here", Host="rebound.example.com")).status_code == 421
        assert (await place.ask("/here", Host="localhost:9")).status_code == 200


@pytest.mark.parametrize(
    ("host", "is_one"),
    [
        ("localhost", True),
        ("LOCALHOST:80", True),
        ("127.0.0.1:9155", True),
        ("127.9.9.9", True),
        ("[::1]:9155", True),
        ("", False),
        ("example.com", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com:80", False),
        ("127.0.0.1:80@example.com", False),
        ("[::1", True),
        ("[::2]", False),
        ("0.0.0.0", False),
        ("192.168.0.1", False),
    ],
)
async def test_only_names_of_this_machine_are_hosts(host: str, is_one: bool) -> None:
    assert is_loopback_host(host) is is_one


async def test_nonsense_and_endless_headers_are_refused_in_bounded_memory() -> None:
    async with serving() as place:
        assert b" 400 " in (await place.send(b"\x16\x03\x01\x02\x00 nonsense\r\n\r\n")).splitlines()[0]
        assert b" 400 " in (await place.send(b"GET /here HTTP/1.1\r\n\r\n")).splitlines()[0], "no Host"
        assert (
            b" 431 "
            in (await place.send(b"GET /here HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000)).splitlines()[0]
        )
        assert (await place.ask("/here")).status_code == 200


async def test_those_who_say_nothing_are_left_and_those_who_are_too_many_are_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mirror.daemon.http.exchange.PATIENCE_S", 0.5)
    async with serving() as place:
        silent = [await anyio.connect_tcp("127.0.0.1", place.port) for _ in range(MOST_AT_ONCE)]
        for stream in silent[1::2]:
            await stream.send(b"GET /here HTT")
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await place.ask("/here")
        with anyio.fail_after(30):
            for stream in silent:
                with pytest.raises(anyio.EndOfStream):
                    await stream.receive()
                await stream.aclose()
        assert (await place.ask("/here")).status_code == 200


async def test_a_defect_in_an_answer_is_logged_and_ends_nothing() -> None:
    def broken(path: str) -> Response | None:
        raise ZeroDivisionError(path)

    async with serving(broken) as place:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await place.ask("/here")
        assert place.events("answer_failed")[0]["level"] == "error"
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await place.ask("/here")


async def test_a_port_in_use_is_said_once_and_tried_until_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mirror.daemon.listening.AGAIN_S", 0.05)
    place = Place(echo)
    with socket.create_server(("127.0.0.1", place.port)):
        async with anyio.create_task_group() as group:
            group.start_soon(place.endpoint.run)
            await place.until("cannot_listen")
            await anyio.sleep(0.3)
            assert len(place.events("cannot_listen")) == 1
            assert place.events("listening") == []
            group.cancel_scope.cancel()
    async with anyio.create_task_group() as group:
        group.start_soon(place.endpoint.run)
        await place.until("listening")
        group.cancel_scope.cancel()


async def test_another_address_moves_it_and_none_closes_it() -> None:
    async with serving() as place:
        first, place.port = place.port, free_port()
        place.endpoint.move(f"127.0.0.1:{place.port}")
        await place.until("listening", 2)
        assert (await place.ask("/here")).status_code == 200
        with pytest.raises(OSError):
            await anyio.connect_tcp("127.0.0.1", first)
        place.endpoint.move("")
        with anyio.fail_after(30):
            while await can_connect(place.port):
                await anyio.sleep(0.01)


async def can_connect(port: int) -> bool:
    try:
        await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("said", "findings", "status", "state"),
    [(None, [], 503, "starting"), (WELL, [], 200, "online"), (WELL, [FINDING], 503, "online")],
)
async def test_healthz_says_whether_something_waits_for_a_person(
    said: Any, findings: list[Finding], status: int, state: str
) -> None:
    answer = DaemonPages(lambda: said, lambda: findings)("/healthz")
    assert answer is not None
    assert (answer.status, answer.kind) == (status, "application/json")
    body = json.loads(answer.body)
    assert body == {"healthy": status == 200, "state": state, "findings": msgspec.to_builtins(findings)}


async def test_metrics_without_the_library_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mirror.daemon.http.pages.HAS_METRICS", False)
    pages: Callable[[str], Response | None] = DaemonPages(lambda: WELL, list)
    answer = pages("/metrics")
    assert answer is not None
    assert answer.status == 501
    assert b"pip install" in answer.body
