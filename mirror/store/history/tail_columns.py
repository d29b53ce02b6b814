"""Rows of a tail that came key by key, as a part of a fold: the same as `RowsPart` makes of their texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from mirror.records.contents import KeyColumn, TailColumns
from mirror.store.history.cells import TEXT, VALUE, Cells, cells_of, nothing
from mirror.store.history.parts import Part, RowsPart
from mirror.texts.values import is_malformed, parse_lenient

_MOST_BRACKETS = 100  # of a value; one with more may nest too deeply in its row


class _Unclear(Exception):
    """What the value of a key comes to depends on the rest of its row."""


class ColumnsPart:
    """Rows by key.

    Args:
        rows: what came.

    Raises:
        _Unclear: a value is no JSON, or is several values.
    """

    def __init__(self, rows: TailColumns) -> None:
        self.steps = pa.Array.from_buffers(pa.int64(), len(rows.steps) // 8, [None, pa.py_buffer(rows.steps)])
        self._cells = {column.key: _cells(column, len(self.steps)) for column in rows.columns}
        self.keys = frozenset(key for key, cells in self._cells.items() if _is_told(cells))

    def read(self, keys: Sequence[str]) -> dict[str, Cells]:
        """Cells of these keys."""
        return {key: self._cells.get(key) or nothing(len(self.steps)) for key in keys}


def tail_parts(texts: Sequence[str], columns: Sequence[TailColumns]) -> list[Part]:
    """A tail as parts of a fold, in its order.

    Args:
        texts: its rows as JSON.
        columns: those of them that came by key, in their order.
    """
    parts: list[Part] = []
    at = 0
    for some in columns:
        try:
            part = ColumnsPart(some)
        except _Unclear:
            continue
        if some.first > at:
            parts.append(RowsPart(texts[at : some.first]))
        parts.append(part)
        at = some.first + len(part.steps)
    return [*parts, RowsPart(texts[at:])] if at < len(texts) else parts


def _cells(column: KeyColumn, count: int) -> Cells:
    if column.numbers is None:
        return cells_of([None if text is None else _value(text) for text in column.texts])
    buffers = [None if column.there is None else pa.py_buffer(column.there), pa.py_buffer(column.numbers)]
    return Cells(pa.Array.from_buffers(VALUE, count, buffers), pa.nulls(count, TEXT))


def _value(text: str) -> Any:
    value = parse_lenient(text)
    if isinstance(value, dict) or (value is None and is_malformed(text)):
        raise _Unclear
    if text.count("[") + text.count("{") > _MOST_BRACKETS:
        raise _Unclear
    return value


def _is_told(cells: Cells) -> bool:
    return bool(cells.value.null_count < len(cells.value) or cells.text.null_count < len(cells.text))
