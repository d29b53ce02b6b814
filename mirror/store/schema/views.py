"""What `mirror.connect()` shows under plain names, for lakes of this version and of those before it."""

from __future__ import annotations

from collections.abc import Mapping

from mirror.store.engine.connection import sql_name
from mirror.store.schema.columns import Table
from mirror.store.schema.tables import EARLIER_FORMS, META, SCHEMA_VERSION, SWEEPS, SYSTEM_METRICS, TABLES

READABLE_FROM = 2  # a lake of this version or later is read as it is; an older one has to be brought up to date first

_SWEEPS = """
SELECT s.*, b.best_run FROM ({sweeps}) s LEFT JOIN (
    SELECT entity, project, sweep_id, arg_min(run_id, score) AS best_run FROM (
        SELECT s.entity, s.project, s.sweep_id, r.run_id,
            if(s.goal = 'maximize', -1, 1) * TRY_CAST(coalesce(
                json_extract_string(r.summary, '/' || replace(replace(s.metric, '~', '~0'), '/', '~1')),
                json_extract_string(r.summary, '/' || replace(s.metric, '.', '/'))) AS DOUBLE) AS score
        FROM lake.sweeps s
        JOIN lake.runs r ON r.entity = s.entity AND r.project = s.project AND r.sweep = s.sweep_id
        WHERE s.metric IS NOT NULL AND r.gone_at IS NULL
    ) WHERE isfinite(score) GROUP BY entity, project, sweep_id
) b ON b.entity = s.entity AND b.project = s.project AND b.sweep_id = s.sweep_id
"""
_HIDDEN = (META, EARLIER_FORMS)


def views(version: int) -> Mapping[str, str]:
    """What `mirror.connect()` shows under plain names: name and query of each view.

    The exact wire texts and bookkeeping stay in `lake.*`. A reader of an older lake does without the tables that came
    later, and sees the later columns of others empty.

    Args:
        version: of the lake's schema, `READABLE_FROM` or later.
    """
    found = {table.name: _shown(table, version) for table in TABLES if table.since <= version and table not in _HIDDEN}
    found[SWEEPS.name] = _SWEEPS.format(sweeps=found[SWEEPS.name])
    found[SYSTEM_METRICS.name] += " WHERE key <> '_wandb'"
    return found


def _shown(table: Table, version: int) -> str:
    columns = (
        sql_name(column.name) if column.since <= version else f"NULL::{column.type} AS {sql_name(column.name)}"
        for column in table.shown
    )
    return f"SELECT {', '.join(columns)} FROM lake.{table.name}"


VIEWS = views(SCHEMA_VERSION)
