"""Values as the lake's columns take them, out of records."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from mirror.store.schema.columns import Column, ColumnType
from mirror.texts.values import storable


def naive(moment: dt.datetime | None) -> dt.datetime | None:
    """An aware time as the lake's TIMESTAMP: UTC without a zone."""
    return None if moment is None else moment.astimezone(dt.UTC).replace(tzinfo=None)


def column_values(column: Column, records: Sequence[Any], given: Mapping[str, Any]) -> list[Any]:
    """Values of one column for rows of a table.

    Args:
        column: says where in a record the value is.
        records: one a row.
        given: what no record has: a list has one value a row, anything else is the value of all rows.
    """
    convert = _CONVERTED.get(column.type, _as_it_is)
    if column.name in given:
        known = given[column.name]
        if not isinstance(known, list):
            return [None if known is None else convert(known)] * len(records)
        if column.type == "VARCHAR":  # a name that many rows have is looked at once
            names = {value: None if value is None else convert(value) for value in set(known)}
            return [names[value] for value in known]
        values = known
    else:
        read: Callable[[Any], Any] = column.value or attrgetter(column.name)
        values = list(map(read, records))
    return values if convert is _as_it_is else [None if value is None else convert(value) for value in values]


def _as_it_is(value: Any) -> Any:
    return value


def _storable_texts(values: Sequence[str]) -> list[str]:
    return [storable(value) for value in values]


_CONVERTED: dict[ColumnType, Callable[[Any], Any]] = {
    "VARCHAR": storable,
    "JSON": storable,
    "VARCHAR[]": _storable_texts,
    "TIMESTAMP": naive,
}
