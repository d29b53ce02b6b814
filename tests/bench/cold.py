"""Whole processes from a cold start, beside one that only imports what no mirror can do without."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from mirror.api.transport.deployment import deployment_of
from mirror.layout import Home
from mirror.records.addresses import ProjectKey
from mirror.store.engine.lake import Lake
from tests.bench.figures import Figure, at_most, figure
from tests.bench.made_runs import insert_runs, run_id
from tests.bench.measuring import COMMAND_LINE, Context, Server, cpus, in_turn, python, serving, walls, write_config
from tests.mirroring import SOURCE, Mirror

MANY = ProjectKey("team", "many")
RUN = f"{SOURCE}/{run_id(0)}"
SUMMARY = "import mirror, sys; mirror.Api(sys.argv[1]).run(sys.argv[2]).summary['metric/3']"
FILTER = '{"config.lr": {"$gt": 0.05}}'
COMMANDS: dict[str, tuple[str, ...]] = {
    "--help": ("--help",),
    "status": ("status", "--json"),
    "runs --limit 20": ("runs", "--limit", "20", "--json"),
    "runs with filter and order": (
        "runs", "--filter", FILTER, "--order", "-summary_metrics.metric/3", "--limit", "20", "--json",
    ),
    "show": ("show", RUN),
    "history": ("history", RUN, "--csv"),
    "sql": ("sql", "select 1"),
}  # fmt: skip


def bench(context: Context) -> Iterator[Figure]:
    """A small mirror, then the same with many runs and with five times as many."""
    content = context.folder / "content"
    content.mkdir()
    counts = context.of((20, 40), (20_000, 100_000))
    names = context.of(("runs with filter and order", "Api().run().summary"), (*COMMANDS, "Api().run().summary"))
    with (
        serving("static", content) as static,
        serving("contents", context.of(2, 200), context.of(20, 2_000), 20, content, static.url) as server,
    ):
        homes = mirrored(server, context.folder, (0, *counts))
        works = {name: work for name, work in commands(homes[0]).items() if name in names}
        works["a pull that finds nothing"] = pull_of(server, homes[0])
        server.ask("forget what came before")
        works["a pull that finds nothing"]()
        requests = server.ask("how many").count('"query"')
        yield figure("a pull that finds nothing", "one request", [requests], [1], goal=at_most(1), unit="requests")
        imports = partial(python, "import duckdb, httpx")
        in_turn(context.of(0, 1), *works.values(), imports)  # from here on there is bytecode
        *costs, theirs = in_turn(context.of(1, 7), *works.values(), imports)
        for name, ours in zip(works, costs, strict=True):
            beside = "a process that imports duckdb and httpx"
            yield figure(f"cold {name}", beside, walls(ours), walls(theirs), goal=at_most(2.5))
            yield figure(f"cold {name}", beside, cpus(ours), cpus(theirs), unit="s CPU")
    few, many = (commands(home) for home in homes[1:])
    for name in context.of(names[-1:], names):
        ours, theirs = in_turn(context.of(1, 7), many[name], few[name])
        work, beside = f"cold {name}, {counts[1]:,} runs", f"{counts[0]:,} runs"
        yield figure(work, beside, walls(ours), walls(theirs), goal=at_most(1.3))


def mirrored(server: Server, folder: Path, counts: Sequence[int]) -> list[Home]:
    """Mirrors of the server, with so many more runs in another project."""
    pulled = Home(folder / "pulled")
    assert Mirror(url=server.url, api_key=server.key, home=pulled).pull().errors == []
    write_config(pulled.root, server.url)
    homes = []
    for number, count in enumerate(counts):
        home = Home(folder / f"home{number}")
        shutil.copytree(pulled.root, home.root)
        with Lake(home, deployment=deployment_of(server.url).id) as lake:
            insert_runs(lake, MANY, count)
        homes.append(home)
    return homes


def commands(home: Home) -> dict[str, Callable[[], object]]:
    """Each command over a home."""
    works: dict[str, Callable[[], object]] = {
        name: partial(python, COMMAND_LINE, *("--home", home.root) * (name != "--help"), *arguments)
        for name, arguments in COMMANDS.items()
    }
    return works | {"Api().run().summary": partial(python, SUMMARY, home.root, RUN)}


def pull_of(server: Server, home: Home) -> Callable[[], object]:
    """A pull as a user types it."""
    return partial(python, COMMAND_LINE, "--home", home.root, "pull", "--json", env={"WANDB_API_KEY": server.key})
