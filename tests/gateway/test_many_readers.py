"""A hundred clients at once, while runs are pulled and changed: each is answered, and memory has bounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest

from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.gateway.served import Served, resident_bytes, served
from tests.mirroring import ENTITY, PROJECT, Mirror

CLIENTS = 100
RUNS = 120
MOST_BYTES = 500 * 2**20
WALK = """query Runs($after: String) { project(name: "proj", entityName: "team") {
  runs(first: 50, after: $after, order: "+created_at", filters: "{\\"group\\": \\"first\\"}") {
    edges { cursor node { id name config summaryMetrics tags } } pageInfo { hasNextPage } } } }"""
RUN = """query Run($n: String!) { project(name: "proj", entityName: "team") { run(name: $n) {
  config summaryMetrics history(samples: 500) files { edges { node { name directUrl sizeBytes } } }
  parquetHistory(liveKeys: ["_step"]) { parquetUrls } } } }"""
TAG = """mutation T($f: JSONString!) {
  modifyRuns(input: {entityName: "team", projectName: "proj", filters: $f, addTags: ["seen"]}) { runs { name } } }"""


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox.start() as sandbox:
        for number in range(RUNS):
            sandbox.clock.advance(1)
            history = [{"_step": step, "loss": step / 7} for step in range(50)] if number < 10 else []
            sandbox.state.add_run(
                ENTITY, PROJECT, f"r{number:03}", group="first", config={"text": "x" * 10_000, "number": number},
                summary={"loss": number}, history=history,
            )  # fmt: skip
            if number < 10:
                sandbox.state.add_file(ENTITY, PROJECT, f"r{number:03}", "big.bin", bytes([number]) * 2**20)
        yield sandbox


@pytest.fixture(scope="module")
def place(server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    found = Mirror(url=server.url, api_key=server.api_key, home=Home(tmp_path_factory.mktemp("many") / "home"))
    assert found.pull().errors == []
    return found


@pytest.fixture(scope="module")
def gateway(place: Mirror) -> Iterator[Served]:
    with served(place.home) as found:
        yield found


async def _ask(client: httpx.AsyncClient, query: str, **variables: Any) -> Any:
    answer = await client.post("/graphql", json={"query": query, "variables": variables})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert "errors" not in body, body["errors"]
    return body["data"]


async def _walk(client: httpx.AsyncClient) -> list[str]:
    """The names of all runs of the first group, page by page."""
    names: list[str] = []
    after = None
    while True:
        runs = (await _ask(client, WALK, after=after))["project"]["runs"]
        assert all(len(edge["node"]["config"]) > 10_000 for edge in runs["edges"])
        names += [edge["node"]["name"] for edge in runs["edges"]]
        if not runs["pageInfo"]["hasNextPage"]:
            return names
        after = runs["edges"][-1]["cursor"]


async def _read(client: httpx.AsyncClient, number: int) -> None:
    """One run with its history and the bytes of its file."""
    run = (await _ask(client, RUN, n=f"r{number % 10:03}"))["project"]["run"]
    assert len(run["history"]) == 50
    (file,) = [edge["node"] for edge in run["files"]["edges"] if edge["node"]["name"] == "big.bin"]
    content = (await client.get(file["directUrl"])).content
    assert content == bytes([number % 10]) * 2**20


def test_a_hundred_clients_are_answered_while_runs_are_pulled_and_changed(
    gateway: Served, place: Mirror, server: Sandbox
) -> None:
    names = [f"r{number:03}" for number in range(RUNS)]
    pulled: list[Any] = []

    async def client_of(number: int) -> None:
        async with httpx.AsyncClient(base_url=gateway.url, auth=("api", gateway.key), timeout=120) as client:
            if number % 10 == 0:
                await _ask(client, TAG, f=f'{{"name": "r{number:03}"}}')
            elif number % 2:
                assert await _walk(client) == names
            else:
                await _read(client, number)

    async def pull() -> None:
        for round_number in range(2):
            server.clock.advance(60)
            server.state.add_run(ENTITY, PROJECT, f"late {round_number}", group="second")
            pulled.append(await anyio.to_thread.run_sync(place.pull))

    async def all_at_once() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(pull)
            for number in range(CLIENTS):
                group.start_soon(client_of, number)

    anyio.run(all_at_once)
    assert [report.errors for report in pulled] == [[], []]
    assert len(place.run_ids()) == RUNS + 2
    assert gateway.ask(
        '{ project(name: "proj", entityName: "team") { runCount(filters: "{\\"tags\\": \\"seen\\"}") } }'
    )["data"] == {"project": {"runCount": 10}}
    assert resident_bytes(gateway.pid) < MOST_BYTES
