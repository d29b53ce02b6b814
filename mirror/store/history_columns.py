"""The parts of a history by key, as rows of Python values need them, with W&B's names for what is nested.

`a.b` is the key of that name, or else the member `b` of the dictionary that was logged as `a`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mirror.records.texts import parse_lenient
from mirror.store.history_parts import STEP, ExportPart, as_steps, step_of
from mirror.store.python_values import python_values

Row = dict[str, Any]
_SPOKEN = frozenset({"NaN", "Infinity", "-Infinity"})
_EXACT = 2**53


class ExportColumns:
    """An export.

    Args:
        part: the file.
    """

    def __init__(self, part: ExportPart) -> None:
        self.part = part
        self.steps = part.steps
        bounds = pc.min_max(part.steps)
        self.first: int | None = bounds["min"].as_py()
        self.last: int | None = bounds["max"].as_py()

    def has(self, key: str) -> bool:
        """Whether there is a column for a key."""
        return key == STEP or self._place(key) is not None

    def tables(self, keys: Sequence[str] | None, rows: int) -> Iterator[tuple[pa.Array, dict[str, pa.Array]]]:
        """Steps and columns, some rows at a time, in the export's order.

        Args:
            keys: which; None for all. Those that are not here are left out.
            rows: of a batch.

        Raises:
            UnreadableExport: a page is damaged.
        """
        if self.first is None:  # no row has a step
            return
        wanted = [name for name in self.part.names if name != STEP] if keys is None else keys
        places = {key: place for key in dict.fromkeys(wanted) if (place := self._place(key)) is not None}
        names = dict.fromkeys([STEP, *(name for name, _ in places.values())])
        found = [self.part.arrow(list(names))] if self.part.doubled else self.part.batches(list(names), rows)
        for batch in found:
            columns = {key: _member(batch.column(name), path) for key, (name, path) in places.items()}
            yield as_steps(_chunked(batch.column(STEP))), columns

    def is_floating(self, key: str) -> bool | None:
        """Whether a key holds floats here; None where it holds no numbers, or is not here."""
        place = self._place(key)
        if place is None or place[1]:
            return None
        kind = self.part.type_of(key)
        floating = bool(pa.types.is_floating(kind))
        return floating if floating or pa.types.is_integer(kind) else None

    def _place(self, key: str) -> tuple[str, list[str]] | None:
        """A column, and the way to a member inside it."""
        if key in self.part.keys:
            return key, []
        parts = key.split(".")
        for cut in range(1, len(parts)):
            name, path = ".".join(parts[:cut]), parts[cut:]
            if name in self.part.keys and _has_member(self.part.type_of(name), path):
                return name, path
        return None


class TailRows:
    """Rows that no export holds, in the types that their keys have once they are exported.

    W&B spells the floats of JSON as it likes: a NaN is the text `"NaN"`, and 1.0 may be `1`. A key whose values are
    numbers and such texts holds numbers; where one of them is a float, or an export has floats, all are floats that a
    float can hold.

    Args:
        texts: the rows, as the server sent them.
        exports: the run's exports.
    """

    def __init__(self, texts: Sequence[str], exports: Sequence[ExportColumns]) -> None:
        parsed = [row for text in texts if isinstance(row := parse_lenient(text), dict)]
        stepped = [(step, row) for row in parsed if (step := step_of(row.get(STEP))) is not None]
        values: dict[str, list[Any]] = {}
        for _, row in stepped:
            for key, value in row.items():
                if value is not None and key != STEP:
                    values.setdefault(key, []).append(value)
        numbers = {key: _number_of(key, found, exports) for key, found in values.items()}
        self.keys: Collection[str] = values.keys()
        self.steps: list[int] = [step for step, _ in stepped]
        self.rows: list[Row] = [
            {STEP: step}
            | {
                key: value if (number := numbers[key]) is None else number(value)
                for key, item in row.items()
                if key != STEP and (value := _without_nulls(item)) is not None
            }
            for step, row in stepped
        ]

    def reduced(self, keys: Sequence[str] | None) -> list[Row]:
        """The rows with some keys alone, and their steps; copies."""
        if keys is None:
            return [dict(row) for row in self.rows]
        return [
            {STEP: row[STEP]} | {key: value for key in keys if (value := _lookup(row, key)) is not None}
            for row in self.rows
        ]


def rows_of(steps: pa.Array, columns: Mapping[str, pa.Array]) -> list[Row]:
    """Rows of columns; a key that is null in a row is not in it."""
    names = [STEP, *columns]
    values = [python_values(steps), *map(python_values, columns.values())]
    if not any(column.null_count for column in columns.values()):
        return [dict(zip(names, row)) for row in zip(*values)]  # noqa: B905 - equally long, and every row counts
    return [
        {name: value for name, value in zip(names, row) if value is not None}  # noqa: B905
        for row in zip(*values)  # noqa: B905
    ]


def _number_of(key: str, values: Sequence[Any], exports: Sequence[ExportColumns]) -> Any:
    """What makes a value of a key in a tail the number that it is; None to leave it."""
    spoken = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(spoken) + len(numbers) < len(values) or not _SPOKEN.issuperset(spoken):
        return None
    exported = [kind for part in exports if (kind := part.is_floating(key)) is not None]
    if not numbers and not exported:
        return None
    return _as_float if spoken or any(exported) or any(isinstance(value, float) for value in numbers) else None


def _as_float(value: Any) -> Any:
    """A number, or W&B's text for one, as a float; an integer that no float holds stays one."""
    return value if isinstance(value, int) and abs(value) > _EXACT else float(value)


def _without_nulls(value: Any) -> Any:
    """A parsed value without the members that are null, as an export of the same row would give it."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _lookup(row: Row, key: str) -> Any:
    """The value of a key, or of a member inside a dictionary; None when the row has neither."""
    if key in row:
        return row[key]
    parts = key.split(".")
    for cut in range(1, len(parts)):
        value = row.get(".".join(parts[:cut]))
        for part in parts[cut:]:
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None


def _has_member(kind: pa.DataType, path: Sequence[str]) -> bool:
    for name in path:
        if not pa.types.is_struct(kind) or kind.get_field_index(name) < 0:
            return False
        kind = kind.field(name).type
    return True


def _member(column: pa.Array | pa.ChunkedArray, path: Sequence[str]) -> pa.Array:
    whole = _chunked(column)
    array = whole.chunk(0) if whole.num_chunks == 1 else pa.concat_arrays(whole.chunks)
    for name in path:
        array = pc.struct_field(array, name)
    return array


def _chunked(column: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
    return column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
