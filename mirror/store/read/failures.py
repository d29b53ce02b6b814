"""What could not be taken and is not over: one row an item."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import msgspec

from mirror.records.addresses import ProjectKey, RunPath
from mirror.records.passes import OpenFailure
from mirror.store.engine.queries import Queryable, aware_structs, columns_of, structs
from mirror.store.schema.keys import IN_PROJECT, OF_RUN


class FailureOverview(msgspec.Struct, frozen=True, kw_only=True):
    """One run, or one part of a run, that could not be taken. Times are UTC without a zone, as the lake has them."""

    path: str  # of the run
    item: str  # "file NAME", "history", "console", …; empty for the run itself
    reason: str
    attempts: int
    first_at: dt.datetime
    last_at: dt.datetime
    next_at: dt.datetime  # not tried again before
    quarantined: bool  # not tried again until a person asks for it


_OVERVIEW = columns_of(FailureOverview, path="entity || '/' || project || '/' || run_id")


def failure_overviews(lake: Queryable, limit: int = 100) -> list[FailureOverview]:
    """What was left behind, the latest first."""
    query = f"SELECT {_OVERVIEW} FROM lake.failures ORDER BY last_at DESC, 1, 2 LIMIT {limit:d}"
    return structs(FailureOverview, lake.rows(query))


def failures_of(lake: Queryable, run: RunPath) -> list[FailureOverview]:
    """What of one run was left behind, by item."""
    return structs(
        FailureOverview, lake.rows(f"SELECT {_OVERVIEW} FROM lake.failures WHERE {OF_RUN} ORDER BY item", run)
    )


def why_failed(lake: Queryable, run: RunPath, items: Sequence[str]) -> str | None:
    """Why something of a run could not be taken, in the server's words; None when no failure is recorded.

    Args:
        lake: to ask.
        run: entity, project, run id.
        items: what of the run, as the pull names it. What failed for the whole run failed for them.
    """
    query = f"SELECT reason FROM lake.failures WHERE {OF_RUN} AND item IN (SELECT unnest(?::VARCHAR[])) ORDER BY item"
    rows = lake.rows(query, [*run, ["", "contents", *items]])
    return str(rows[0][0]) if rows else None


def left_behind(lake: Queryable) -> dict[ProjectKey, int]:
    """How many items of each project are not over, given up or not; projects without any are left out."""
    rows = lake.rows("SELECT entity, project, count(*) FROM lake.failures GROUP BY ALL")
    return {ProjectKey(entity, project): count for entity, project, count in rows}


def open_failures(lake: Queryable, key: ProjectKey) -> dict[tuple[str, str], OpenFailure]:
    """What of a project failed before and is not over, by run id and item."""
    query = f"SELECT run_id, item, {columns_of(OpenFailure)} FROM lake.failures WHERE {IN_PROJECT}"
    rows = lake.rows(query, [key.entity, key.project])
    failures = aware_structs(OpenFailure, [row[2:] for row in rows])
    return {(row[0], row[1]): failure for row, failure in zip(rows, failures, strict=True)}
