"""A replay of a thousand edits, beside a bare client that sends the same three requests for each and keeps nothing.

The server costs next to nothing (`servers.edits`) and is 1 ms or 25 ms away; both have as many requests under way.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx

from mirror.api.documents import queries as documents
from mirror.api.documents import writes as write_documents
from mirror.config import ServerSettings
from mirror.layout import Home
from tests.bench.backlogs import fill
from tests.bench.figures import Figure, at_least, figure
from tests.bench.made_runs import run_id
from tests.bench.measuring import Context, Server, busy, cpus, in_turn, serving, walls
from tests.mirroring import ENTITY, PROJECT
from tests.replaying import Sender

SETTINGS = ServerSettings()


async def bare(url: str, key: str, runs: int, mark: str) -> None:
    """A look, an edit, and another look at each run."""
    turns = anyio.Semaphore(SETTINGS.concurrent_requests)
    async with (
        httpx.AsyncClient(auth=("api", key), timeout=60) as http,
        anyio.create_task_group() as group,
    ):

        async def ask(document: str, variables: object) -> dict[str, dict[str, dict[str, str]]]:
            answer = await http.post(f"{url}/graphql", json={"query": document, "variables": variables})
            return answer.json()["data"]  # type: ignore[no-any-return]

        async def one(name: str) -> None:
            async with turns:
                named = {"entity": ENTITY, "project": PROJECT, "run": name}
                found = (await ask(documents.RUN, named))["project"]["run"]
                await ask(write_documents.UPSERT_RUN, {"input": {"id": found["id"], "notes": mark}})
                await ask(documents.RUN, named)

        for number in range(runs):
            group.start_soon(one, run_id(number))


def bench(context: Context) -> Iterator[Figure]:
    """Near, then far."""
    runs, rounds = context.of((5, 1), (1_000, 7))
    for latency_ms, goal in context.of(((1, 0.6),), ((1, 0.6), (25, 0.8))):
        with serving("edits", latency_ms / 1000) as server:
            senders = iter([waiting(server, context.folder / f"{latency_ms}-{n}", runs) for n in range(rounds)])
            marks = iter(range(rounds))

            def replay(senders: Iterator[Sender] = senders) -> None:
                assert next(senders).replay().applied == runs

            def beside(server: Server = server, marks: Iterator[int] = marks) -> None:
                anyio.run(bare, server.url, server.key, runs, f"bare {next(marks)}")

            ours, theirs = in_turn(rounds, replay, beside, servers=(server,))
        work, note = f"replay of {runs:,} edits, {latency_ms} ms away", busy(ours, theirs)
        yield figure(work, "a bare client", walls(ours), walls(theirs), goal=at_least(goal), note=note)
        yield figure(work, "a bare client", cpus(ours), cpus(theirs), unit="s CPU", note=note)


def waiting(server: Server, folder: Path, runs: int) -> Sender:
    """A home with a lake and so many entries."""
    home = Home(folder)
    sender = Sender(url=server.url, api_key=server.key, home=home, server=SETTINGS, policy="ours", features=frozenset())
    sender.replay()  # makes the lake
    fill(home, runs, mark=folder.name)
    return sender
