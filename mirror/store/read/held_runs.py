"""What of a project's runs is held, as the pull's planner asks for it. Every answer is bounded by its question."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import msgspec

from mirror.records.addresses import ProjectKey
from mirror.records.passes import HeldRun
from mirror.records.runs import ACTIVE_STATES, OFFLINE, KnownRun, RunRecord, is_same_run
from mirror.store.engine.connection import sql_name
from mirror.store.engine.queries import Queryable, aware, aware_structs, columns_of
from mirror.store.schema.keys import IN_PROJECT
from mirror.store.schema.tables import REMADE
from mirror.texts.values import storable

_FROM_PROJECT = f"FROM lake.runs WHERE {IN_PROJECT}"
# Of a run that was trained offline nothing is known upstream, until that is delivered.
_ALIVE = f"{_FROM_PROJECT} AND gone_at IS NULL AND fingerprint <> '{OFFLINE}'"
_NAMED = "run_id IN (SELECT unnest(?::VARCHAR[]))"
_ACTIVE = sorted(ACTIVE_STATES)
# When the server made a run: it has not made one that was trained offline, whose time says nothing then.
_CREATED = f"CASE WHEN fingerprint <> '{OFFLINE}' THEN created_at END"
_HELD = columns_of(HeldRun, gone="gone_at IS NOT NULL", heartbeat="heartbeat_at_text", updated="updated_at_text")


def held_runs(lake: Queryable, key: ProjectKey, run_ids: Iterable[str]) -> dict[str, HeldRun]:
    """What is held of those of the named runs that are held."""
    rows = _ask(lake, f"SELECT run_id, {_HELD} {_FROM_PROJECT} AND {_NAMED}", key, list(run_ids))
    held = aware_structs(HeldRun, [row[1:] for row in rows])
    return {row[0]: run for row, run in zip(rows, held, strict=True)}


def remade_runs(lake: Queryable, key: ProjectKey, runs: Iterable[RunRecord]) -> frozenset[str]:
    """Those runs of which the lake holds another one under the same id: deleted upstream, and made again."""
    listed = {storable(run.run_id): run for run in runs}
    if not listed:
        return frozenset()
    query = f"SELECT run_id, storage_id, {_CREATED} {_FROM_PROJECT} AND {_NAMED}"
    return frozenset(
        listed[run_id].run_id
        for run_id, storage_id, created_at in _ask(lake, query, key, list(listed))
        if not is_same_run(listed[run_id], storage_id=storage_id, created_at=aware(created_at))
    )


def known_runs(lake: Queryable, key: ProjectKey, run_ids: Iterable[str]) -> dict[str, KnownRun]:
    """Which runs those are that are held under some ids."""
    ids = sorted({storable(run_id) for run_id in run_ids})
    query = f"SELECT run_id, storage_id, {_CREATED} {_FROM_PROJECT} AND {_NAMED}"
    remade = (
        f"SELECT run_id, max(superseded_at) FROM lake.generations WHERE {IN_PROJECT} AND {_NAMED}"
        f" AND reason = '{REMADE}' GROUP BY run_id"
    )
    remade_at = {run_id: aware(at) for run_id, at in _ask(lake, remade, key, ids)}
    return {
        run_id: KnownRun(storage_id=storage_id, created_at=aware(created_at), remade_at=remade_at.get(run_id))
        for run_id, storage_id, created_at in _ask(lake, query, key, ids)
    }


def runs_created_between(
    lake: Queryable, key: ProjectKey, start: dt.datetime | None, end: dt.datetime | None
) -> list[str]:
    """Ids of the runs held, and not gone, that were created in `[start, end)`; None leaves a side open.

    Runs without a creation time count as created last.
    """
    query = (
        f"SELECT run_id {_ALIVE} AND coalesce(created_at, 'infinity') >= coalesce(?::TIMESTAMP, '-infinity')"
        " AND (created_at < ?::TIMESTAMP OR ?::TIMESTAMP IS NULL)"
    )
    return [run_id for (run_id,) in _ask(lake, query, key, start, end, end)]


def count_runs(lake: Queryable, key: ProjectKey) -> int:
    """How many of a project's runs are held and not gone."""
    return _count(lake, "", key)


def count_alive_between(lake: Queryable, key: ProjectKey, start: dt.datetime, end: dt.datetime) -> int:
    """How many runs are held, and not gone, whose last sign of life lies in `[start, end)`."""
    return _count(lake, " AND heartbeat_at >= ? AND heartbeat_at < ?", key, start, end)


def count_moved_since(lake: Queryable, key: ProjectKey, start: dt.datetime) -> int:
    """How many runs are held, and not gone, that gave a sign of life or were created at a moment or later."""
    return _count(lake, " AND (heartbeat_at >= ? OR created_at >= ?)", key, start, start)


def tells_updates(lake: Queryable, key: ProjectKey) -> bool:
    """Whether every run that is held, and not gone, came with its `updatedAt`."""
    return not _ask(lake, f"SELECT 1 {_ALIVE} AND updated_at IS NULL LIMIT 1", key)


def runs_updated_after(lake: Queryable, key: ProjectKey, moment: dt.datetime) -> dict[str, dt.datetime]:
    """Runs that are held, and not gone, whose `updatedAt` is later than a moment; with it."""
    rows = _ask(lake, f"SELECT run_id, updated_at {_ALIVE} AND updated_at > ?", key, moment)
    return {run_id: aware(at) for run_id, at in rows}


def active_runs(lake: Queryable, key: ProjectKey) -> list[str]:
    """Ids of the held runs that may change by themselves, so that they are read again whatever the listing says."""
    query = f"SELECT run_id {_ALIVE} AND state IN (SELECT unnest(?::VARCHAR[])) ORDER BY 1"
    return [run_id for (run_id,) in _ask(lake, query, key, _ACTIVE)]


def awaiting_export(lake: Queryable, key: ProjectKey) -> dict[str, dt.datetime]:
    """Runs that ended, and of whose history some rows are in no export or nowhere; with the last sign of life."""
    query = (
        "SELECT run_id, coalesce(heartbeat_at, created_at) FROM lake.completeness JOIN lake.runs"
        f" USING (entity, project, run_id) WHERE {IN_PROJECT} AND gone_at IS NULL"
        " AND (tail_rows > 0 OR NOT complete) AND state NOT IN (SELECT unnest(?::VARCHAR[]))"
    )
    return {run_id: aware(at) for run_id, at in _ask(lake, query, key, _ACTIVE) if at is not None}


_FIELDS = frozenset(RunRecord.__struct_fields__)
# Columns of `runs` that hold a field of a record under another name.
_COLUMNS = {
    "history_keys_text": "history_keys",
    "config_text": "config_wire",
    "summary_text": "summary_wire",
    "system_metrics_text": "system_metrics_wire",
}


def with_held(lake: Queryable, key: ProjectKey, runs: Iterable[RunRecord]) -> dict[str, RunRecord]:
    """Runs with what is held in place of the fields that the server did not tell; their fingerprints are left to do.

    What is held under the id of another run that was deleted since is no such value.

    Args:
        lake: to ask.
        key: the project of the runs.
        runs: as the server told them.

    Returns:
        By run id; runs of which everything was told, or nothing is held, are left out.
    """
    lacking = {run.run_id: run for run in runs if run.flaws or run.untold}
    names = sorted({name for run in lacking.values() for name in [*run.flaws, *run.untold]} & _FIELDS)
    if not names:
        return {}
    columns = ", ".join(sql_name(_COLUMNS.get(name, name)) for name in names)
    query = f"SELECT run_id, storage_id, {_CREATED}, {columns} {_FROM_PROJECT} AND {_NAMED}"
    found: dict[str, RunRecord] = {}
    for run_id, storage_id, created_at, *values in _ask(lake, query, key, list(lacking)):
        run = lacking[run_id]
        if is_same_run(run, storage_id=storage_id, created_at=aware(created_at)):
            known = zip(names, map(_as_recorded, values), strict=True)
            found[run_id] = msgspec.structs.replace(run, **{name: at for name, at in known if not run.tells(name)})
    return found


def _as_recorded(value: Any) -> Any:
    """A value of the lake as `RunRecord` has it."""
    return tuple(value) if isinstance(value, list) else aware(value)


def _count(lake: Queryable, where: str, key: ProjectKey, *values: Any) -> int:
    return int(_ask(lake, f"SELECT count(*) {_ALIVE}{where}", key, *values)[0][0])


def _ask(lake: Queryable, query: str, key: ProjectKey, *values: Any) -> list[tuple[Any, ...]]:
    return lake.rows(query, [key.entity, key.project, *values])
