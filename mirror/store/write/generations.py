"""Earlier generations of a run: what the mirror held of it before the server replaced it.

A history is superseded when a step that was held is gone, or a number or text of it is another one; a whole run, when
it was deleted upstream and made again under its id. Then what goes is copied into the `generation_…` tables by the very
transaction that replaces it, so that a kill leaves the old state or the new one with the old one beside it. Objects are
named by those copies, and so they stay.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from mirror.records.addresses import ProjectKey
from mirror.store.engine.connection import Engine, sql_text
from mirror.store.engine.lake import Lake
from mirror.store.engine.meta import has_table
from mirror.store.engine.queries import Snapshot
from mirror.store.metrics.files import MetricFile
from mirror.store.schema.keys import OF_RUNS
from mirror.store.schema.tables import OF_GENERATIONS, REMADE
from mirror.store.write.rows import TEXT
from mirror.store.write.values import naive
from mirror.texts.values import storable

REWOUND, OVERWRITTEN = "rewound", "overwritten"  # reasons, beside `REMADE`

_MINE = "t.entity = $1 AND t.project = $2"
_INT = pa.int64()
# Tables whose rows are copied as they are, with the columns that are copied.
_COPIED = {
    "generation_exports": ("exports", 'part, "object", bytes, "rows", min_step, max_step'),
    "generation_tails": ("tails", "step, row"),
    "generation_metrics": ("metrics", "key, step, timestamp, value, text"),
}
# Tables whose rows are copied as JSON when a run was made again, with what names an object in them.
_AS_JSON = {
    "runs": "NULL",
    "files": "t.object",
    "console_lines": "NULL",
    "system_metrics": "NULL",
    "run_artifacts": "NULL",
}
_CONTENTS = (
    "files", "exports", "tails", "metrics", "completeness", "console_lines", "system_metrics", "run_artifacts",
    "earlier_forms",
)  # fmt: skip


def superseded_histories(
    engine: Engine, key: ProjectKey, run_ids: Sequence[str], files: Sequence[MetricFile]
) -> dict[str, str]:
    """Which histories lose something to what is about to replace them.

    Rows that only grew, or that an export spells in another way, supersede nothing: compared are steps, numbers and
    plain texts, since a nested value has several spellings.

    Args:
        engine: with the lake attached; what is held is still there.
        key: the project.
        run_ids: of the histories that are built anew.
        files: their new metrics, written and not registered.

    Returns:
        The reason by run id, of those alone that lose something.
    """
    if not run_ids:
        return {}
    ids = "run_id IN (SELECT unnest($3::VARCHAR[]))"
    columns = "run_id::VARCHAR AS run_id, key::VARCHAR AS key, step, value, text"
    paths = ", ".join(sql_text(file.address) for file in files)
    source = f"read_parquet([{paths}])" if files else "lake.metrics"
    rows = engine.execute(
        f"WITH held AS (SELECT {columns} FROM lake.metrics t WHERE {_MINE} AND {ids}),"
        f" coming AS (SELECT {columns} FROM {source} t WHERE {_MINE} AND {ids} AND {'true' if files else 'false'}),"
        " lost AS (SELECT run_id, step FROM held EXCEPT SELECT run_id, step FROM coming),"
        " other AS (SELECT run_id FROM held JOIN coming USING (run_id, key, step)"
        "   WHERE held.value <> coming.value OR (held.value IS NULL AND coming.value IS NULL"
        "     AND held.text <> coming.text AND held.text[1] NOT IN ('{', '[') AND coming.text[1] NOT IN ('{', '[')))"
        f" SELECT DISTINCT run_id, '{REWOUND}' FROM lost UNION ALL"
        f" (SELECT DISTINCT run_id, '{OVERWRITTEN}' FROM other ANTI JOIN lost USING (run_id))",
        [key.entity, key.project, [storable(run_id) for run_id in run_ids]],
    ).fetchall()
    names = {storable(run_id): run_id for run_id in run_ids}
    return {names[run_id]: str(reason) for run_id, reason in rows}


def keep_histories(engine: Engine, key: ProjectKey, reasons: Mapping[str, str], at: dt.datetime) -> None:
    """Copy the histories of some runs into a generation of their own, inside the transaction that replaces them.

    Args:
        engine: inside a transaction; what is held is still there.
        key: the project.
        reasons: by run id.
        at: UTC.
    """
    if reasons:
        _keep(engine, key, reasons, at, as_json=())


def supersede_runs(engine: Engine, key: ProjectKey, run_ids: Iterable[str], at: dt.datetime) -> None:
    """Copy everything of some runs into a generation of their own, and empty what they contained.

    Their rows in `runs` stay, for the caller to replace.

    Args:
        engine: inside a transaction.
        key: the project.
        run_ids: runs that were made again upstream.
        at: UTC.
    """
    reasons = dict.fromkeys(run_ids, REMADE)
    if not reasons:
        return
    _keep(engine, key, reasons, at, as_json=tuple(_AS_JSON))
    ids = [storable(run_id) for run_id in reasons]
    for table in _CONTENTS:
        engine.execute(f"DELETE FROM lake.{table} WHERE {OF_RUNS}", [key.entity, key.project, ids])


def forget_generations(lake: Lake, keep: int) -> int:
    """Remove all but the newest generations of each run.

    Args:
        lake: opened for writing.
        keep: how many generations of a run stay.

    Returns:
        How many generations are gone.

    Raises:
        StoreError: the disk failed; nothing changed.
    """
    with lake.reading() as engine:
        if not count_old_generations(engine, keep):
            return 0
    with lake.transaction() as engine:
        count = count_old_generations(engine, keep)
        engine.execute(f"CREATE OR REPLACE TEMP TABLE old_generations AS {_old(keep)}")
        for table in OF_GENERATIONS:
            engine.execute(
                f"DELETE FROM lake.{table.name} WHERE (entity, project, run_id, generation)"
                " IN (SELECT (entity, project, run_id, generation) FROM temp.old_generations)"
            )
        engine.execute("DROP TABLE temp.old_generations")
    return count


def count_old_generations(engine: Engine, keep: int) -> int:
    """How many generations `forget_generations` would remove."""
    if not has_table(Snapshot(engine), "generations"):
        return 0  # a lake of an older version
    ((count,),) = engine.execute(f"SELECT count(*) FROM ({_old(keep)})").fetchall()
    return int(count)


def _old(keep: int) -> str:
    return (
        "SELECT entity, project, run_id, generation FROM lake.generations QUALIFY"
        f" row_number() OVER (PARTITION BY entity, project, run_id ORDER BY generation DESC) > {keep}"
    )


def _keep(
    engine: Engine, key: ProjectKey, reasons: Mapping[str, str], at: dt.datetime, *, as_json: Sequence[str]
) -> None:
    ids = [storable(run_id) for run_id in reasons]
    taken = dict(
        engine.execute(
            f"SELECT run_id, max(generation) FROM lake.generations WHERE {OF_RUNS} GROUP BY run_id",
            [key.entity, key.project, ids],
        ).fetchall()
    )
    schema = pa.schema([("run_id", TEXT), ("generation", _INT), ("reason", TEXT)])
    numbered = [ids, [int(taken.get(run_id, 0)) + 1 for run_id in ids], list(reasons.values())]
    engine.register("kept", pa.table(numbered, schema))
    try:
        engine.execute(
            "INSERT INTO lake.generations BY NAME SELECT $1 AS entity, $2 AS project, k.run_id, k.generation, k.reason,"
            " $3::TIMESTAMP AS superseded_at, r.storage_id, r.created_at, c.last_step, c.history_line_count,"
            " c.rows_held, c.parts, c.tail_rows, c.complete FROM kept k"
            " LEFT JOIN (FROM lake.runs t WHERE t.entity = $1 AND t.project = $2) r USING (run_id)"
            " LEFT JOIN (FROM lake.completeness t WHERE t.entity = $1 AND t.project = $2) c USING (run_id)",
            [key.entity, key.project, naive(at)],
        )
        for target, (source, columns) in _COPIED.items():
            engine.execute(
                f"INSERT INTO lake.{target} BY NAME SELECT t.entity, t.project, t.run_id, k.generation, {columns}"
                f" FROM lake.{source} t JOIN kept k USING (run_id) WHERE {_MINE}",
                [key.entity, key.project],
            )
        for table in as_json:
            engine.execute(
                f"INSERT INTO lake.generation_rows BY NAME SELECT t.entity, t.project, t.run_id, k.generation,"
                f""" {sql_text(table)} AS "table", {_AS_JSON[table]} AS object, {_strict_json(table)} AS row"""
                f" FROM lake.{table} t JOIN kept k USING (run_id) WHERE {_MINE}",
                [key.entity, key.project],
            )
    finally:
        engine.unregister("kept")


def _strict_json(table: str) -> str:
    """A row as JSON. Of a system metric a double that JSON has no number for is a text, as everywhere here."""
    if table != "system_metrics":
        return "to_json(t)"
    value = "CASE WHEN isfinite(t.value) OR t.value IS NULL THEN to_json(t.value) ELSE to_json(t.value::VARCHAR) END"
    return f"to_json({{'key': t.key, 'number': t.number, 'timestamp': t.timestamp, 'value': {value}, 'text': t.text}})"
