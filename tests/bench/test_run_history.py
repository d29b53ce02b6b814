"""How fast a run's history is read, beside the real SDK on the same run. `pytest -m bench -s -n 0` prints it."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mirror import Api
from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.contract.conftest import ENTITY, server
from tests.mirroring import Mirror

__all__ = ["server"]

pytestmark = pytest.mark.bench

STEPS, KEYS, PROJECT = 50_000, 20, "bench"
TIMES_THE_SDK = 10
SAMPLED_MS = 50


@pytest.fixture(scope="module")
def runs(server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """The same run as the SDK has it in its cache, and as the mirror has it."""
    import wandb

    metrics = range(KEYS - 2)
    rows: list[dict[str, Any]] = [
        {"_step": n, "_timestamp": 1.7e9 + n / 2, **{f"train/k{k}": (n * 7919 + k) % 104729 / 104729 for k in metrics}}
        for n in range(STEPS)
    ]
    server.state.add_run(ENTITY, PROJECT, "long", history=rows)
    home = Home(tmp_path_factory.mktemp("bench") / "home")
    source = f"{ENTITY}/{PROJECT}"
    assert Mirror(url=server.url, api_key=server.api_key, home=home, sources=(source,)).pull().errors == []
    sdk = wandb.Api(overrides={"entity": ENTITY, "base_url": server.url}, timeout=60).run(f"{source}/long")
    return sdk, Api(home).run(f"{source}/long")


def best(measured: Callable[[], Any], attempts: int) -> tuple[float, float]:
    """Seconds on the clock and seconds of CPU of the fastest attempt."""
    found = []
    for _ in range(attempts):
        gc.collect()
        clock, cpu = time.perf_counter(), time.process_time()
        measured()
        found.append((time.perf_counter() - clock, time.process_time() - cpu))
    return min(clock for clock, _ in found), min(cpu for _, cpu in found)


def count(rows: Iterator[Any]) -> None:
    assert sum(1 for _ in rows) == STEPS


def test_a_scan_gives_ten_times_the_rows_of_the_sdk_with_a_warm_cache(runs: tuple[Any, Any]) -> None:
    sdk, mine = runs
    count(sdk.scan_history())  # fills its cache
    theirs, _ = best(lambda: count(sdk.scan_history()), 2)
    ours, cpu = best(lambda: count(mine.scan_history()), 5)
    print(
        f"\nscan of {STEPS:,} steps x {KEYS} keys: {STEPS / ours:,.0f} rows/s ({STEPS / cpu:,.0f} a second of CPU),"
        f" the SDK {STEPS / theirs:,.0f}: {theirs / ours:.1f} x, goal {TIMES_THE_SDK}"
    )
    assert theirs / ours >= TIMES_THE_SDK


def test_sampled_rows_cost_a_small_part_of_a_scan(runs: tuple[Any, Any]) -> None:
    _, mine = runs
    scan, _ = best(lambda: count(mine.scan_history()), 3)
    for what, options in {
        "rows": {"pandas": False}, "data frame": {}, "table": {"arrow": True}, "one key": {"keys": ["train/k3"]},
    }.items():  # fmt: skip
        clock, cpu = best(lambda options=options: mine.history(samples=500, **options), 9)  # type: ignore[misc]
        print(
            f"\nhistory(samples=500), {what}: {clock * 1e3:.0f} ms ({cpu * 1e3:.0f} ms of CPU), goal {SAMPLED_MS}"
            f" ({clock * 1e3 / SAMPLED_MS:.2f} x); a scan takes {scan / clock:.0f} times as long"
        )
        assert clock < scan
