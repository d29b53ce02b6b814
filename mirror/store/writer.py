"""Commit what a pass decided: one lake transaction for rows, contents, failures and the watermark together.

The order of writes is drawn in `contents_writer`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

from mirror.records.contents import ArtifactChange, ContentChanges
from mirror.records.passes import Changes, ProjectKey, SourceState
from mirror.records.projects import ProjectRecord, SweepRecord
from mirror.records.runs import RunRecord
from mirror.records.sweeps import search_space
from mirror.records.texts import config_json, document_json, storable, storable_wire
from mirror.store.contents_ready import give_up, prepare
from mirror.store.contents_writer import commit_contents
from mirror.store.failures import write_failures
from mirror.store.generations import remade_runs, supersede_runs
from mirror.store.lake import Lake
from mirror.store.objects import Objects
from mirror.store.receipts import Delivered, write_delivered
from mirror.store.rows import TEXT, TIME, arrow_table, merge, naive, put

# Column names and types as `tables.RUNS` has them; the rows below come in the same order.
_RUN_COLUMNS = pa.schema(
    [
        *((name, TEXT) for name in ("entity", "project", "run_id", "storage_id", "display_name", "state")),
        ("tags", pa.list_(TEXT)),
        *((name, TEXT) for name in ("group", "job_type", "sweep", "notes", "description", "commit", "user")),
        ("user_name", TEXT),
        ("read_only", pa.bool_()),
        ("created_at", TIME),
        ("heartbeat_at", TIME),
        ("history_line_count", pa.int64()),
        *((name, TEXT) for name in ("history_keys", "config", "summary", "system_metrics")),
        ("gone_at", TIME),
        ("synced_at", TIME),
        *((name, TEXT) for name in ("project_internal_id", "created_at_text", "heartbeat_at_text")),
        *((name, TEXT) for name in ("config_wire", "summary_wire", "system_metrics_wire", "fingerprint")),
        ("updated_at", TIME),
        *((name, TEXT) for name in ("updated_at_text", "host")),
    ]
)

_SWEEP_COLUMNS = pa.schema(
    [
        *((name, TEXT) for name in ("entity", "project", "sweep_id", "storage_id", "display_name", "state")),
        *((name, TEXT) for name in ("method", "description", "config", "search_space", "metric", "goal")),
        ("best_loss", pa.float64()),
        ("run_count", pa.int64()),
        ("run_count_expected", pa.int64()),
        ("created_at", TIME),
        ("created_at_text", TEXT),
        ("updated_at", TIME),
        ("heartbeat_at", TIME),
        ("gone_at", TIME),
        ("synced_at", TIME),
    ]
)

_PROJECT_COLUMNS = pa.schema(
    [
        *((name, TEXT) for name in ("entity", "project", "storage_id", "internal_id")),
        ("created_at", TIME),
        ("created_at_text", TEXT),
        ("synced_at", TIME),
    ]
)


def commit(
    lake: Lake,
    changes: Changes,
    contents: Sequence[ContentChanges] = (),
    artifacts: Sequence[ArtifactChange] = (),
    *,
    objects: Objects | None = None,
    delivered: Delivered | None = None,
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
        give_up(lake, ready)
        raise


def _write(engine: duckdb.DuckDBPyConnection, changes: Changes) -> None:
    at = naive(changes.at)
    if changes.runs:
        rows = [_run_row(run, at) for run in changes.runs]
        put(engine, "runs", _RUN_COLUMNS, rows, keys=("entity", "project", "run_id"), new=changes.new)
    if changes.gone:
        engine.execute(
            "UPDATE lake.runs SET gone_at = ? WHERE entity = ? AND project = ? AND gone_at IS NULL"
            " AND run_id IN (SELECT unnest(?::VARCHAR[]))",
            [at, changes.key.entity, changes.key.project, list(changes.gone)],
        )
    if changes.sweeps or changes.gone_sweeps:
        _write_sweeps(engine, changes, at)
    if changes.project is not None:
        row = _project_row(changes.project, at)
        merge(engine, "projects", arrow_table(_PROJECT_COLUMNS, [row]), keys=("entity", "project"))
    write_failures(engine, changes)
    if changes.source is not None:
        _write_source(engine, changes.key, changes.source)


def _run_row(run: RunRecord, at: dt.datetime | None) -> tuple[Any, ...]:
    return (
        run.entity, run.project, run.run_id, run.storage_id, run.display_name, run.state,
        [storable(tag) for tag in run.tags],
        run.group, run.job_type, run.sweep, run.notes, run.description, run.commit, run.user, run.user_name,
        run.read_only, naive(run.created_at), naive(run.heartbeat_at), run.history_line_count,
        document_json(run.history_keys_text), config_json(run.config_text), document_json(run.summary_text),
        document_json(run.system_metrics_text), None, at, run.project_internal_id, run.created_at_text,
        run.heartbeat_at_text, storable_wire(run.config_text), storable_wire(run.summary_text),
        storable_wire(run.system_metrics_text), run.fingerprint, naive(run.updated_at), run.updated_at_text, run.host,
    )  # fmt: skip


def _sweep_row(sweep: SweepRecord, at: dt.datetime | None) -> tuple[Any, ...]:
    space = search_space(sweep.config_text)
    return (
        sweep.entity, sweep.project, sweep.sweep_id, sweep.storage_id, sweep.display_name, sweep.state, sweep.method,
        sweep.description, sweep.config_text, space.json, space.metric, space.goal, sweep.best_loss, sweep.run_count,
        sweep.run_count_expected, naive(sweep.created_at), sweep.created_at_text, naive(sweep.updated_at),
        naive(sweep.heartbeat_at), None, at,
    )  # fmt: skip


def _project_row(project: ProjectRecord, at: dt.datetime | None) -> tuple[Any, ...]:
    return (
        project.entity, project.project, project.storage_id, project.internal_id, naive(project.created_at),
        project.created_at_text, at,
    )  # fmt: skip


def _write_sweeps(engine: duckdb.DuckDBPyConnection, changes: Changes, at: dt.datetime | None) -> None:
    if changes.sweeps:
        rows = [_sweep_row(sweep, at) for sweep in changes.sweeps]
        merge(engine, "sweeps", arrow_table(_SWEEP_COLUMNS, rows), keys=("entity", "project", "sweep_id"))
    if changes.gone_sweeps:
        engine.execute(
            "UPDATE lake.sweeps SET gone_at = ? WHERE entity = ? AND project = ? AND gone_at IS NULL"
            " AND sweep_id IN (SELECT unnest(?::VARCHAR[]))",
            [at, changes.key.entity, changes.key.project, list(changes.gone_sweeps)],
        )


def _write_source(engine: duckdb.DuckDBPyConnection, key: ProjectKey, source: SourceState) -> None:
    values = [naive(value) if isinstance(value, dt.datetime) else value for value in msgspec.structs.astuple(source)]
    names = ", ".join(source.__struct_fields__)
    marks = ", ".join("?" for _ in values)
    engine.execute("DELETE FROM lake.sources WHERE entity = ? AND project = ?", [key.entity, key.project])
    engine.execute(
        f"INSERT INTO lake.sources (entity, project, {names}) VALUES (?, ?, {marks})",
        [key.entity, key.project, *values],
    )
