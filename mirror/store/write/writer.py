"""Commit what a pass decided: one lake transaction for rows, contents, failures and the watermark together.

The order of writes is drawn in `contents_writer`.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from mirror.records.contents import ArtifactChange, ContentChanges
from mirror.records.passes import Changes
from mirror.records.sweeps import search_space
from mirror.store.engine.lake import Lake
from mirror.store.objects.objects import Objects
from mirror.store.read.held_runs import remade_runs
from mirror.store.schema.keys import IN_PROJECT
from mirror.store.schema.tables import OFFLINE_LOGS, PROJECTS, RUNS, SWEEPS
from mirror.store.write.contents_ready import prepare, remove_prepared
from mirror.store.write.contents_writer import commit_contents
from mirror.store.write.failures import write_failures
from mirror.store.write.generations import supersede_runs
from mirror.store.write.receipts import DeliveredRows, write_delivered
from mirror.store.write.rows import merge, put
from mirror.store.write.sources import write_source
from mirror.store.write.values import naive


def commit(
    lake: Lake,
    changes: Changes,
    contents: Sequence[ContentChanges] = (),
    artifacts: Sequence[ArtifactChange] = (),
    *,
    objects: Objects | None = None,
    delivered: DeliveredRows | None = None,
) -> None:
    """Write everything, or nothing: rows, contents and the watermark become visible together.

    Args:
        lake: opened for writing.
        changes: of one project; may be empty but for its key and time.
        contents: of runs of that project, each run once.
        artifacts: versions, each once.
        objects: where the objects that the contents name lie; they are made durable first.
        delivered: what a replay brought to the server; its receipts become visible with the rows it refreshed.

    Raises:
        UnreadableExport: a history part is damaged; the error names its object. The lake stays at its last commit.
        StoreError: the lake stays at its last commit.
    """
    # Decided here, whoever writes the row: a replay may be the first to see that a run was made again.
    remade = remade_runs(lake, changes.key, (run for run in changes.runs if run.run_id not in changes.new))
    if not contents and not artifacts:
        if not changes.is_empty or delivered:
            with lake.transaction() as engine:
                supersede_runs(engine, changes.key, remade, changes.at)
                _write(engine, changes)
                write_delivered(engine, changes.key, delivered)
        return
    ready = prepare(
        lake, changes.key, objects or Objects(lake.home), contents, artifacts, new=changes.new, remade=remade
    )
    try:
        with lake.transaction() as engine:
            supersede_runs(engine, changes.key, remade, changes.at)
            _write(engine, changes)
            commit_contents(engine, ready, changes.at)
            write_delivered(engine, changes.key, delivered)
    except BaseException:
        remove_prepared(lake, ready)
        raise


def _write(engine: duckdb.DuckDBPyConnection, changes: Changes) -> None:
    at = naive(changes.at)
    if changes.runs:
        put(engine, RUNS, changes.runs, gone_at=None, synced_at=changes.at, new=changes.new)
    if changes.gone:
        engine.execute(
            f"UPDATE lake.runs SET gone_at = ? WHERE {IN_PROJECT} AND gone_at IS NULL"
            " AND run_id IN (SELECT unnest(?::VARCHAR[]))",
            [at, changes.key.entity, changes.key.project, list(changes.gone)],
        )
    if changes.sweeps:
        spaces = [search_space(sweep.config_text) for sweep in changes.sweeps]
        found = {
            "search_space": [space.json for space in spaces],
            "metric": [space.metric for space in spaces],
            "goal": [space.goal for space in spaces],
        }
        merge(engine, SWEEPS, changes.sweeps, gone_at=None, synced_at=changes.at, **found)
    if changes.gone_sweeps:
        engine.execute(
            f"UPDATE lake.sweeps SET gone_at = ? WHERE {IN_PROJECT} AND gone_at IS NULL"
            " AND sweep_id IN (SELECT unnest(?::VARCHAR[]))",
            [at, changes.key.entity, changes.key.project, list(changes.gone_sweeps)],
        )
    if changes.project is not None:
        merge(engine, PROJECTS, [changes.project], synced_at=changes.at)
    if changes.logs:
        merge(engine, OFFLINE_LOGS, changes.logs)
    write_failures(engine, changes)
    if changes.source is not None:
        write_source(engine, changes.key, changes.source)
