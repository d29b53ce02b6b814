"""What a pull of metadata costs: requests (asserted), memory (asserted), time (printed as a ratio). `-m bench -s`."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mirror.api.documents import queries as documents
from tests.mirroring import ENTITY, PROJECT

pytestmark = pytest.mark.bench
MEMORY_GROWTH_MB = 100.0  # between 1,000 and 20,000 runs: one page is 1,000 of them, so both meet a full page


@contextlib.contextmanager
def serving(module: str, *arguments: str) -> Iterator[tuple[str, str]]:
    """A sandbox in another process: its address and its key."""
    command = [sys.executable, "-m", module, *arguments]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    assert server.stdin is not None
    try:
        url, key = server.stdout.readline().split()
        yield url, key
    finally:
        server.communicate()


def pulled(url: str, key: str, home: Path) -> dict[str, Any]:
    """The figures of `puller`."""
    command = [sys.executable, "-m", "tests.bench.puller", url, key, str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    figures: dict[str, Any] = json.loads(done.stdout)
    assert figures["errors"] == []
    return figures


def fetch_bare(url: str, key: str, sizes: list[int]) -> float:
    """Seconds to fetch the same pages with httpx and to throw them away."""
    started = time.monotonic()
    with httpx.Client(auth=("api", key), timeout=60, trust_env=False) as client:
        after = None
        for size in sizes:
            variables = {
                "entity": ENTITY, "project": PROJECT, "filters": "{}", "order": "+created_at", "first": size,
                "after": after, "countFilters": "{}", "withCounts": False, "withSweeps": False,
            }  # fmt: skip
            answer = client.post(f"{url}/graphql", json={"query": documents.RUNS, "variables": variables}).json()
            after = answer["data"]["project"]["runs"]["edges"][-1]["cursor"]
    return time.monotonic() - started


def test_metadata_of_10000_runs_takes_at_most_30_requests_and_nothing_new_at_most_2(tmp_path: Path) -> None:
    with serving("tests.bench.server", "10000") as (url, key):
        figures = pulled(url, key, tmp_path / "home")
        sizes = [100, 200, 400, 800, *[1000] * 8, 500]
        bare = fetch_bare(url, key, sizes)
    print(f"\n10,000 runs: {figures['requests']} requests, then {figures['requests_again']};"
          f" {figures['seconds']:.1f} s, {figures['seconds'] / bare:.1f} times bare httpx ({bare:.1f} s)")  # fmt: skip
    assert figures["written"] == 10_000
    assert figures["requests"] <= 30
    assert figures["requests_again"] <= 2
    assert figures["written_again"] == 0


def test_peak_memory_does_not_grow_with_the_number_of_runs(tmp_path: Path) -> None:
    peaks: dict[int, float] = {}
    for runs in (1_000, 20_000):
        with serving("tests.bench.server", str(runs)) as (url, key):
            figures = pulled(url, key, tmp_path / str(runs))
        assert figures["written"] == runs
        peaks[runs] = figures["peak_again_mb"]
        print(f"\n{runs} runs: peak {figures['peak_mb']:.0f} MB, {peaks[runs]:.0f} MB after a second pull;"
              f" {figures['seconds']:.1f} s")  # fmt: skip
    print(f"ratio {peaks[20_000] / peaks[1_000]:.2f}")
    assert peaks[20_000] - peaks[1_000] <= MEMORY_GROWTH_MB
