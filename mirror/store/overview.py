"""What a home holds, in numbers: the figures behind `wandb-mirror status`."""

from __future__ import annotations

import datetime as dt

import duckdb
import msgspec

from mirror.durable import file_names
from mirror.layout import Home
from mirror.records.runs import ACTIVE_STATES
from mirror.store.engine import sql_text


class ProjectOverview(msgspec.Struct, frozen=True, kw_only=True):
    """One mirrored project. Times are UTC without a zone, as the lake has them."""

    entity: str
    project: str
    runs: int  # held and not gone upstream
    active: int  # of those, runs that may still change by themselves
    gone: int  # held, but deleted upstream
    failures: int  # runs that the last pass could not take
    runs_upstream: int | None  # by the server's count at the last good pass
    walk_under_way: bool  # a walk over all runs was begun and is not at its end
    watermark: dt.datetime | None
    last_pass_at: dt.datetime | None
    last_walk_at: dt.datetime | None
    last_error: str | None
    last_error_at: dt.datetime | None


class FailureOverview(msgspec.Struct, frozen=True, kw_only=True):
    """One run that could not be taken."""

    path: str
    reason: str
    attempts: int
    first_at: dt.datetime
    last_at: dt.datetime


_PROJECTS = """
SELECT s.entity, s.project, coalesce(r.runs, 0), coalesce(r.active, 0), coalesce(r.gone, 0), coalesce(f.failures, 0),
       s.runs_upstream, s.walk_started_at IS NOT NULL, s.watermark, s.last_pass_at, s.last_walk_at, s.last_error,
       s.last_error_at
FROM lake.sources s
LEFT JOIN (
    SELECT entity, project, count(*) FILTER (gone_at IS NULL) AS runs, count(gone_at) AS gone,
           count(*) FILTER (gone_at IS NULL AND state IN ({states})) AS active
    FROM lake.runs GROUP BY ALL
) r USING (entity, project)
LEFT JOIN (SELECT entity, project, count(*) AS failures FROM lake.failures GROUP BY ALL) f USING (entity, project)
ORDER BY 1, 2
"""


def project_overviews(engine: duckdb.DuckDBPyConnection) -> list[ProjectOverview]:
    """Every project that was pulled, by name."""
    states = ", ".join(map(sql_text, sorted(ACTIVE_STATES)))
    rows = engine.execute(_PROJECTS.format(states=states)).fetchall()
    names = ProjectOverview.__struct_fields__
    return [ProjectOverview(**dict(zip(names, row, strict=True))) for row in rows]


def failure_overviews(engine: duckdb.DuckDBPyConnection, limit: int = 100) -> list[FailureOverview]:
    """Runs left behind, the latest first."""
    rows = engine.execute(
        "SELECT entity || '/' || project || '/' || run_id, reason, attempts, first_at, last_at FROM lake.failures"
        f" ORDER BY last_at DESC, 1 LIMIT {limit:d}",
    ).fetchall()
    names = FailureOverview.__struct_fields__
    return [FailureOverview(**dict(zip(names, row, strict=True))) for row in rows]


def disk_use(home: Home) -> int:
    """Bytes that the lake takes."""
    total = 0
    for name in file_names(home.lake):
        try:
            total += (home.lake / name).stat().st_size
        except FileNotFoundError:  # a file that a writer just replaced
            continue
    return total
