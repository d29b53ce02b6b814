"""What the tests of maintenance share: a mirror that was pulled often, its states, a maintenance at a given time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from mirror.config import RetentionSettings
from mirror.layout import Home
from mirror.outbox.reading import OutboxReader
from mirror.sandbox import Sandbox
from mirror.store.care.maintenance import Maintenance, maintain, plan_maintenance
from mirror.store.engine.lake import Lake
from mirror.store.engine.reading import open_lake
from mirror.store.schema.views import VIEWS
from tests.mirroring import ENGINE, ENTITY, PROJECT, Mirror
from tests.pull.contents import history

SETTINGS = RetentionSettings(snapshots_days=7.0)


def later(days: float) -> dt.datetime:
    """The time in so many days."""
    return dt.datetime.now(dt.UTC) + dt.timedelta(days=days)


def deployment(mirror: Mirror) -> str:
    """What the catalog records of the sandbox."""
    return mirror.url.removeprefix("http://")


def tidy(
    mirror: Mirror,
    *,
    days: float = 0.0,
    settings: RetentionSettings = SETTINGS,
    needed: Iterable[str] | None = None,
) -> Maintenance:
    """One maintenance in so many days, with the lake opened for it."""
    outbox = OutboxReader(mirror.home)
    with Lake(mirror.home, deployment=deployment(mirror), settings=ENGINE) as lake:
        return maintain(
            lake, settings, needed=outbox.needed_objects if needed is None else lambda: needed, now=later(days)
        )


def plan(mirror: Mirror, *, days: float = 0.0) -> Maintenance:
    """The same as a dry run."""
    engine = open_lake(mirror.home, ENGINE)
    try:
        return plan_maintenance(
            engine, mirror.home, SETTINGS, needed=OutboxReader(mirror.home).needed_objects, now=later(days)
        )
    finally:
        engine.close()


def pull_often(sandbox: Sandbox, mirror: Mirror, times: int, *, first: int = 0) -> None:
    """So many pulls, before each of which a run comes, one changes and a file of another is replaced."""
    for number in range(first, first + times):
        run_id = f"n{number:03}"
        sandbox.state.add_run(
            ENTITY, PROJECT, run_id, history=history(0, 6), config={"n": number},
            files={"own.bin": run_id.encode() * 100, "replaced.bin": b"never replaced"}, console=[f"line {number}"],
        )  # fmt: skip
        run = sandbox.state.run(ENTITY, PROJECT, "n000")
        run.notes = f"after {number}"
        sandbox.state.add_file(ENTITY, PROJECT, "n000", "replaced.bin", f"version {number}".encode() * 50)
        sandbox.state.changed(run, heartbeat=True)
        report = mirror.pull()
        assert not report.errors, report.errors


def everything(mirror: Mirror) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, in an order of its own."""
    with mirror.open() as rows:
        return {table: rows(f"SELECT * FROM lake.{table} ORDER BY ALL") for table in VIEWS}


def digests(mirror: Mirror) -> list[dict[str, Any]]:
    """The same in short: of every table how many rows it has, and a number that depends on each of them."""
    parts = [f"SELECT '{table}' AS t, count(*) AS n, sum(hash(x)::HUGEINT) AS h FROM lake.{table} x" for table in VIEWS]
    return mirror.ask(f"{' UNION ALL '.join(parts)} ORDER BY t")


def states(mirror: Mirror, since: int = 2) -> dict[int, list[list[dict[str, Any]]]]:
    """What time travel shows of some tables at every snapshot from one on; at first, from when all tables are there."""
    with mirror.open() as rows:
        numbers = [row["snapshot_id"] for row in rows("SELECT snapshot_id FROM ducklake_snapshots('lake')")]
        tables = ("runs", "files", "exports", "metrics", "sources", "completeness")
        return {
            number: [rows(f"SELECT * FROM lake.{table} AT (VERSION => {number}) ORDER BY ALL") for table in tables]
            for number in numbers
            if number >= since
        }


def lake_files(home: Home) -> int:
    """How many files the tables take."""
    return sum(path.is_file() for path in home.lake_data.rglob("*"))
