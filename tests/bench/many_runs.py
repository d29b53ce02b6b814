"""Pulls and maintenance of a project with very many runs, beside one with a fifth of them: requests, memory, time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import Figure, at_most, figure
from tests.bench.measuring import COMMAND_LINE, Context, Cost, busy, measured, peak_mb, serving, write_config

WORKS = ("first pull", "a pull that finds nothing", "reconcile", "maintain")


@dataclass
class Taken:
    """What one command took."""

    cost: Cost
    peak_mb: float
    requests: int


def bench(context: Context) -> Iterator[Figure]:
    """Both sizes; a first pull of so many runs is long enough to need no second round."""
    few, many = context.of((20, 20), (20_000, 100_000))
    works = context.of(WORKS[::3], WORKS)
    took = {runs: all_works(works, context.folder / str(runs), runs) for runs in {few, many}}
    for work in works:
        ours, theirs = took[many][work], took[few][work]
        name, beside = f"{work}, {many:,} runs", f"{few:,} runs"
        note = busy([ours.cost], [theirs.cost])
        yield figure(name, beside, [ours.peak_mb], [theirs.peak_mb], goal=at_most(1.15), unit="MB")
        yield figure(name, beside, [ours.cost.wall_s], [theirs.cost.wall_s], note=note)
        yield figure(name, beside, [ours.cost.cpu_s], [theirs.cost.cpu_s], unit="s CPU", note=note)
        if work == "a pull that finds nothing":
            yield figure(name, "one request", [ours.requests], [1], goal=at_most(3), unit="requests")
        elif work != "maintain":
            yield figure(name, beside, [ours.requests], [theirs.requests], unit="requests")


def all_works(works: Sequence[str], folder: Path, runs: int) -> dict[str, Taken]:
    """One home, from nothing to maintained, each step a process of its own."""
    folder.mkdir()
    with serving("runs", runs) as server:
        write_config(folder, server.url)
        took = {}
        for work in works:
            command = {"maintain": ["maintain"], "reconcile": ["pull", "--reconcile"]}.get(work, ["pull"])
            found: list[tuple[float, str]] = []
            cost = measured(
                lambda command=command, found=found: found.append(  # type: ignore[misc]
                    peak_mb(COMMAND_LINE, "--home", folder, *command, "--json", env={"WANDB_API_KEY": server.key})
                ),
                (server,),
            )
            ((peak, said),) = found
            answer = json.loads(said[said.index("{") :])  # DuckDB draws a bar before it, as in any interactive Python
            took[work] = Taken(cost, peak, int(answer.get("requests", 0)))
    return took
