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
# What a history says of a table that was logged, as expressions over `metrics`.
TABLE_COLUMNS = {
    "rows": "TRY_CAST(json_extract_string(text, '$.nrows') AS BIGINT)",
    "columns": "TRY_CAST(json_extract_string(text, '$.ncols') AS BIGINT)",
    "path": "json_extract_string(text, '$.path')",
    "sha256": "json_extract_string(text, '$.sha256')",
    "increment": "TRY_CAST(json_extract_string(text, '$.increment_num') AS BIGINT)",
}
_TABLE_TYPES = "'table-file', 'incremental-table-file'"
_LOGGED_TABLES = """
SELECT m.entity, m.project, m.run_id, m.key, m.step, m.rows, m.columns, m.path, f.object IS NOT NULL AS held FROM (
    SELECT entity, project, run_id, key, step, {found} FROM lake.metrics WHERE {is_table}
) m LEFT JOIN lake.files f ON f.entity = m.entity AND f.project = m.project AND f.run_id = m.run_id AND f.name = m.path
"""

# A row a key: the tree of a document has each key with its way, joined by dots. What lies in a list stays in it.
_VALUES = """
SELECT r.entity, r.project, r.run_id, substr(j.fullkey, 3) AS key,
    CASE WHEN j.type IN ('BIGINT', 'UBIGINT', 'HUGEINT', 'UHUGEINT', 'DOUBLE')
        OR j.atom IN ('"NaN"', '"Infinity"', '"-Infinity"') THEN TRY_CAST(j.value->>'$' AS DOUBLE) END AS value,
    CASE WHEN j.type <> 'NULL' THEN j.value->>'$' END AS text
FROM runs r, json_tree(r.{document}) j
WHERE json_type(r.{document}) = 'OBJECT' AND j.fullkey = j.path || '.' || j.key
    AND (j.type <> 'OBJECT' OR j.value = '{{}}')
    AND NOT regexp_matches(j.path, '\\[[0-9]+\\](\\.|$)')
"""
# The server's word for what a history holds: it alone tells a key that was logged as None, `nil`, from an absent one.
_LOGGED_KEYS = """
SELECT r.entity, r.project, r.run_id, k.key, t.value->>'$.type' AS type,
    TRY_CAST(t.value->>'$.count' AS BIGINT) AS count
FROM runs r, json_each(r.history_keys, '$.keys') k, json_each(k.value, '$.typeCounts') t
"""
_POINTER = "replace(replace(key, '~', '~0'), '/', '~1')"


def is_table(text: str) -> str:
    """Whether the text of a value is what W&B notes of a table, as SQL; `contains` goes first, since it is cheap."""
    may_be = f"contains({text}, 'table-file') AND json_valid({text})"
    return f"CASE WHEN {may_be} THEN json_extract_string({text}, '$._type') END IN ({_TABLE_TYPES})"


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


def made_views() -> Mapping[str, str]:
    """The views beside those of tables: what is made of several, or of the JSON in them. They name the view `runs`."""
    shown = ", ".join(f"{TABLE_COLUMNS[name]} AS {name}" for name in ("rows", "columns", "path"))
    return {
        "logged_tables": _LOGGED_TABLES.format(found=shown, is_table=is_table("text")),
        "config_values": _VALUES.format(document="config"),
        "summary_values": _VALUES.format(document="summary"),
        "logged_keys": _LOGGED_KEYS,
    }


def macros() -> Mapping[str, str]:
    """Functions for the JSON columns: name with parameters, and what it is. The key of a dictionary's member may be
    `a.b`; a key of that very name goes before.
    """
    own, member = (
        f"json_extract_string(document, '/' || {way})" for way in (_POINTER, f"replace({_POINTER}, '.', '/')")
    )
    found = f"coalesce({own}, {member})"
    return {"num(document, key)": f"TRY_CAST({found} AS DOUBLE)", "str(document, key)": found}


VIEWS = views(SCHEMA_VERSION)
