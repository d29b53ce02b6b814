"""Clients that ask for much and read nothing: memory stays bounded, and they are given up so that others are served."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.types import Message

from mirror.gateway import watch
from mirror.gateway.http import budget
from mirror.gateway.http.connections import GIVES_WAY_S, MOST_CONNECTIONS
from mirror.gateway.http.served_bytes import MOST_AT_ONCE
from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.gateway.served import Served, resident_bytes, served
from tests.mirroring import Mirror

QUERY = """{ project(name: "proj", entityName: "team") { runs(first: 1000) { edges { node { name config } } } } }"""
CLIENTS = 150
RUN_BYTES, RUNS = 100_000, 40
MOST_MB = 450


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Served]:
    with Sandbox.start() as sandbox:
        for number in range(RUNS):
            sandbox.state.add_run("team", "proj", f"r{number}", config={"text": "x" * RUN_BYTES})
        place = Mirror(url=sandbox.url, api_key=sandbox.api_key, home=Home(tmp_path / "home"), sources=("team/proj",))
        place.pull()
    with served(place.home) as found:
        yield found


def test_clients_that_read_nothing_take_no_more_memory_than_is_set_aside(gateway: Served) -> None:
    body = json.dumps({"query": QUERY}).encode()
    credentials = base64.b64encode(f"api:{gateway.key}".encode()).decode()
    head = f"POST /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {credentials}\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    port = int(gateway.url.rpartition(":")[2])
    with ExitStack() as opened:
        first = [opened.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(CLIENTS)]
        for client in first:
            client.sendall(request)
        for client in first[:10]:  # these are served by now, up to what the sockets' buffers hold
            client.settimeout(20)
            assert client.recv(15) == b"HTTP/1.1 200 OK"
        status = Path(f"/proc/{gateway.pid}/status")
        if status.exists():
            (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
            assert int(line.split()[1]) < MOST_MB * 1024
    assert "errors" not in gateway.ask(QUERY)


def test_an_answer_that_would_be_too_large_is_one_sentence(gateway: Served) -> None:
    again = " ".join(f"c{number}: config" for number in range(9))
    answer = gateway.post({"query": QUERY.replace("config", again)})
    assert (answer.status_code, [error["message"] for error in answer.json()["errors"]]) == (413, [watch.TOO_LARGE])
    assert gateway.post({"query": QUERY.replace("config", f"{'x' * 900_000}: id")}).status_code == 413
    assert "errors" not in gateway.ask(QUERY)


@pytest.mark.anyio
async def test_a_client_that_reads_nothing_is_given_up_and_its_room_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "STALLED_S", 0.01)
    room = budget.Budget(most=10)
    answer = budget.SentInPieces(b"x" * 10)
    room.take(answer)

    async def stalled(message: Message) -> None:
        if message["type"] == "http.response.body":
            await anyio.sleep_forever()

    async def nothing() -> Message:
        return {"type": "http.request"}

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(room.room)  # another answer, which waits for that room
            await answer({"type": "http"}, nothing, stalled)


def _file(gateway: Served, size: int) -> str:
    """The path of a signed address of a file."""
    create = """mutation { createRunFiles(input: {entityName: "team", projectName: "proj", runName: "r0",
      files: ["long.bin"]}) { files { uploadUrl } } }"""
    (file,) = gateway.ask(create)["data"]["createRunFiles"]["files"]
    assert httpx.put(file["uploadUrl"], content=bytes(size), timeout=60).status_code == 200
    files = """{ project(name: "proj", entityName: "team") { run(name: "r0") { files(names: ["long.bin"]) {
      edges { node { directUrl } } } } } }"""
    run = gateway.ask(files)["data"]["project"]["run"]
    return str(run["files"]["edges"][0]["node"]["directUrl"].removeprefix(gateway.url))


def _unread(opened: ExitStack, gateway: Served, request: bytes) -> socket.socket:
    """A client that takes no more than a few bytes of what it asks for."""
    host, port = gateway.url.removeprefix("http://").split(":")
    client = opened.enter_context(socket.socket())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.settimeout(20)
    client.connect((host, int(port)))
    client.sendall(request)
    return client


def test_files_that_nobody_reads_leave_room_for_questions_and_take_little_memory(gateway: Served) -> None:
    path = _file(gateway, 6 * 2**20)
    before = resident_bytes(gateway.pid)
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with ExitStack() as opened:
        for _ in range(MOST_AT_ONCE):
            _unread(opened, gateway, request)
        refused = [_unread(opened, gateway, request) for _ in range(MOST_CONNECTIONS - MOST_AT_ONCE + 10)]
        assert refused[-1].recv(12) == b"HTTP/1.1 503"
        assert httpx.get(f"{gateway.url}/ready", timeout=5).status_code == 200
        assert gateway.post({"query": "{ viewer { username } }"}).status_code == 200
        assert resident_bytes(gateway.pid) - before < 100 * 2**20
    assert len(httpx.get(gateway.url + path, timeout=20).content) == 6 * 2**20


def test_who_neither_sends_nor_reads_gives_way_to_who_comes(gateway: Served) -> None:
    path = _file(gateway, 6 * 2**20)
    credentials = base64.b64encode(f"api:{gateway.key}".encode()).decode()
    unread = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    unsent = f"POST /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {credentials}\r\n".encode()
    with ExitStack() as opened:
        for number in range(MOST_CONNECTIONS):
            _unread(opened, gateway, unread if number % 2 else unsent + b"Content-Length: 1000\r\n\r\n{")
        time.sleep(GIVES_WAY_S + 0.5)
        for _ in range(20):
            assert httpx.get(f"{gateway.url}/ready", timeout=5).status_code == 200
