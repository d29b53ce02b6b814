"""What a home holds, in numbers: the figures behind `wandb-mirror status`."""

from __future__ import annotations

import datetime as dt

import duckdb
import msgspec

from mirror.records.passes import COSTS_HISTORY
from mirror.records.runs import ACTIVE_STATES
from mirror.store.engine.connection import sql_text
from mirror.typed import struct_of


class ProjectOverview(msgspec.Struct, frozen=True, kw_only=True):
    """One mirrored project. Times are UTC without a zone, as the lake has them."""

    entity: str
    project: str
    runs: int  # held and not gone upstream
    active: int  # of those, runs that may still change by themselves
    gone: int  # held, but deleted upstream
    failures: int  # runs, and parts of runs, that could not be taken
    quarantined: int  # of those, given up until a person asks for them
    incomplete: int  # histories of which something is missing, or that could not be read
    files: int  # run files held
    file_bytes: int
    runs_upstream: int | None  # by the server's count at the last good pass
    walk_under_way: bool  # a walk over all runs was begun and is not at its end
    watermark: dt.datetime | None
    last_pass_at: dt.datetime | None
    last_walk_at: dt.datetime | None
    last_error: str | None
    last_error_at: dt.datetime | None


class FailureOverview(msgspec.Struct, frozen=True, kw_only=True):
    """One run, or one part of a run, that could not be taken."""

    path: str
    item: str  # "file NAME", "history", "console", …; empty for the run itself
    reason: str
    attempts: int
    first_at: dt.datetime
    last_at: dt.datetime
    next_at: dt.datetime  # not tried again before
    quarantined: bool  # not tried again until a person asks for it


_PROJECTS = """
SELECT s.entity, s.project, coalesce(r.runs, 0), coalesce(r.active, 0), coalesce(r.gone, 0), coalesce(f.failures, 0),
       coalesce(f.quarantined, 0), coalesce(c.incomplete, 0), coalesce(b.files, 0), coalesce(b.bytes, 0),
       s.runs_upstream, s.walk_started_at IS NOT NULL, s.watermark, s.last_pass_at, s.last_walk_at, s.last_error,
       s.last_error_at
FROM lake.sources s
LEFT JOIN (
    SELECT entity, project, count(*) FILTER (gone_at IS NULL) AS runs, count(gone_at) AS gone,
           count(*) FILTER (gone_at IS NULL AND state IN ({states})) AS active
    FROM lake.runs GROUP BY ALL
) r USING (entity, project)
LEFT JOIN (
    SELECT entity, project, count(*) AS failures, count(*) FILTER (quarantined) AS quarantined
    FROM lake.failures GROUP BY ALL
) f USING (entity, project)
LEFT JOIN (
    SELECT entity, project, count(DISTINCT run_id) AS incomplete
    FROM (SELECT entity, project, run_id FROM lake.completeness WHERE NOT complete
          UNION ALL SELECT entity, project, run_id FROM lake.failures WHERE item IN ({of_histories}))
    GROUP BY ALL
) c USING (entity, project)
LEFT JOIN (
    SELECT entity, project, count(*) AS files, sum(size)::BIGINT AS bytes
    FROM lake.files WHERE object IS NOT NULL GROUP BY ALL
) b USING (entity, project)
ORDER BY 1, 2
"""


def project_overviews(engine: duckdb.DuckDBPyConnection) -> list[ProjectOverview]:
    """Every project that was pulled, by name."""
    states = ", ".join(map(sql_text, sorted(ACTIVE_STATES)))
    of_histories = ", ".join(map(sql_text, COSTS_HISTORY))
    rows = engine.execute(_PROJECTS.format(states=states, of_histories=of_histories)).fetchall()
    return [struct_of(ProjectOverview, row) for row in rows]


def failure_overviews(engine: duckdb.DuckDBPyConnection, limit: int = 100) -> list[FailureOverview]:
    """What was left behind, the latest first."""
    rows = engine.execute(
        "SELECT entity || '/' || project || '/' || run_id, item, reason, attempts, first_at, last_at, next_at,"
        f" quarantined FROM lake.failures ORDER BY last_at DESC, 1, 2 LIMIT {limit:d}",
    ).fetchall()
    return [struct_of(FailureOverview, row) for row in rows]
