"""SQL over many values, beside DuckDB on one Parquet file of the same rows that is sorted by key, run and step."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import duckdb

from mirror.layout import Home
from mirror.store.care.tables import merge_files
from mirror.store.engine.lake import Lake
from mirror.store.sql.statements import connect
from tests.bench.figures import Figure, at_most, figure
from tests.bench.made_runs import DEPLOYMENT, insert_values, run_id
from tests.bench.measuring import Context, in_turn, walls

KEY = "metric/07"
KEYS = 20
QUERIES = {
    "mean of a key by run": f"SELECT run_id, avg(value) FROM {{0}} WHERE key = '{KEY}' GROUP BY 1",
    "last value of a key by run": f"SELECT run_id, arg_max(value, step) FROM {{0}} WHERE key = '{KEY}' GROUP BY 1",
    "one run's key": f"SELECT step, value FROM {{0}} WHERE run_id = '{run_id(1)}' AND key = '{KEY}' ORDER BY step",
    "one key of 1,000 runs": f"SELECT run_id, step, value FROM {{0}} WHERE key = '{KEY}' AND run_id IN {{1}}",
    "all keys": "SELECT key, count(*), avg(value) FROM {0} GROUP BY 1",
}


def bench(context: Context) -> Iterator[Figure]:
    """The lake as pulls leave it, and as `maintain` leaves it."""
    runs, steps = context.of((6, 50), (2_500, 2_000))
    home, sorted_file = Home(context.folder / "home"), context.folder / "sorted.parquet"
    some = "(" + ", ".join(f"'{run_id(number)}'" for number in range(0, runs, max(1, runs // 1_000))) + ")"
    with Lake(home, deployment=DEPLOYMENT) as lake:
        insert_values(lake, runs, steps=steps, keys=KEYS)
    with duckdb.connect() as beside:
        beside.execute(f"SET temp_directory = '{context.folder}'")
        with connect(home) as engine:
            engine.execute(
                f"COPY (SELECT * FROM lake.metrics ORDER BY key, run_id, step) TO '{sorted_file}'"
                " (FORMAT parquet, COMPRESSION zstd)"
            )
        for is_maintained in (False, True):
            if is_maintained:
                with Lake(home, deployment=DEPLOYMENT) as lake:
                    merge_files(lake)
            with connect(home) as engine:
                for name, query in QUERIES.items():
                    ours, theirs = in_turn(
                        context.of(1, 7),
                        partial(answer, engine, query.format("metrics", some)),
                        partial(answer, beside, query.format(f"read_parquet('{sorted_file}')", some)),
                    )
                    work = f"{name}, of {runs * steps * KEYS:,} values" + (", maintained" if is_maintained else "")
                    yield figure(work, "one sorted Parquet file", walls(ours), walls(theirs), goal=at_most(1.3))


def answer(engine: duckdb.DuckDBPyConnection, query: str) -> None:
    """All rows, as columns in memory."""
    engine.execute(query).fetchnumpy()
