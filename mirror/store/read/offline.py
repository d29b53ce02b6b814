"""Runs that were trained without a server: their logs, and what is not upstream of them."""

from __future__ import annotations

from collections.abc import Sequence

from mirror.records.addresses import ProjectKey, RunPath
from mirror.records.artifacts import LOCAL
from mirror.records.offline import OfflineLog
from mirror.records.runs import OFFLINE
from mirror.store.engine.meta import lake_version
from mirror.store.engine.queries import Queryable, aware_structs, columns_of
from mirror.store.schema.keys import IN_PROJECT, OF_RUN, OF_RUNS

SINCE = 6  # version of the schema
_LATER_SINCE = 7
_COLUMNS = columns_of(OfflineLog)
_EARLIER_COLUMNS = columns_of(OfflineLog, job_type="NULL", replaced_tags="NULL", alerts="NULL")


def offline_logs(lake: Queryable, run: RunPath | None = None) -> list[OfflineLog]:
    """The logs that were added, of one run or of all, in the order in which they were begun."""
    return _logs(lake, "true" if run is None else OF_RUN, run or ())


def _logs(lake: Queryable, where: str, values: Sequence[object]) -> list[OfflineLog]:
    version = lake_version(lake)
    if version < SINCE:
        return []
    columns = _COLUMNS if version >= _LATER_SINCE else _EARLIER_COLUMNS
    rows = lake.rows(
        f"SELECT {columns} FROM lake.offline_logs WHERE {where} ORDER BY coalesce(started_at, added_at), added_at",
        values,
    )
    return aware_structs(OfflineLog, rows)


def logs_of_runs(lake: Queryable, key: ProjectKey, run_ids: Sequence[str]) -> dict[str, list[OfflineLog]]:
    """The logs of some runs of a project, by run id, in the order in which they were begun."""
    found: dict[str, list[OfflineLog]] = {}
    for row in _logs(lake, OF_RUNS, [*key, list(run_ids)]):
        found.setdefault(row.run_id, []).append(row)
    return found


def offline_log(lake: Queryable, log: str) -> OfflineLog | None:
    """One of them; None when it was not added here."""
    return next((row for row in offline_logs(lake) if row.log == log), None)


def offline_runs(lake: Queryable, key: ProjectKey) -> frozenset[str]:
    """Ids of the runs of a project of which the mirror has something that is not upstream."""
    rows = lake.rows(f"SELECT run_id FROM lake.runs WHERE {IN_PROJECT} AND origin = ?", [*key, OFFLINE])
    return frozenset(run_id for (run_id,) in rows)


def numbers_at_step(lake: Queryable, run: RunPath, step: int) -> dict[str, float]:
    """The numbers of the row at a step of a run's history, by key; none where there is no such row."""
    rows = lake.rows(
        f"SELECT key, value FROM lake.metrics WHERE {IN_PROJECT} AND run_id = ? AND step = ? AND isfinite(value)",
        [*run, step],
    )
    return dict(rows)


def versions_of(lake: Queryable, entity: str, project: str, sequence: str) -> list[tuple[str, int | None, str]]:
    """The versions of a collection that are held: id, index and digest of each, by index."""
    return [
        (found[0], found[1], found[2])
        for found in lake.rows(
            f"SELECT artifact_id, version_index, digest FROM lake.artifacts WHERE {IN_PROJECT} AND sequence = ?"
            " ORDER BY version_index",
            [entity, project, sequence],
        )
    ]


def rows_held_of(lake: Queryable, key: ProjectKey, run_ids: Sequence[str]) -> dict[str, int]:
    """Rows of the histories of some runs that are held, by run id."""
    return dict(lake.rows(f"SELECT run_id, rows_held FROM lake.completeness WHERE {OF_RUNS}", [*key, list(run_ids)]))


def rows_held(lake: Queryable, run: RunPath) -> int:
    """Rows of a run's history that are held."""
    rows = lake.rows(f"SELECT rows_held FROM lake.completeness WHERE {IN_PROJECT} AND run_id = ?", list(run))
    return rows[0][0] if rows else 0


def last_step(lake: Queryable, run: RunPath) -> int | None:
    """The highest step of a run's history that is held."""
    rows = lake.rows(f"SELECT last_step_held FROM lake.completeness WHERE {IN_PROJECT} AND run_id = ?", list(run))
    return rows[0][0] if rows else None


def events_held(lake: Queryable, run: RunPath) -> int:
    """Rows of a run's system metrics that are held."""
    rows = lake.rows(f"SELECT max(number) FROM lake.system_metrics WHERE {IN_PROJECT} AND run_id = ?", list(run))
    return 0 if rows[0][0] is None else rows[0][0] + 1


def history_keys_held(lake: Queryable, run: RunPath) -> str | None:
    """`historyKeys` of a run as it is held, a JSON text."""
    rows = lake.rows(f"SELECT history_keys FROM lake.runs WHERE {IN_PROJECT} AND run_id = ?", list(run))
    return rows[0][0] if rows else None


def lost_files(lake: Queryable, runs: Sequence[RunPath]) -> dict[RunPath, tuple[str, ...]]:
    """What logs of some runs name and was not there to be copied: files, and entries of versions, by name."""
    rows = lake.rows(
        "SELECT f.entity, f.project, f.run_id, f.name FROM lake.files f"
        " WHERE f.file_id IS NULL AND f.status = 'failed' AND f.run_id IN (SELECT unnest(?::VARCHAR[]))"
        " UNION SELECT r.entity, r.project, r.run_id, a.sequence || '/' || e.path"
        " FROM lake.run_artifacts r JOIN lake.artifacts a USING (artifact_id)"
        " JOIN lake.artifact_files e USING (artifact_id)"
        f" WHERE starts_with(artifact_id, '{LOCAL}') AND e.status = 'failed'"
        " AND r.run_id IN (SELECT unnest(?::VARCHAR[])) ORDER BY ALL",
        [[run.run_id for run in runs]] * 2,
    )
    found: dict[RunPath, tuple[str, ...]] = {}
    for entity, project, run_id, name in rows:
        path = RunPath(entity, project, run_id)
        found[path] = (*found.get(path, ()), name)
    return found


def objects_of_version(lake: Queryable, artifact_id: str) -> dict[str, str]:
    """The digests of the bytes of a version's entries that are held, by path."""
    rows = lake.rows(
        "SELECT path, object FROM lake.artifact_files WHERE artifact_id = ? AND object IS NOT NULL", [artifact_id]
    )
    return dict(rows)
