"""How fast a replay delivers beside a bare client, and what a long backlog costs: `pytest -m bench -n 0 -s`."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest

from mirror.api.documents import queries as documents
from mirror.api.documents import writes as write_documents
from mirror.clock import utc_now
from mirror.config import ServerSettings
from mirror.layout import Home
from mirror.outbox import Outbox
from mirror.outbox.names import name_of, next_id
from mirror.records.addresses import RunPath
from mirror.records.operations import Change, Edit, Entry, encode_entry
from tests.mirroring import ENTITY, PROJECT
from tests.replaying import Sender

pytestmark = pytest.mark.bench

RUNS = 1000
AT_ONCE = ServerSettings().concurrent_requests
GOAL = 0.8
GOAL_ON_LOOPBACK = 0.3  # nothing but the processor limits both: what a delivery costs beside its two requests shows
ROUNDS = 3  # each beside its own bare client, since the machine may be shared
BACKLOG = 100_000
SMALL = (1_000, 4_000)  # backlogs that are drained in any case
MOST_EXTRA_MB = 40
IN_MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None

START = """
import resource, sys, time
from pathlib import Path
from mirror.layout import Home
from tests.replaying import Sender
sender = Sender(url=sys.argv[1], api_key=sys.argv[2], home=Home(Path(sys.argv[3])), features=frozenset(), policy="ours")
start = time.perf_counter()
report = sender.replay()
print(report.applied, report.put_back, time.perf_counter() - start,
      resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@contextlib.contextmanager
def server(*command_line: str) -> Iterator[tuple[str, str]]:
    command = [sys.executable, "-m", *command_line]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url, key = process.stdout.readline().split()
        try:
            yield url, key
        finally:
            process.communicate("")


async def bare(url: str, key: str, mark: str) -> float:
    """Seconds of one look and one edit of each run, with nothing kept and nothing compared."""
    turns = anyio.Semaphore(AT_ONCE)
    started = time.perf_counter()
    async with httpx.AsyncClient(auth=("api", key), timeout=60) as http:

        async def ask(document: str, variables: object) -> dict[str, dict[str, dict[str, str]]]:
            answer = await http.post(f"{url}/graphql", json={"query": document, "variables": variables})
            return answer.json()["data"]  # type: ignore[no-any-return]

        async def one(number: int) -> None:
            async with turns:
                run = {"entity": ENTITY, "project": PROJECT, "run": f"r{number:06}"}
                found = (await ask(documents.RUN, run))["project"]["run"]
                await ask(write_documents.UPSERT_RUN, {"input": {"id": found["id"], "notes": mark}})

        async with anyio.create_task_group() as group:
            for number in range(RUNS):
                group.start_soon(one, number)
    return time.perf_counter() - started


def fill(home: Home, count: int, *, mark: str) -> None:
    """A backlog of edits of as many runs, without the time that flushing each would take."""
    outbox = Outbox(home)
    with outbox.replaying():  # makes the folders
        last = None
        for number in range(count):
            last = next_id(1_900_000_000_000 + number, last)
            path = RunPath(ENTITY, PROJECT, f"r{number:06}")
            entry = Entry(
                id=last, entity=path[0], project=path[1], run_id=path[2], storage_id="known",
                operation=Edit(fields={"notes": Change(base=None, value=mark)}), created_at=utc_now(),
            )  # fmt: skip
            (home.outbox / "new" / name_of(last, path)).write_bytes(encode_entry(entry))


@pytest.mark.parametrize(("latency_s", "goal"), [(0.025, GOAL), (0.0, GOAL_ON_LOOPBACK)], ids=["25ms", "0ms"])
def test_a_thousand_independent_entries_go_as_fast_as_the_server_lets_a_bare_client(
    tmp_path: Path, latency_s: float, goal: float
) -> None:
    """W&B is tens of milliseconds away; a sandbox that answers in one is as busy as we are, and shares two cores."""
    pairs = []
    with server("tests.bench.server", str(RUNS), str(latency_s)) as (url, key):
        for number in range(ROUNDS):
            took = anyio.run(bare, url, key, "")
            sender = Sender(url=url, api_key=key, home=Home(tmp_path / f"home{number}"), server=ServerSettings())
            sender.policy = "ours"
            sender.replay()  # makes the lake
            fill(sender.home, RUNS, mark=f"ours {number}")
            started = time.perf_counter()
            report = sender.replay()
            pairs.append((took, time.perf_counter() - started))
            assert report.applied == RUNS
    ratio = statistics.median(took / ours for took, ours in pairs)
    print("\n" + json.dumps([[round(one, 2) for one in pair] for pair in pairs]))
    rate = RUNS / statistics.median(ours for _, ours in pairs)
    print(f"replay at {latency_s * 1000:g} ms: {rate:,.0f} entries a second, {ratio:.2f} of a bare client, goal {GOAL}")
    assert ratio >= goal


def drained(url: str, key: str, home: Home) -> tuple[int, int, float, int]:
    """Applied, put back, seconds and peak MB of one replay in a process of its own."""
    command = [sys.executable, "-c", START, url, key, str(home.root)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    applied, put_back, seconds, peak = done.stdout.split()
    return int(applied), int(put_back), float(seconds), int(peak)


@pytest.mark.parametrize("sizes", [SMALL, pytest.param((SMALL[0], BACKLOG), marks=pytest.mark.soak)], ids=str)
def test_a_long_backlog_is_delivered_in_the_memory_of_a_short_one(sizes: tuple[int, int]) -> None:
    """The long one is also begun while nobody answers; it takes minutes to drain, so that is done when asked for."""
    peaks = []
    with server("tests.bench.quick_server") as (url, key):
        for size in sizes:
            with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
                home = Home(Path(folder) / "home")
                fill(home, size, mark=f"of {size}")
                applied, put_back, seconds, peak = drained(url, key, home)
                print(f"\n{size:,} entries: {applied:,} delivered in {seconds:.1f} s, peak {peak} MB")
                assert (applied, put_back) == (size, 0)
                peaks.append(peak)
    assert peaks[1] - peaks[0] < MOST_EXTRA_MB


def test_a_long_backlog_begins_at_once_and_ends_at_once_when_nobody_answers() -> None:
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        home = Home(Path(folder) / "home")
        fill(home, BACKLOG, mark="x")
        applied, put_back, seconds, peak = drained("http://127.0.0.1:9", "k" * 40, home)
        print(f"{BACKLOG:,} entries, the server away: the round begins and ends in {seconds:.1f} s, peak {peak} MB")
        assert applied == 0
        assert put_back <= 16
