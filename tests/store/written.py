"""Logged rows as histories of every style: as W&B's writers of all ages export them, and as rows of its API."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, Any]
Style = Literal["struct", "dotted", "json"]
STYLES: tuple[Style, ...] = ("struct", "dotted", "json")


def export_bytes(rows: Sequence[Row], style: Style, *, step: pa.DataType | None = None, doubles: bool = False) -> bytes:
    """One part.

    Args:
        rows: with `_step`.
        style: what dictionaries, lists and mixed values are.
        step: type of the column `_step`; None for int64.
        doubles: integers are doubles, as after a compaction.
    """
    written = [_dotted(row) if style == "dotted" else row for row in rows]
    names = dict.fromkeys(name for row in written for name in row)
    columns = {
        name: pa.array([row.get(name) for row in written], step or pa.int64())
        if name == "_step"
        else _column([row.get(name) for row in written], style, doubles)
        for name in names
    }
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, write_page_checksum=True)
    return sink.getvalue()


def as_wire(rows: Sequence[Row]) -> list[str]:
    """Rows as `history` gives them."""
    return [json.dumps(row) for row in rows]


def comparable(value: Any) -> Any:
    """A value that is equal to another one where they say the same: no null members, -0.0 is not 0, NaN is NaN."""
    if isinstance(value, Mapping):
        return {key: comparable(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, bool | float) and (isinstance(value, bool) or not math.isfinite(value) or value == 0):
        return repr(value) if value != 0 or isinstance(value, bool) or math.copysign(1, value) < 0 else 0
    return value


def _dotted(row: Row) -> Row:
    """Dictionaries flattened but for those that W&B keeps whole."""
    flat: Row = {}
    for key, value in row.items():
        members = {name: item for name, item in value.items() if item is not None} if isinstance(value, dict) else {}
        if members and "_type" not in members:
            flat |= _dotted({f"{key}.{name}": item for name, item in members.items()})
        else:
            flat[key] = value
    return flat


def _column(values: list[Any], style: Style, doubles: bool) -> pa.Array:
    there = [value for value in values if value is not None]
    if all(type(value) in (int, float) for value in there):
        exact = all(isinstance(value, float) or abs(value) <= 2**53 for value in there)
        if doubles or (exact and any(isinstance(value, float) for value in there)) or not there:
            return pa.array([None if value is None else float(value) for value in values], pa.float64())
        if all(isinstance(value, int) and -(2**63) <= value < 2**63 for value in there):
            return pa.array(values, pa.int64())
    for kind, arrow in ((bool, pa.bool_()), (str, pa.string())):
        if all(type(value) is kind for value in there):
            return pa.array(values, arrow)
    if style == "struct" or all(isinstance(value, dict) and "_type" in value for value in there):
        array = _natural(values)
        if array is not None:
            return array
    return pa.array([None if value is None else json.dumps(value).encode() for value in values], pa.binary())


def _natural(values: list[Any]) -> pa.Array | None:
    """Structs and lists, where Parquet can hold the values so."""
    try:
        array = pa.array(values)
        pq.write_table(pa.table({"a": array}), io.BytesIO())
    except (pa.ArrowException, OverflowError):
        return None
    return array if comparable(array.to_pylist()) == comparable(values) else None
