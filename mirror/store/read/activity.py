"""Which projects have runs that have not ended: those are worth looking at more often."""

from __future__ import annotations

from mirror.records.addresses import ProjectKey
from mirror.records.runs import ACTIVE_STATES
from mirror.store.engine.connection import sql_text
from mirror.store.engine.lake import Lake


def active_projects(lake: Lake) -> frozenset[ProjectKey]:
    """Projects that hold a run in an active state."""
    states = ", ".join(map(sql_text, sorted(ACTIVE_STATES)))
    query = f"SELECT DISTINCT entity, project FROM lake.runs WHERE gone_at IS NULL AND state IN ({states})"
    with lake.reading() as engine:
        return frozenset(ProjectKey(entity, project) for entity, project in engine.execute(query).fetchall())
