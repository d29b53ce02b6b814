"""Runs by filters and orders on config and summary keys, beside DuckDB on one table of the same rows.

The ideal table has the documents as JSON; a second one has a column a key, which nobody has before knowing the keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import duckdb

from mirror.layout import Home
from mirror.records.addresses import ProjectKey
from mirror.store.engine.lake import Lake
from mirror.store.filters.run_list import RunQuery, run_list_sql
from mirror.store.sql.statements import connect, run_sql
from tests.bench.figures import Figure, at_most, figure
from tests.bench.made_runs import DEPLOYMENT, insert_runs
from tests.bench.measuring import Context, in_turn, walls

PATH = "entity || '/' || project || '/' || run_id AS path"
LR, METRIC = "CAST(config->>'lr' AS DOUBLE)", "CAST(summary->>'$.\"metric/3\"' AS DOUBLE)"
QUERIES: dict[str, tuple[RunQuery, str]] = {
    "filter on a config key": (
        RunQuery(filters={"config.lr": {"$gt": 0.05}}),
        f"SELECT {PATH} FROM {{0}} WHERE gone_at IS NULL AND {{lr}} > 0.05",
    ),
    "order by a summary key": (
        RunQuery(order="-summary_metrics.metric/3", limit=50),
        f"SELECT {PATH} FROM {{0}} WHERE gone_at IS NULL ORDER BY {{metric}} DESC LIMIT 50",
    ),
    "both": (
        RunQuery(filters={"config.lr": {"$gt": 0.05}}, order="-summary_metrics.metric/3", limit=50),
        f"SELECT {PATH} FROM {{0}} WHERE gone_at IS NULL AND {{lr}} > 0.05 ORDER BY {{metric}} DESC LIMIT 50",
    ),
}


def bench(context: Context) -> Iterator[Figure]:
    """One project of so many runs."""
    runs = context.of(50, 100_000)
    home = Home(context.folder / "home")
    with Lake(home, deployment=DEPLOYMENT) as lake:
        insert_runs(lake, ProjectKey("team", "many"), runs)
    with connect(home) as engine, duckdb.connect(str(context.folder / "ideal.duckdb")) as ideal:
        mirrored = context.folder / "runs.parquet"
        engine.execute(f"COPY (FROM runs) TO '{mirrored}' (FORMAT parquet)")
        as_json = "config::JSON AS config, summary::JSON AS summary"
        ideal.execute(f"CREATE TABLE runs AS SELECT * REPLACE ({as_json}) FROM '{mirrored}'")
        ideal.execute(f"CREATE TABLE typed AS SELECT *, {LR} AS lr, {METRIC} AS metric FROM runs")
        for name, (asked, query) in QUERIES.items():
            text, parameters = run_list_sql(asked)
            ours, theirs, best = in_turn(
                context.of(1, 9),
                lambda text=text, parameters=parameters: list(run_sql(engine, text, parameters).rows()),  # type: ignore[misc]
                partial(rows, ideal, query.format("runs", lr=LR, metric=METRIC)),
                partial(rows, ideal, query.format("typed", lr="lr", metric="metric")),
            )
            work = f"runs: {name}, {runs:,} runs"
            yield figure(work, "one DuckDB table", walls(ours), walls(theirs), goal=at_most(1.5))
            yield figure(work, "the same, a column a key", walls(ours), walls(best))


def rows(engine: duckdb.DuckDBPyConnection, query: str) -> list[tuple[object, ...]]:
    """All rows as Python values."""
    return engine.execute(query).fetchall()
