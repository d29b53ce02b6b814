"""Projects: which are held, how they were listed, and when they were pulled."""

from __future__ import annotations

import datetime as dt

import msgspec

from mirror.records.addresses import ProjectKey
from mirror.records.passes import SourceState
from mirror.records.runs import ACTIVE_STATES
from mirror.store.engine.queries import Queryable, aware, aware_structs, columns_of, structs
from mirror.store.schema.keys import IN_PROJECT

ISO = "'%Y-%m-%dT%H:%M:%S'"  # for strftime


class ProjectRow(msgspec.Struct, frozen=True, kw_only=True):
    """A project as it was listed."""

    entity: str
    project: str
    storage_id: str | None
    internal_id: str | None
    created_at: str | None  # as sent


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What was pulled before a daemon began."""

    good_at: dict[ProjectKey, dt.datetime]  # UTC; the last good pass of each project
    walked_at: dict[ProjectKey, dt.datetime]  # UTC; when all runs of each were compared for the last time
    quarantined: int  # items given up until a person asks for them


def read_project(lake: Queryable, entity: str, project: str) -> ProjectRow | None:
    """A project; None when it was never listed."""
    columns = columns_of(ProjectRow, created_at=f"coalesce(created_at_text, strftime(created_at, {ISO}))")
    found = structs(ProjectRow, lake.rows(f"SELECT {columns} FROM lake.projects WHERE {IN_PROJECT}", [entity, project]))
    return found[0] if found else None


def held_and_upstream(lake: Queryable, entity: str, project: str) -> tuple[int, int | None]:
    """How many runs of a project are held that are not gone, and how many the server counted at the last good pass.

    That is None where single runs were pulled, and never the project.
    """
    query = (
        f"SELECT (SELECT count(*) FROM lake.runs WHERE {IN_PROJECT} AND gone_at IS NULL),"
        f" (SELECT max(runs_upstream) FROM lake.sources WHERE {IN_PROJECT})"
    )
    held, upstream = lake.rows(query, [entity, project] * 2)[0]
    return held, upstream


def number_of_runs(lake: Queryable, entity: str, project: str) -> str | None:
    """The project's number as its runs have it; None when none is known."""
    query = f"SELECT min(project_internal_id) FROM lake.runs WHERE {IN_PROJECT}"
    found = lake.rows(query, [entity, project])[0][0]
    return None if found is None else str(found)


def is_mirrored(lake: Queryable, entity: str, project: str) -> bool:
    """Whether a project was ever pulled, or any of its runs."""
    query = (
        f"SELECT EXISTS (FROM lake.projects WHERE {IN_PROJECT}) OR EXISTS (FROM lake.runs WHERE {IN_PROJECT})"
        f" OR EXISTS (FROM lake.sources WHERE {IN_PROJECT} AND last_pass_at IS NOT NULL)"
    )
    return bool(lake.rows(query, [entity, project] * 3)[0][0])


def mirrored_projects(lake: Queryable, entity: str | None = None) -> list[tuple[str, str]]:
    """Entity and name of all projects that are held, or of those of one entity, by name."""
    query = (
        "SELECT DISTINCT entity, project FROM (SELECT entity, project FROM lake.runs UNION ALL"
        " SELECT entity, project FROM lake.projects) WHERE ?::VARCHAR IS NULL OR entity = ? ORDER BY ALL"
    )
    return [(found[0], found[1]) for found in lake.rows(query, [entity, entity])]


def last_active(lake: Queryable) -> dict[tuple[str, str], str]:
    """The last sign of life of any run, as an ISO text in UTC, by project."""
    query = (
        f"SELECT entity, project, strftime(max(coalesce(heartbeat_at, created_at)), {ISO}) FROM lake.runs"
        " WHERE gone_at IS NULL GROUP BY ALL"
    )
    return {(entity, project): at for entity, project, at in lake.rows(query) if at is not None}


def count_all_runs(lake: Queryable) -> int:
    """How many runs are held, those that are gone upstream among them."""
    return int(lake.rows("SELECT count(*) FROM lake.runs")[0][0])


def source_state(lake: Queryable, key: ProjectKey) -> SourceState:
    """How far a project was pulled; all empty for one that never was."""
    query = f"SELECT {columns_of(SourceState)} FROM lake.sources WHERE {IN_PROJECT}"
    found = aware_structs(SourceState, lake.rows(query, [key.entity, key.project]))
    return found[0] if found else SourceState()


def last_pass(lake: Queryable, entity: str, project: str) -> dt.datetime | None:
    """When the last good pass over a project began, UTC; None before the first."""
    rows = lake.rows(f"SELECT last_pass_at FROM lake.sources WHERE {IN_PROJECT}", [entity, project])
    return aware(rows[0][0]) if rows else None


def active_projects(lake: Queryable) -> frozenset[ProjectKey]:
    """Projects that hold a run in an active state."""
    query = (
        "SELECT DISTINCT entity, project FROM lake.runs WHERE gone_at IS NULL"
        " AND state IN (SELECT unnest(?::VARCHAR[]))"
    )
    return frozenset(ProjectKey(entity, project) for entity, project in lake.rows(query, [sorted(ACTIVE_STATES)]))


def standing(lake: Queryable) -> Standing:
    """When each project was pulled, and what was given up.

    Raises:
        StoreError: the lake cannot be read.
    """
    passes = [
        (ProjectKey(entity, project), aware(passed), aware(walked))
        for entity, project, passed, walked in lake.rows(
            "SELECT entity, project, last_pass_at, last_walk_at FROM lake.sources WHERE last_pass_at IS NOT NULL"
        )
    ]
    ((quarantined,),) = lake.rows("SELECT count(*) FROM lake.failures WHERE quarantined")
    return Standing(
        good_at={key: passed for key, passed, _ in passes},
        walked_at={key: walked for key, _, walked in passes if walked is not None},
        quarantined=quarantined,
    )


class RunCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The runs that are held of a project, whoever brought them."""

    entity: str
    project: str
    runs: int  # not gone upstream
    active: int  # of those, runs that may still change by themselves
    gone: int


def run_counts(lake: Queryable) -> list[RunCounts]:
    """All projects of which there is a run, by name."""
    rows = lake.rows(
        "SELECT entity, project, count(*) FILTER (gone_at IS NULL),"
        " count(*) FILTER (gone_at IS NULL AND state IN (SELECT unnest(?::VARCHAR[]))), count(gone_at)"
        " FROM lake.runs GROUP BY ALL ORDER BY ALL",
        [sorted(ACTIVE_STATES)],
    )
    return structs(RunCounts, rows)
