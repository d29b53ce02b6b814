"""The first pull of runs with everything in them, beside a bare fetch of the same bytes and the SDK's own loop.

Printed as ratios; only counts of requests are asserted, since these machines are shared.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from mirror.api.client import Client
from mirror.api.transport.credentials import ApiKey
from mirror.api.transport.deployment import deployment_of
from mirror.config import ServerSettings
from mirror.layout import Home
from tests.mirroring import ENTITY, PROJECT, Mirror

pytestmark = pytest.mark.bench
AT_ONCE = 16
PAGE = 50


@contextlib.contextmanager
def server(runs: int, steps: int, keys: int) -> Iterator[tuple[str, str]]:
    command = [sys.executable, "-m", "tests.bench.contents_server", str(runs), str(steps), str(keys)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url, key = process.stdout.readline().split()
        try:
            yield url, key
        finally:
            process.communicate("")


async def bare_fetch(url: str, key: str) -> tuple[float, int, int]:
    """Seconds, bytes and GraphQL requests of fetching every listed address, 16 at a time, and keeping nothing."""
    started = time.perf_counter()
    settings = ServerSettings()
    received = 0
    async with (
        Client(deployment_of(url), ApiKey(key, "a bench"), settings) as client,
        httpx.AsyncClient(limits=httpx.Limits(max_connections=AT_ONCE)) as http,
    ):
        turns = anyio.Semaphore(AT_ONCE)

        async def one(address: str) -> None:
            nonlocal received
            async with turns:
                answer = await http.get(address)
            received += len(answer.content)

        after, more = None, True
        while more:
            page = await client.runs_page(ENTITY, PROJECT, first=PAGE, after=after, with_contents=True)
            assert page is not None
            addresses = [
                address.reveal()
                for found in page.contents.values()
                for address in (*found.export_urls, *(file.url for file in found.files))  # type: ignore[union-attr]
            ]
            async with anyio.create_task_group() as group:
                for address in addresses:
                    group.start_soon(one, address)
            after, more = page.after, page.has_next
        return time.perf_counter() - started, received, client.spent.graphql_requests


def sdk_loop(url: str, key: str, folder: Path, runs: int) -> float:
    """Seconds of the SDK reading history and files of some runs, one after the other."""
    program = (
        "import sys, time, wandb\n"
        "api = wandb.Api(timeout=60)\n"
        "started = time.perf_counter()\n"
        f"for run in list(api.runs('{ENTITY}/{PROJECT}'))[:{runs}]:\n"
        "    run.config, run.summary\n"
        "    rows = sum(1 for _ in run.scan_history())\n"
        "    for file in run.files(): file.download(root=sys.argv[1], replace=True)\n"
        "print(time.perf_counter() - started)\n"
    )
    env = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "WANDB_BASE_URL": url,
        "WANDB_API_KEY": key,
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_CACHE_DIR": str(folder),
        "WANDB_DIR": str(folder),
    }
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], env=env, capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def test_the_first_pull_beside_a_bare_fetch_and_the_sdk(tmp_path: Path) -> None:
    runs, steps, keys = 200, 2000, 20
    with server(runs, steps, keys) as (url, key):
        fetches: list[tuple[float, int, int]] = []
        pulls: list[tuple[float, Any]] = []
        for number in range(3):  # in turn, so that both meet whatever else the machine does
            fetches.append(anyio.run(bare_fetch, url, key))
            mirror = Mirror(url=url, api_key=key, home=Home(tmp_path / f"home{number}"))
            started = time.perf_counter()
            report = mirror.pull()
            pulls.append((time.perf_counter() - started, report))
            assert report.failures == 0
            assert not report.errors
        best = min(fetches)
        seconds, report = min(pulls, key=lambda found: found[0])
        (values,) = mirror.ask("SELECT count(*) AS n FROM metrics WHERE key NOT LIKE '\\_%' ESCAPE '\\'")
        assert values["n"] == runs * steps * keys
        sdk = sdk_loop(url, key, tmp_path, 10) * runs / 10
    print(f"\nbare fetch {best[0]:.2f} s, {best[1] / 1e6:.0f} MB, {best[2]} requests")
    print(f"first pull {seconds:.2f} s, lake committed, {report.requests} requests: {seconds / best[0]:.2f} x bare")
    print(f"SDK loop   {sdk:.1f} s (10 runs measured): the pull takes 1/{sdk / seconds:.0f} of it")


def test_a_thousand_such_runs_take_few_requests_and_nothing_new_takes_hardly_any(tmp_path: Path) -> None:
    with server(1000, 20, 20) as (url, key):
        mirror = Mirror(url=url, api_key=key, home=Home(tmp_path / "home"))
        first = mirror.pull()
        again = mirror.pull()
    print(f"\n1,000 runs: {first.requests} requests, {first.transfers} transfers, {first.seconds:.1f} s")
    print(f"nothing new: {again.requests} requests, {again.transfers} transfers, {again.seconds:.2f} s")
    assert first.failures == 0
    assert first.requests <= 40
    assert again.requests <= 3
    assert again.transfers == 0
