"""Rows on their way into the lake: records become Arrow by a table's columns, Arrow becomes an INSERT or a MERGE."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mirror.store.engine.connection import Engine, sql_name
from mirror.store.schema.columns import ColumnType, Table
from mirror.store.write.values import column_values
from mirror.texts.values import storable

TEXT = pa.large_string()
TIME = pa.timestamp("us")
ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "VARCHAR": TEXT,
    "JSON": TEXT,
    "VARCHAR[]": pa.list_(TEXT),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": TIME,
}


@cache
def arrow_schema(table: Table) -> pa.Schema:
    """A table's columns with Arrow's types, in their order."""
    return pa.schema([(column.name, ARROW_TYPES[column.type]) for column in table.columns])


def arrow_table(table: Table, records: Sequence[Any], /, **given: Any) -> pa.Table:
    """Records as rows of a table.

    Args:
        table: whose columns say where in a record each value is.
        records: one a row.
        given: columns that no record has: a list has one value a row, anything else is the value of all rows.
    """
    columns = [column_values(column, records, given) for column in table.columns]
    kinds = [ARROW_TYPES[column.type] for column in table.columns]
    return pa.table([pa.array(values, kind) for values, kind in zip(columns, kinds, strict=True)], arrow_schema(table))


def merge(engine: Engine, table: Table, records: Sequence[Any], /, **given: Any) -> None:
    """Update the rows whose keys are held, insert the others; each key once. Arguments as `arrow_table`'s."""
    _merge(engine, table, arrow_table(table, records, **given))


def put(engine: Engine, table: Table, records: Sequence[Any], /, *, new: frozenset[str], **given: Any) -> None:
    """`merge` for rows of runs; those of runs that are new are not looked for."""
    incoming = arrow_table(table, records, **given)
    is_new = pc.is_in(incoming["run_id"], pa.array(map(storable, new), TEXT))
    insert_arrow(engine, table, incoming.filter(is_new))
    known = incoming.filter(pc.invert(is_new))
    if len(known):
        _merge(engine, table, known)


def insert(engine: Engine, table: Table, records: Sequence[Any], /, **given: Any) -> None:
    """Add rows. Arguments as `arrow_table`'s."""
    insert_arrow(engine, table, arrow_table(table, records, **given))


def insert_arrow(engine: Engine, table: Table, incoming: pa.Table) -> None:
    """Add rows that have the table's columns."""
    if len(incoming):
        with _incoming(engine, incoming) as columns:
            engine.execute(f"INSERT INTO lake.{table.name} BY NAME SELECT {columns} FROM incoming")


def _merge(engine: Engine, table: Table, incoming: pa.Table) -> None:
    condition = " AND ".join(f"held.{key} = incoming.{key}" for key in table.key)
    with _incoming(engine, incoming) as columns:
        engine.execute(
            f"MERGE INTO lake.{table.name} AS held USING (SELECT {columns} FROM incoming) AS incoming ON ({condition})"
            " WHEN MATCHED THEN UPDATE BY NAME WHEN NOT MATCHED THEN INSERT BY NAME"
        )


@contextlib.contextmanager
def _incoming(engine: Engine, table: pa.Table) -> Iterator[str]:
    engine.register("incoming", table)
    try:
        yield ", ".join(sql_name(name) for name in table.schema.names)
    finally:
        engine.unregister("incoming")
