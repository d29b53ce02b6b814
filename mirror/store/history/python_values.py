"""Columns of a history as lists of Python values, exact in value and type.

    integer          int                       bool            bool
    float            float; NaN, infinities    text            str; bytes that are no UTF-8 as U+FFFD
                     and -0.0 as they are      list            list, None inside stays
    struct           dict without the members that are null: in a column null and absent look the same
    map              dict, likewise            binary          what it says in JSON: `nesting.json_value`
                                               others          as pyarrow gives them: datetime, Decimal, …

`Array.to_pylist` makes an object of each cell first, 0.6 µs a cell; here the memory of a column becomes a list as a
whole, 20 times faster, for the types that histories are made of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress, pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mirror.store.history.cells import is_json
from mirror.store.history.nesting import parsed_bytes
from mirror.store.history.wide_columns import plain_type


class Values:
    """A column that no Arrow type holds, with as much of an Arrow array's behaviour as rows need.

    Args:
        items: parsed values; None where there is none.
    """

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    @property
    def null_count(self) -> int:
        """How many are None."""
        return sum(item is None for item in self.items)

    def is_valid(self) -> pa.BooleanArray:
        """A mask of those that are there."""
        return pa.array([item is not None for item in self.items], pa.bool_())

    def filter(self, mask: pa.BooleanArray) -> Values:
        """Those for which the mask is true."""
        return Values(list(compress(self.items, mask.to_pylist())))

    def take(self, places: pa.Array) -> Values:
        """Those at some places."""
        return Values([self.items[place] for place in places.to_pylist()])


def python_values(column: pa.Array | pa.ChunkedArray | Values) -> list[Any]:
    """The values of a column; None where it is null."""
    if isinstance(column, Values):
        return list(column.items)
    if isinstance(column, pa.ChunkedArray):
        return [value for chunk in column.chunks for value in python_values(chunk)]
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    kind = column.type
    if pa.types.is_float16(kind):
        column = column.cast(pa.float32())
    wanted = plain_type(kind)
    if wanted != kind:
        column = column.cast(wanted)
    if column.null_count == len(column):
        return [None] * len(column)
    for fits, convert in _CONVERTERS:
        if fits(column.type):
            return convert(column)
    return list(column.to_pylist())


def _numbers(array: pa.Array) -> list[Any]:
    """Fixed-width numbers: the buffer itself, as Python reads memory."""
    size = array.type.bit_width // 8
    start = array.offset * size
    memory = memoryview(array.buffers()[1])[start : start + len(array) * size]
    values: list[Any] = memory.cast(_CODES[array.type.id]).tolist()  # type: ignore[call-overload]
    return _with_nulls(values, array)


def _bools(array: pa.Array) -> list[Any]:
    whole = array.cast(pa.uint8())  # bits become bytes
    start = whole.offset
    return _with_nulls(memoryview(whole.buffers()[1])[start : start + len(whole)].cast("?").tolist(), array)


def _texts(array: pa.LargeStringArray) -> list[Any]:
    offsets = _offsets(array)
    memory = array.buffers()[2]
    data = b"" if memory is None else memoryview(memory)[offsets[0] : offsets[-1]].tobytes()
    first = offsets[0]
    values: list[Any]
    if data.isascii():  # a character a byte
        text = data.decode("ascii")
        values = [text[start - first : stop - first] for start, stop in pairwise(offsets)]
    else:
        values = [data[start - first : stop - first].decode("utf-8", "replace") for start, stop in pairwise(offsets)]
    return _with_nulls(values, array)


def _json(array: pa.Array) -> list[Any]:
    return [None if item is None else parsed_bytes(item) for item in array.to_pylist()]


def _lists(array: pa.ListArray) -> list[Any]:
    offsets = _offsets(array)
    first = offsets[0]
    items = python_values(array.values.slice(first, offsets[-1] - first))
    return _with_nulls([items[start - first : stop - first] for start, stop in pairwise(offsets)], array)


def _structs(array: pa.StructArray) -> list[Any]:
    names = [field.name for field in array.type]
    members = [python_values(child) for child in array.flatten()]
    values: list[Any] = (
        [{name: item for name, item in zip(names, row, strict=True) if item is not None} for row in zip(*members)]  # noqa: B905
        if members
        else [{} for _ in range(len(array))]
    )
    return _with_nulls(values, array)


def _maps(array: pa.MapArray) -> list[Any]:
    keys, items = python_values(array.keys), python_values(array.items)  # of the whole column, whatever slice it is
    return _with_nulls(
        [
            {key: item for key, item in zip(keys[start:stop], items[start:stop], strict=True) if item is not None}
            for start, stop in pairwise(_offsets(array))
        ],
        array,
    )


def _offsets(array: pa.Array) -> list[int]:
    """Where each item begins, and where the last one ends."""
    size, code = (8, "q") if pa.types.is_large_list(array.type) or pa.types.is_large_string(array.type) else (4, "i")
    start = array.offset * size
    memory = memoryview(array.buffers()[1])[start : start + (len(array) + 1) * size]
    found: list[int] = memory.cast(code).tolist()  # type: ignore[call-overload]
    return found


def _with_nulls(values: list[Any], array: pa.Array) -> list[Any]:
    """The same list, None where the column is null."""
    if array.null_count:
        for place in _numbers(pc.indices_nonzero(array.is_null())):
            values[place] = None
    return values


# Codes of the standard library's `struct`, in native byte order, as Arrow has it.
_CODES = {
    pa.int8().id: "b", pa.int16().id: "h", pa.int32().id: "i", pa.int64().id: "q", pa.uint8().id: "B",
    pa.uint16().id: "H", pa.uint32().id: "I", pa.uint64().id: "Q", pa.float32().id: "f", pa.float64().id: "d",
}  # fmt: skip


def _is_number(kind: pa.DataType) -> bool:
    return kind.id in _CODES


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


_CONVERTERS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Any], list[Any]]], ...] = (
    (_is_number, _numbers),
    (pa.types.is_boolean, _bools),
    (pa.types.is_large_string, _texts),
    (_is_list, _lists),
    (pa.types.is_struct, _structs),
    (pa.types.is_map, _maps),
    (is_json, _json),
)
