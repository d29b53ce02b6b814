"""Python values as an Arrow table, a type a column, without losing a digit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from mirror.store.history.wide_columns import JSON_MARK, TypedColumn, tail_column
from mirror.store.sql.statements import plain
from mirror.texts.values import unique_names, valid_unicode

Table = pa.Table  # for those who only hand it on


def arrow_table(columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    """Columns of equal length as a table.

    Booleans, integers of 64 bits, floats, texts, times, and lists of one of these keep their types. A column without
    one type for all its values holds JSON texts, as the metadata of its field says (`wide_columns.JSON_MARK`).
    """
    found = [_column(values) for values in columns.values()]
    fields = [
        pa.field(name, column.array.type, metadata=JSON_MARK if column.is_json else None)
        for name, column in zip(unique_names([valid_unicode(name) for name in columns]), found, strict=True)
    ]
    return pa.table([column.array for column in found], schema=pa.schema(fields))


def _column(values: Sequence[Any]) -> TypedColumn:
    values = [value.tolist() if hasattr(value, "tolist") else value for value in values]  # arrays of numpy's
    there = [value for value in values if value is not None]
    if there and all(type(value) is dt.datetime for value in there):
        return TypedColumn(pa.array(values, pa.timestamp("us", "UTC")))
    if (
        there
        and all(_is_plain_list(value) for value in there)
        and len({_inner(value) for value in there} - {None}) == 1
    ):
        return TypedColumn(pa.array(values))
    return tail_column([plain(value) if isinstance(value, dt.date | list | dict) else value for value in values],
                       beside_numbers=False)  # fmt: skip


def _is_plain_list(value: Any) -> bool:
    if not isinstance(value, list) or len({type(item) for item in value}) > 1:
        return False
    return all(
        type(item) in (bool, float, str) or (type(item) is int and -(2**63) <= item < 2**63) for item in value
    ) and not any(isinstance(item, str) and valid_unicode(item) != item for item in value)


def _inner(value: list[Any]) -> type | None:
    return type(value[0]) if value else None
