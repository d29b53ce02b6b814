"""One run's long history in Python: beside the SDK with a warm cache, and beside pyarrow reading the same export.

All of them run in one process: `python -m tests.bench.histories HOME EXPORT RUN ROUNDS` prints their seconds as JSON.
"""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mirror import Api
from mirror.layout import Home
from tests.bench.figures import Figure, Goal, at_least, figure
from tests.bench.made_runs import run_id
from tests.bench.measuring import Context, in_turn, run, sdk_environment, serving, walls
from tests.mirroring import SOURCE, Mirror

KEYS, SAMPLES = 20, 500
GOALS: dict[tuple[str, str], Goal | None] = {
    ("scan_history", "the SDK, its cache warm"): at_least(15),
    ("scan_history", "pyarrow to_pylist"): at_least(2),
    ("history(samples=500)", "the SDK, its cache warm"): at_least(2),
    ("history(samples=500)", "pyarrow to_pylist"): at_least(2),
}


def bench(context: Context) -> Iterator[Figure]:
    """A history of so many steps and 20 keys."""
    steps, rounds = context.of((500, 1), (50_000, 7))
    content, home = context.folder / "content", Home(context.folder / "home")
    content.mkdir()
    with serving("static", content) as static, serving("contents", 1, steps, KEYS, content, static.url) as server:
        assert Mirror(url=server.url, api_key=server.key, home=home).pull().errors == []
        (export,) = content.rglob("*.parquet")
        command = [sys.executable, "-m", __name__, home.root, export, f"{SOURCE}/{run_id(0)}", rounds]
        took = json.loads(run(command, sdk_environment(server, context.folder)).stdout)
    for (ours, theirs), goal in GOALS.items():
        work = f"{ours}, {steps:,} steps × {KEYS} keys"
        sampled = "the server samples" if ours.startswith("history") and theirs.startswith("the SDK") else ""
        beside = f"{ours}: {theirs}" if theirs.startswith("the SDK") else theirs
        yield figure(work, theirs, took[f"{ours}: mirror"], took[beside], goal=goal, note=sampled)


def main() -> None:
    """Every reader in turn."""
    import wandb

    home, export, path, rounds = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    sdk = wandb.Api(timeout=60).run(path)
    mine = Api(home).run(path)

    def all_of(rows: Iterator[Any]) -> None:
        deque(rows, maxlen=0)

    works = {
        "scan_history: mirror": lambda: all_of(mine.scan_history()),
        "scan_history: the SDK, its cache warm": lambda: all_of(sdk.scan_history()),
        "history(samples=500): mirror": lambda: mine.history(samples=SAMPLES, pandas=False),
        "history(samples=500): the SDK, its cache warm": lambda: sdk.history(samples=SAMPLES, pandas=False),
        "pyarrow to_pylist": lambda: pq.read_table(export).to_pylist(),
    }
    in_turn(1, *works.values())  # fills caches
    print(json.dumps(dict(zip(works, map(walls, in_turn(rounds, *works.values())), strict=True))))


if __name__ == "__main__":
    main()
