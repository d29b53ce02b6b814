"""Rows of small tables on their way into the lake: frozen values become Arrow, Arrow becomes an INSERT or a MERGE."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from mirror.records.texts import storable
from mirror.store.engine import Engine, sql_name

TEXT = pa.large_string()
TIME = pa.timestamp("us")


def naive(moment: dt.datetime | None) -> dt.datetime | None:
    """An aware time as the lake's TIMESTAMP: UTC without a zone."""
    return None if moment is None else moment.astimezone(dt.UTC).replace(tzinfo=None)


def arrow_table(schema: pa.Schema, rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    """Rows, in the order of the schema's columns, as one table; texts become what a column can hold."""
    if not rows:
        return schema.empty_table()
    columns = zip(*rows, strict=True)
    return pa.table([_column(values, field.type) for values, field in zip(columns, schema, strict=True)], schema)


def merge(engine: Engine, table: str, incoming: pa.Table, *, keys: Sequence[str]) -> None:
    """Update the rows whose keys are held, insert the others. `incoming` holds each key once."""
    condition = " AND ".join(f"held.{key} = incoming.{key}" for key in keys)
    with _incoming(engine, incoming) as columns:
        engine.execute(
            f"MERGE INTO lake.{table} AS held USING (SELECT {columns} FROM incoming) AS incoming ON ({condition})"
            " WHEN MATCHED THEN UPDATE BY NAME WHEN NOT MATCHED THEN INSERT BY NAME"
        )


def put(
    engine: Engine,
    table: str,
    schema: pa.Schema,
    rows: Sequence[tuple[Any, ...]],
    *,
    keys: Sequence[str],
    new: frozenset[str],
) -> None:
    """`merge` for rows of runs, their ids in the third column; those of runs that are new are not looked for."""
    insert(engine, table, arrow_table(schema, [row for row in rows if row[2] in new]))
    known = [row for row in rows if row[2] not in new]
    if known:
        merge(engine, table, arrow_table(schema, known), keys=keys)


def insert(engine: Engine, table: str, incoming: pa.Table) -> None:
    """Add rows."""
    if len(incoming):
        with _incoming(engine, incoming) as columns:
            engine.execute(f"INSERT INTO lake.{table} BY NAME SELECT {columns} FROM incoming")


@contextlib.contextmanager
def _incoming(engine: Engine, table: pa.Table) -> Iterator[str]:
    engine.register("incoming", table)
    try:
        yield ", ".join(sql_name(name) for name in table.schema.names)
    finally:
        engine.unregister("incoming")


def _column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if kind == TEXT:
        values = [None if value is None else storable(value) for value in values]
    return pa.array(values, kind)
