"""Clients that ask for much and read nothing: memory stays bounded, and they are given up so that others are served."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import anyio
import pytest
from starlette.types import Message

from mirror.gateway import budget
from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.gateway.served import Served, served
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


@pytest.mark.anyio
async def test_a_client_that_reads_nothing_is_given_up_and_its_room_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "STALLED_S", 0.01)
    room = budget.Budget(most=10)
    room.take(10)
    answer = budget.SentInPieces(b"x" * 10)
    answer.done = partial(room.give_back, 10)

    async def stalled(message: Message) -> None:
        if message["type"] == "http.response.body":
            await anyio.sleep_forever()

    async def nothing() -> Message:
        return {"type": "http.request"}

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(room.room)  # another answer, which waits for that room
            await answer({"type": "http"}, nothing, stalled)
