"""The first pull of runs with everything in them, beside a bare fetch of the same bytes and the SDK.

A run has a config, a summary, an export of 2,000 steps and 20 keys, and five small files. The bare client sends
the very requests of a pull with httpx, gets every address that the answers name, 16 at a time, and keeps nothing.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx

from mirror.layout import Home
from tests.bench.figures import Figure, at_least, at_most, figure
from tests.bench.measuring import Context, Server, busy, cpus, in_turn, python, sdk_environment, serving, walls
from tests.mirroring import SOURCE, Mirror

AT_ONCE = 16
KEYS = 20

SDK = """
import sys, time, wandb
from concurrent.futures import ThreadPoolExecutor
source, folder, runs, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
api = wandb.Api(timeout=60)
def take(run):
    run.config, run.summary
    for row in run.scan_history(): pass
    for file in run.files(): file.download(root=f"{folder}/{run.id}", replace=True)
started = time.perf_counter()
chosen = list(api.runs(source))[:runs]
with ThreadPoolExecutor(threads) as pool: list(pool.map(take, chosen))
print(time.perf_counter() - started)
"""


async def bare_fetch(url: str, key: str, asked: list[dict[str, Any]], storage: re.Pattern[str]) -> int:
    """How many bytes of files and exports came."""
    received = 0
    limits = httpx.Limits(max_connections=AT_ONCE)
    turns = anyio.Semaphore(AT_ONCE)
    async with (
        httpx.AsyncClient(auth=("api", key), timeout=60) as api,
        httpx.AsyncClient(limits=limits, timeout=60) as http,
        anyio.create_task_group() as group,
    ):

        async def one(address: str) -> None:
            nonlocal received
            async with turns:
                answer = await http.get(address)
            received += len(answer.content)

        for question in asked:
            answer = await api.post(f"{url}/graphql", json=question)
            for address in set(storage.findall(answer.text)):
                group.start_soon(one, address)
    return received


def sdk_seconds(server: Server, folder: Path, runs: int, threads: int) -> float:
    """Seconds of the SDK taking runs with all that is in them."""
    return float(python(SDK, SOURCE, folder, runs, threads, env=sdk_environment(server, folder)).split()[-1])


def bench(context: Context) -> Iterator[Figure]:
    """Both sizes, one after the other."""
    for runs in context.of((2,), (200, 1_000)):
        yield from of_size(Context(context.folder / str(runs), context.is_full), runs)


def of_size(context: Context, runs: int) -> Iterator[Figure]:
    """The first pull of so many runs."""
    content = context.folder / "content"
    content.mkdir(parents=True)
    steps = context.of(20, 2_000)
    with serving("static", content) as static, serving("contents", runs, steps, KEYS, content, static.url) as server:
        numbers = itertools.count()

        def pull() -> None:
            home = Home(context.folder / f"home{next(numbers)}")
            report = Mirror(url=server.url, api_key=server.key, home=home).pull()
            assert (report.failures, report.errors) == (0, [])

        pull()  # what the sandbox computes once is computed
        asked = json.loads(server.ask("requests"))
        storage = re.compile(re.escape(static.url) + r'[^"\\]+')

        def bare() -> None:
            assert anyio.run(bare_fetch, server.url, server.key, asked, storage) > runs * 5 * 2_000

        ours, theirs = in_turn(context.of(1, 5), pull, bare, servers=(server, static))
        work, note = f"first pull of {runs:,} runs", busy(ours, theirs)
        yield figure(work, "bare httpx", walls(ours), walls(theirs), goal=at_most(1.5), note=note)
        yield figure(work, "bare httpx", cpus(ours), cpus(theirs), goal=at_most(2), unit="s CPU", note=note)
        for threads, part, goal in context.of(((AT_ONCE, 1, 6),), ((1, 20, 25), (AT_ONCE, 100, 6))):
            (pulls,) = in_turn(context.of(1, 2), pull, servers=(server, static))
            seconds = [sdk_seconds(server, context.folder, part, threads) * runs / part for _ in pulls]
            name = "the SDK in a loop" if threads == 1 else f"the SDK on {threads} threads"
            yield figure(work, name, walls(pulls), seconds, goal=at_least(goal), note=f"{part} of the runs, scaled")
