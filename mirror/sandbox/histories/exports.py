"""Parquet parts of a history, as W&B's exporter writes them (W&B API notes, section 6)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mirror.sandbox.histories.export_style import PartStyle
from mirror.sandbox.histories.keys import flattened
from mirror.wandb_protocol.wire import spell

_STEP_TYPES = {"int64": pa.int64(), "double": pa.float64(), "uint64": pa.uint64(), "null": pa.int64()}


def write_part(rows: Sequence[Mapping[str, Any]], style: PartStyle) -> bytes:
    """One part: a column a key, a row a step; a file with no columns at all when there are no rows."""
    if style.flattens:
        rows = [dict(flattened(row)) for row in rows]
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
    columns = {name: _column(name, [row.get(name) for row in rows], style) for name in names}
    table = pa.table(columns) if columns else pa.table({})
    table = table.replace_schema_metadata({"wandb-compacted": "true"})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="snappy", write_page_checksum=True)
    return sink.getvalue()


def _column(name: str, values: list[Any], style: PartStyle) -> pa.Array:
    if name == "_step":
        kept = [None] * len(values) if style.step == "null" else values
        return pa.array(kept, type=_STEP_TYPES[style.step])
    if style.writes_json_bytes and _needs_json(values):
        return pa.array([None if v is None else spell(v).encode() for v in values], type=pa.binary())
    if style.whole_numbers_as_doubles:
        values = [_as_double(value) for value in values]
    try:
        array = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return _stubborn_column(values)
    # The SDK's reader knows no null type; a key that holds nothing but nulls is written as a double.
    return pa.array(values, type=pa.float64()) if pa.types.is_null(array.type) else array


def _needs_json(values: list[Any]) -> bool:
    """Whether a column holds maps, lists, or values of more than one kind."""
    kinds = {_kind(value) for value in values if value is not None}
    return "nested" in kinds or len(kinds) > 1


def _kind(value: Any) -> str:
    if isinstance(value, dict | list):
        return "nested"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


def _as_double(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_double(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_as_double(part) for part in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _stubborn_column(values: list[Any]) -> pa.Array:
    """Values that no single inferred type holds: big unsigned, mixed numbers, else their JSON text."""
    numbers = [value for value in values if value is not None]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in numbers):
        if all(isinstance(value, int) and 0 <= value < 2**64 for value in numbers):
            return pa.array(values, type=pa.uint64())
        return pa.array([None if value is None else float(value) for value in values], type=pa.float64())
    texts = [value if value is None or isinstance(value, str) else spell(value) for value in values]
    return pa.array(texts, type=pa.string())


def split(rows: Sequence[dict[str, Any]], parts: int) -> list[Sequence[dict[str, Any]]]:
    """`rows` in at most `parts` contiguous pieces of nearly equal length, none of them empty."""
    count = max(1, min(parts, len(rows)))
    bounds = [len(rows) * i // count for i in range(count + 1)]
    return [rows[start:stop] for start, stop in pairwise(bounds) if stop > start]
