"""What could not be taken: one row an item, with its attempts; a success removes the row."""

from __future__ import annotations

from mirror.records.addresses import ProjectKey
from mirror.records.passes import MOST_ATTEMPTS, Changes, Failure, next_attempt
from mirror.store.engine.connection import Engine
from mirror.store.schema.keys import IN_PROJECT, OF_RUN, OF_RUNS
from mirror.store.write.values import naive
from mirror.texts.values import storable

_ROW = f"{OF_RUN} AND item = ?"


def write_failures(engine: Engine, changes: Changes) -> None:
    """Record new failures and end those that are over, inside the caller's transaction."""
    key = changes.key
    whole = [*changes.recovered, *(run.run_id for run in changes.runs if run.run_id not in changes.new)]
    over = [(run_id, "") for run_id in whole] + list(changes.settled)
    if over:
        engine.execute(
            f"DELETE FROM lake.failures WHERE {IN_PROJECT} AND (run_id || chr(0) || item) IN"
            " (SELECT unnest(?::VARCHAR[]))",
            [key.entity, key.project, [f"{storable(run_id)}\0{storable(item)}" for run_id, item in over]],
        )
    if changes.gone:
        engine.execute(
            f"DELETE FROM lake.failures WHERE {OF_RUNS}",
            [key.entity, key.project, [storable(run_id) for run_id in changes.gone]],
        )
    for failure in changes.failed:
        _write_failure(engine, key, failure, changes)


def _write_failure(engine: Engine, key: ProjectKey, failure: Failure, changes: Changes) -> None:
    where = [key.entity, key.project, storable(failure.run_id), storable(failure.item)]
    before = engine.execute(f"SELECT attempts, first_at FROM lake.failures WHERE {_ROW}", where).fetchone()
    at = naive(changes.at)
    attempts, first_at = (before[0] + 1, before[1]) if before else (1, at)
    engine.execute(f"DELETE FROM lake.failures WHERE {_ROW}", where)
    engine.execute(
        "INSERT INTO lake.failures (entity, project, run_id, item, reason, attempts, first_at, last_at, next_at,"
        " quarantined) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [*where, storable(failure.reason), attempts, first_at, at, naive(next_attempt(attempts, changes.at)),
         attempts >= MOST_ATTEMPTS],
    )  # fmt: skip
