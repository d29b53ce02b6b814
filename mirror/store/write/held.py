"""What the lake holds already, as the pull's planner asks for it. Every answer is bounded by its question."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import msgspec

from mirror.records.addresses import ProjectKey
from mirror.records.passes import Held, SourceState
from mirror.records.projects import SweepRecord
from mirror.records.runs import ACTIVE_STATES, RunRecord, is_same_run
from mirror.store.engine.connection import sql_name
from mirror.store.engine.lake import Lake
from mirror.store.engine.literals import inlined
from mirror.store.engine.reader import Reader
from mirror.store.write.rows import naive
from mirror.typed import struct_of


def aware(value: Any) -> Any:
    """A TIMESTAMP of the lake with its zone, UTC; anything else as it is."""
    return value.replace(tzinfo=dt.UTC) if isinstance(value, dt.datetime) else value


def source_state(lake: Lake, key: ProjectKey) -> SourceState:
    """How far a project was pulled; all empty for one that never was."""
    fields = SourceState.__struct_fields__
    with lake.reading() as engine:
        row = engine.execute(
            inlined(
                f"SELECT {', '.join(fields)} FROM lake.sources WHERE entity = ? AND project = ?",
                [key.entity, key.project],
            )
        ).fetchone()
    if row is None:
        return SourceState()
    return struct_of(SourceState, (aware(value) for value in row))


def held_runs(lake: Lake, key: ProjectKey, run_ids: Iterable[str]) -> dict[str, Held]:
    """What is held of those of the named runs that are held."""
    with lake.reading() as engine:
        rows = engine.execute(
            inlined(
                "SELECT run_id, fingerprint, gone_at IS NOT NULL, state, heartbeat_at_text, updated_at_text,"
                " storage_id, created_at FROM lake.runs"
                " WHERE entity = ? AND project = ? AND run_id IN (SELECT unnest(?::VARCHAR[]))",
                [key.entity, key.project, list(run_ids)],
            )
        ).fetchall()
    return {
        run_id: Held(
            fingerprint=fingerprint,
            gone=gone,
            state=state,
            heartbeat=heartbeat,
            updated=updated,
            storage_id=storage_id,
            created_at=aware(created_at),
        )
        for run_id, fingerprint, gone, state, heartbeat, updated, storage_id, created_at in rows
    }


def runs_created_between(lake: Lake, key: ProjectKey, start: dt.datetime | None, end: dt.datetime | None) -> list[str]:
    """Ids of the runs held, and not gone, that were created in `[start, end)`; None leaves a side open.

    Runs without a creation time count as created last.
    """
    with lake.reading() as engine:
        rows = engine.execute(
            inlined(
                "SELECT run_id FROM lake.runs WHERE entity = ? AND project = ? AND gone_at IS NULL"
                " AND coalesce(created_at, 'infinity') >= coalesce(?::TIMESTAMP, '-infinity')"
                " AND (created_at < ?::TIMESTAMP OR ?::TIMESTAMP IS NULL)",
                [key.entity, key.project, naive(start), naive(end), naive(end)],
            )
        ).fetchall()
    return [run_id for (run_id,) in rows]


def count_alive_between(lake: Lake, key: ProjectKey, start: dt.datetime, end: dt.datetime) -> int:
    """How many runs are held, and not gone, whose last sign of life lies in `[start, end)`."""
    with lake.reading() as engine:
        row = engine.execute(
            inlined(
                "SELECT count(*) FROM lake.runs WHERE entity = ? AND project = ? AND gone_at IS NULL"
                " AND heartbeat_at >= ? AND heartbeat_at < ?",
                [key.entity, key.project, naive(start), naive(end)],
            )
        ).fetchone()
    return int(row[0]) if row else 0


def tells_updates(lake: Lake, key: ProjectKey) -> bool:
    """Whether every run that is held, and not gone, came with its `updatedAt`."""
    with lake.reading() as engine:
        rows = engine.execute(
            inlined(
                "SELECT 1 FROM lake.runs WHERE entity = ? AND project = ? AND gone_at IS NULL AND updated_at IS NULL"
                " LIMIT 1",
                [key.entity, key.project],
            )
        ).fetchall()
    return not rows


def runs_updated_after(lake: Lake, key: ProjectKey, moment: dt.datetime) -> dict[str, dt.datetime]:
    """Runs that are held, and not gone, whose `updatedAt` is later than a moment; with it."""
    with lake.reading() as engine:
        rows = engine.execute(
            inlined(
                "SELECT run_id, updated_at FROM lake.runs WHERE entity = ? AND project = ? AND gone_at IS NULL"
                " AND updated_at > ?",
                [key.entity, key.project, naive(moment)],
            )
        ).fetchall()
    return {run_id: aware(at) for run_id, at in rows}


def count_moved_since(lake: Lake, key: ProjectKey, start: dt.datetime) -> int:
    """How many runs are held, and not gone, that gave a sign of life or were created at a moment or later."""
    with lake.reading() as engine:
        row = engine.execute(
            inlined(
                "SELECT count(*) FROM lake.runs WHERE entity = ? AND project = ? AND gone_at IS NULL"
                " AND (heartbeat_at >= ? OR created_at >= ?)",
                [key.entity, key.project, naive(start), naive(start)],
            )
        ).fetchone()
    return int(row[0]) if row else 0


def active_runs(lake: Lake, key: ProjectKey) -> list[str]:
    """Ids of the held runs that may change by themselves, so that they are read again whatever the listing says."""
    with lake.reading() as engine:
        rows = engine.execute(
            inlined(
                "SELECT run_id FROM lake.runs WHERE entity = ? AND project = ? AND gone_at IS NULL"
                " AND state IN (SELECT unnest(?::VARCHAR[])) ORDER BY 1",
                [key.entity, key.project, sorted(ACTIVE_STATES)],
            )
        ).fetchall()
    return [run_id for (run_id,) in rows]


def awaiting_export(lake: Lake, key: ProjectKey) -> dict[str, dt.datetime]:
    """Runs that ended, and of whose history some rows are in no export or nowhere; with the last sign of life."""
    with lake.reading() as engine:
        rows = engine.execute(
            inlined(
                "SELECT run_id, coalesce(heartbeat_at, created_at) FROM lake.completeness JOIN lake.runs"
                " USING (entity, project, run_id) WHERE entity = ? AND project = ? AND gone_at IS NULL"
                " AND (tail_rows > 0 OR NOT complete) AND state NOT IN (SELECT unnest(?::VARCHAR[]))",
                [key.entity, key.project, sorted(ACTIVE_STATES)],
            )
        ).fetchall()
    return {run_id: aware(at) for run_id, at in rows if at is not None}


def count_runs(lake: Lake, key: ProjectKey) -> int:
    """How many of a project's runs are held and not gone."""
    with lake.reading() as engine:
        row = engine.execute(
            inlined(
                "SELECT count(*) FROM lake.runs WHERE entity = ? AND project = ? AND gone_at IS NULL",
                [key.entity, key.project],
            )
        ).fetchone()
    return int(row[0]) if row else 0


def held_sweeps(lake: Lake, key: ProjectKey) -> dict[str, SweepRecord]:
    """The project's sweeps that are held and not gone, by sweep id."""
    columns = {"config_text": "config"}
    fields = SweepRecord.__struct_fields__
    names = ", ".join(columns.get(field, field) for field in fields)
    with lake.reading() as engine:
        rows = engine.execute(
            inlined(
                f"SELECT {names} FROM lake.sweeps WHERE entity = ? AND project = ? AND gone_at IS NULL",
                [key.entity, key.project],
            )
        ).fetchall()
    return {row[2]: struct_of(SweepRecord, (aware(value) for value in row)) for row in rows}


# Columns of `runs` that hold a field of a record under another name.
_COLUMNS = {
    "history_keys_text": "history_keys",
    "config_text": "config_wire",
    "summary_text": "summary_wire",
    "system_metrics_text": "system_metrics_wire",
}


def with_held(lake: Lake | Reader, key: ProjectKey, runs: Iterable[RunRecord]) -> dict[str, RunRecord]:
    """Runs with what is held in place of the fields that the server did not tell; their fingerprints are left to do.

    What is held under the id of another run that was deleted since is no such value.

    Args:
        lake: read.
        key: the project of the runs.
        runs: as the server told them.

    Returns:
        By run id; runs of which everything was told, or nothing is held, are left out.
    """
    lacking = {run.run_id: run for run in runs if run.flaws or run.untold}
    if not lacking:
        return {}
    names = sorted({name for run in lacking.values() for name in [*run.flaws, *run.untold]})
    columns = ", ".join(sql_name(_COLUMNS.get(name, name)) for name in names)
    with lake.reading() as engine:
        rows = engine.execute(
            inlined(
                f"SELECT run_id, storage_id, created_at, {columns} FROM lake.runs WHERE entity = ? AND project = ?"
                " AND run_id IN (SELECT unnest(?::VARCHAR[]))",
                [key.entity, key.project, list(lacking)],
            )
        ).fetchall()
    found: dict[str, RunRecord] = {}
    for run_id, storage_id, created_at, *values in rows:
        run = lacking[run_id]
        if is_same_run(run, storage_id=storage_id, created_at=aware(created_at)):
            known = zip(names, map(_as_recorded, values), strict=True)
            found[run_id] = msgspec.structs.replace(run, **{name: at for name, at in known if not run.tells(name)})
    return found


def _as_recorded(value: Any) -> Any:
    """A value of the lake as `RunRecord` has it."""
    return tuple(value) if isinstance(value, list) else aware(value)
