"""What a home holds, in numbers: the figures behind `wandb-mirror status`."""

from __future__ import annotations

import datetime as dt

import msgspec

from mirror.records.passes import COSTS_HISTORY
from mirror.records.runs import ACTIVE_STATES
from mirror.store.engine.queries import Queryable, structs


class ProjectOverview(msgspec.Struct, frozen=True, kw_only=True):
    """One project, mirrored or of offline runs alone. Times are UTC without a zone, as the lake has them."""

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


_PROJECTS = """
SELECT entity, project, coalesce(r.runs, 0), coalesce(r.active, 0), coalesce(r.gone, 0), coalesce(f.failures, 0),
       coalesce(f.quarantined, 0), coalesce(c.incomplete, 0), coalesce(b.files, 0), coalesce(b.bytes, 0),
       s.runs_upstream, s.walk_started_at IS NOT NULL, s.watermark, s.last_pass_at, s.last_walk_at, s.last_error,
       s.last_error_at
FROM (SELECT entity, project FROM lake.sources UNION SELECT entity, project FROM lake.runs)
LEFT JOIN lake.sources s USING (entity, project)
LEFT JOIN (
    SELECT entity, project, count(*) FILTER (gone_at IS NULL) AS runs, count(gone_at) AS gone,
           count(*) FILTER (gone_at IS NULL AND state IN (SELECT unnest(?::VARCHAR[]))) AS active
    FROM lake.runs GROUP BY ALL
) r USING (entity, project)
LEFT JOIN (
    SELECT entity, project, count(*) AS failures, count(*) FILTER (quarantined) AS quarantined
    FROM lake.failures GROUP BY ALL
) f USING (entity, project)
LEFT JOIN (
    SELECT entity, project, count(DISTINCT run_id) AS incomplete
    FROM (SELECT entity, project, run_id FROM lake.completeness WHERE NOT complete
          UNION ALL SELECT entity, project, run_id FROM lake.failures WHERE item IN (SELECT unnest(?::VARCHAR[])))
    GROUP BY ALL
) c USING (entity, project)
LEFT JOIN (
    SELECT entity, project, count(*) AS files, sum(size)::BIGINT AS bytes
    FROM lake.files WHERE object IS NOT NULL GROUP BY ALL
) b USING (entity, project)
ORDER BY 1, 2
"""


def project_overviews(lake: Queryable) -> list[ProjectOverview]:
    """Every project that was pulled or that has runs here, by name."""
    return structs(ProjectOverview, lake.rows(_PROJECTS, [sorted(ACTIVE_STATES), list(COSTS_HISTORY)]))
