"""One type for a key that the parts of a history hold in different types, without losing a digit.

Equal types stay. Integers and floats meet in whichever type holds every value exactly. What has no such type, for
example a number here and a text there, becomes the JSON text of each value, and the field says so in its metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from mirror.store.history.cells import EXACT, json_texts
from mirror.texts.nonfinite import NUMBERS
from mirror.texts.values import dump_strict, valid_unicode

JSON_MARK = {b"wandb-mirror": b"json"}  # metadata of a field whose texts are JSON


class TypedColumn(NamedTuple):
    """A key's column in one part."""

    array: pa.Array
    is_json: bool = False  # its texts are JSON already


class ColumnKind(NamedTuple):
    """What has to be known of a column to find the common type."""

    type: pa.DataType
    is_json: bool = False
    has_wide_integers: bool = False  # some beyond 2^53, which no float holds exactly


def common_field(name: str, kinds: Sequence[ColumnKind]) -> pa.Field:
    """The field that holds a key of all parts.

    Args:
        name: the key.
        kinds: of the parts that have the key.
    """
    name = valid_unicode(name)
    distinct = {plain_type(kind.type) for kind in kinds if not pa.types.is_null(kind.type)}
    if any(kind.is_json for kind in kinds):
        return _json_field(name)
    if len(distinct) <= 1:
        return pa.field(name, distinct.pop() if distinct else pa.null())
    if all(pa.types.is_integer(kind) for kind in distinct):
        if pa.uint64() not in distinct:
            return pa.field(name, pa.int64())
        unsigned = all(pa.types.is_unsigned_integer(kind) for kind in distinct)
        return pa.field(name, pa.uint64()) if unsigned else _json_field(name)
    numbers = all(pa.types.is_integer(kind) or pa.types.is_float64(kind) for kind in distinct)
    if numbers and not any(kind.has_wide_integers for kind in kinds):
        return pa.field(name, pa.float64())
    return _json_field(name)


def cast_to_field(column: TypedColumn, field: pa.Field) -> pa.Array:
    """A column of a part in the common type."""
    if field.metadata != JSON_MARK:
        return column.array if column.array.type == field.type else column.array.cast(field.type)
    return column.array if column.is_json else pa.array(json_texts(column.array), pa.large_string())


def as_plain(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array of its plain type."""
    kind = plain_type(column.type)
    if pa.types.is_float16(column.type):
        column = column.cast(pa.float32())
    if column.type != kind:
        column = column.cast(kind)
    chunks = column.chunks
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks) if chunks else pa.array([], kind)


def has_wide_integers(array: pa.Array) -> bool:
    """Whether an integer beyond 2^53 is in a column."""
    if not pa.types.is_integer(array.type) or array.type.bit_width < 64:
        return False
    bounds = pc.min_max(array).as_py()
    return bounds["max"] is not None and (bounds["max"] > EXACT or bounds["min"] < -EXACT)


def tail_column(values: Sequence[Any], *, beside_numbers: bool) -> TypedColumn:
    """Parsed JSON values of a tail as a column.

    Args:
        values: one a row; None where the row lacks the key.
        beside_numbers: exports hold numbers under the same key, so that W&B's texts for NaN and infinities are floats.
    """
    there = [value for value in values if value is not None]
    if not there:
        return TypedColumn(pa.nulls(len(values)))
    if all(_is_number(value) or (isinstance(value, str) and value in NUMBERS) for value in there) and (
        beside_numbers or any(map(_is_number, there))
    ):
        there = [NUMBERS.get(value, value) if isinstance(value, str) else value for value in there]
        values = [NUMBERS.get(value, value) if isinstance(value, str) else value for value in values]
        if any(isinstance(value, float) for value in there) and not any(_is_wide(value) for value in there):
            return TypedColumn(pa.array([None if value is None else float(value) for value in values], pa.float64()))
    for kind, fits in ((pa.bool_(), bool), (pa.int64(), int), (pa.float64(), float), (pa.large_string(), str)):
        if all(type(value) is fits for value in there):
            try:
                return TypedColumn(pa.array(values, kind))
            except (pa.ArrowException, OverflowError, UnicodeError):  # beyond 64 bits, or a lone surrogate
                break
    texts = [None if value is None else dump_strict(value) for value in values]
    return TypedColumn(pa.array(texts, pa.large_string()), is_json=True)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Types that hold the same values in another layout, as one."""
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_string(kind) or pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_binary(kind) or pa.types.is_binary_view(kind):
        return pa.large_binary()
    return pa.float64() if pa.types.is_floating(kind) else kind


def _json_field(name: str) -> pa.Field:
    return pa.field(name, pa.large_string(), metadata=JSON_MARK)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_wide(value: Any) -> bool:
    return isinstance(value, int) and abs(value) > EXACT
