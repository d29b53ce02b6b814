"""A lake after a month of pulls every ten minutes and maintenance once a day, beside one that was pulled at once.

Every hour a run begins, logs rows until the hour is over, and ends. So each pull brings something.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import anyio
import duckdb

from mirror import Api
from mirror.api.client import Client
from mirror.api.transport.credentials import ApiKey
from mirror.api.transport.deployment import deployment_of
from mirror.clock import utc_now
from mirror.config import Config, RetentionSettings, ServerSettings, SourceSettings
from mirror.layout import Home
from mirror.pull import PullRequest, pull
from mirror.sandbox import Sandbox
from mirror.store.care.maintenance import maintain
from mirror.store.engine.lake import Lake
from mirror.store.sql.statements import connect
from tests.bench.figures import Figure, at_most, figure
from tests.bench.measuring import Context, in_turn, walls
from tests.mirroring import ENTITY, PROJECT, SOURCE, Mirror

PULLS_A_DAY = 24 * 6
STATES_KEPT = PULLS_A_DAY * round(RetentionSettings().snapshots_days)  # pulls whose states are still there
STEP_S = 600
LIVE_FILES = "SELECT count(*) FROM ducklake_list_files('lake', '{table}')"
TABLES = ("runs", "metrics", "tails", "files", "exports", "completeness", "sources")


def bench(context: Context) -> Iterator[Figure]:
    """The old lake before and after a day's maintenance, beside the fresh one."""
    pulls = context.of(3, 30 * PULLS_A_DAY)
    with Sandbox.start() as sandbox:
        sandbox.clock.freeze(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        old, fresh = Home(context.folder / "old"), Home(context.folder / "fresh")
        moments = anyio.run(live, sandbox, old, pulls)
        mirror = Mirror(url=sandbox.url, api_key=sandbox.api_key, home=fresh, now=sandbox.clock.now)
        assert mirror.pull().errors == []
        yield from compared(context, old, fresh, f"{pulls:,} pulls, before a maintenance")
        with Lake(old, deployment=deployment_of(sandbox.url).id) as lake:
            keep_small(lake, moments)
        yield from compared(context, old, fresh, f"{pulls:,} pulls, after a maintenance")


async def live(sandbox: Sandbox, home: Home, pulls: int) -> list[dt.datetime]:
    """So many pulls of one process, as the daemon's, with a maintenance after each day but the last.

    Returns:
        When each was, by the clock of DuckLake, which no simulation moves.
    """
    moments: list[dt.datetime] = []
    deployment = deployment_of(sandbox.url)
    request = PullRequest(sources=(SourceSettings(path=SOURCE),))
    async with Client(deployment, ApiKey(sandbox.api_key, "a bench"), ServerSettings()) as client:
        with Lake(home, deployment=deployment.id) as lake:
            for number in range(pulls):
                train(sandbox, number)
                sandbox.clock.advance(STEP_S)
                sandbox.requests.clear()
                report = await pull(client, lake, Config(), request, now=sandbox.clock.now)
                assert report.errors == []
                moments.append(utc_now())
                if number % PULLS_A_DAY == PULLS_A_DAY - 1 and number != pulls - 1:
                    keep_small(lake, moments)
    return moments


def train(sandbox: Sandbox, number: int) -> None:
    """Ten minutes of a run that takes an hour."""
    run, part = f"run-{number // 6:05}", number % 6
    if part == 0:
        sandbox.state.add_run(ENTITY, PROJECT, run, state="running", config={"lr": 1 / (number + 1)})
    rows = [{"_step": part * 20 + step, "loss": 1 / (step + 1), "acc": step / 20} for step in range(20)]
    sandbox.state.log_rows(ENTITY, PROJECT, run, rows)
    if part == 5:
        sandbox.state.finish_run(ENTITY, PROJECT, run)


def keep_small(lake: Lake, moments: Sequence[dt.datetime]) -> None:
    """What the daemon does once a day: states go that are older than so many pulls."""
    settings = RetentionSettings()
    oldest = moments[max(0, len(moments) - STATES_KEPT)]
    maintain(lake, settings, needed=lambda: iter(()), now=oldest + dt.timedelta(days=settings.snapshots_days))


def compared(context: Context, old: Home, fresh: Home, age: str) -> Iterator[Figure]:
    """Point reads in SQL and in Python, and the files that the last state is made of."""
    run = "run-00000"
    for name, query in {
        "a run's row": f"SELECT * FROM runs WHERE run_id = '{run}'",
        "a run's key": f"SELECT step, value FROM metrics WHERE run_id = '{run}' AND key = 'loss' ORDER BY step",
    }.items():
        with connect(old) as engine, connect(fresh) as beside:
            ours, theirs = in_turn(context.of(1, 15), partial(rows, engine, query), partial(rows, beside, query))
        yield figure(f"{name}, {age}", "a fresh lake", walls(ours), walls(theirs), goal=at_most(1.5))
    ours, theirs = in_turn(context.of(1, 15), opened(old, run), opened(fresh, run))
    yield figure(f"Api().run(), {age}", "a fresh lake", walls(ours), walls(theirs), goal=at_most(1.5))
    files = [live_files(home) for home in (old, fresh)]
    yield figure(f"files, {age}", "a fresh lake", files[:1], files[1:], goal=at_most(1.5), unit="files")
    files = [sum(1 for _ in home.lake_data.rglob("*.parquet")) for home in (old, fresh)]
    work = f"files with those of earlier states, {age}"
    yield figure(work, "a fresh lake", files[:1], files[1:], unit="files")


def rows(engine: duckdb.DuckDBPyConnection, query: str) -> None:
    """All of them."""
    assert engine.execute(query).fetchall()


def opened(home: Home, run: str) -> Callable[[], object]:
    """A new Api and one run's summary."""
    return lambda: Api(home.root).run(f"{SOURCE}/{run}").summary["loss"]


def live_files(home: Home) -> int:
    """Data files of the newest state."""
    with connect(home) as engine:
        return sum(len(engine.execute(LIVE_FILES.format(table=table)).fetchall()) for table in TABLES)
