"""One column of a history as `metrics` holds it: a double, and the exact JSON text wherever a double is not exact.

Every type that a Parquet file can hold comes out, and a cell that is there always leaves something:

    float                    value               nothing in text; NaN, infinities and -0.0 are exact
    integer                  value               text has the digits beyond 2^53
    bool                     1 or 0              `true`, `false`
    text                     NaN, ±inf if it     the JSON string
                             says so
    binary                   by what it says     bytes are JSON and come out as the value that they spell; those that
                                                 are no JSON as the JSON string, those that are no UTF-8 as
                                                 {"base64": …}
    decimal, duration        nearest double      the digits
    timestamp, date, time                        the JSON string, ISO 8601; UTC where a zone was given
    struct, list, map                            the JSON text, members in the order of their names; those that are null
                                                 are left out, since in a column null and absent look the same

No value passes through Python one by one unless its type leaves no other way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from mirror.store.history.nesting import parsed_bytes, text_value
from mirror.texts.nonfinite import NUMBERS
from mirror.texts.values import dump_strict, valid_unicode

VALUE = pa.float64()
TEXT = pa.large_string()
EXACT = 2**53  # up to here a double holds every integer
_NUMBERS = {float, int, type(None)}  # not bool, whose text tells it apart
_NEEDS_ESCAPE = r'["\\\x00-\x1f]'


class Cells(NamedTuple):
    """A column of cells; a cell is absent where both are null."""

    value: pa.Array  # float64
    text: pa.Array  # large_string


def encode(column: pa.Array | pa.ChunkedArray) -> Cells:
    """Turn a column of any type into cells; as many as the column has rows."""
    array = _one_array(column)
    kind = array.type
    for fits, encoder in _ENCODERS:
        if fits(kind):
            return encoder(array)
    return _nested(array)


def nothing(count: int) -> Cells:
    """Cells that are all absent."""
    return Cells(pa.nulls(count, VALUE), pa.nulls(count, TEXT))


def cells_of(values: Sequence[Any]) -> Cells:
    """Cells of parsed JSON values, by the same rules; None is absent."""
    kinds = set(map(type, values))
    if kinds <= _NUMBERS and (int not in kinds or all(map(_is_exact, values))):
        return Cells(pa.array(values, VALUE), pa.nulls(len(values), TEXT))
    pairs = [_cell(value) for value in values]
    return Cells(pa.array([pair[0] for pair in pairs], VALUE), pa.array([pair[1] for pair in pairs], TEXT))


def is_json(kind: pa.DataType) -> bool:
    """Whether the cells of a column are serialised JSON: W&B's own reader takes binary columns so."""
    while pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def is_present(cells: Cells) -> pa.Array | None:
    """A mask of the cells that are there; None when all are."""
    if cells.value.null_count == 0 or cells.text.null_count == 0:
        return None
    if cells.text.null_count == len(cells.text):
        return cells.value.is_valid()
    return pc.or_(cells.value.is_valid(), cells.text.is_valid())


def _one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The column as one array of a type that one array can always hold."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_string_view(kind):
        column = column.cast(TEXT)
    elif pa.types.is_binary(kind) or pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind):
        column = column.cast(pa.large_binary())
    if isinstance(column, pa.ChunkedArray):
        chunks = column.chunks
        column = chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks) if chunks else pa.array([], column.type)
    return column.storage if isinstance(column, pa.ExtensionArray) else column


def _absent(array: pa.Array) -> Cells:
    return nothing(len(array))


def _float(array: pa.Array) -> Cells:
    return Cells(array.cast(VALUE), pa.nulls(len(array), TEXT))


def _integer(array: pa.Array) -> Cells:
    value = array.cast(VALUE, safe=False)
    if array.type.bit_width < 64 or len(array) == array.null_count:
        return Cells(value, pa.nulls(len(array), TEXT))
    bounds = pc.min_max(array)
    low, high = bounds["min"].as_py(), bounds["max"].as_py()
    if low >= -EXACT and high <= EXACT:
        return Cells(value, pa.nulls(len(array), TEXT))
    limit = pa.scalar(EXACT, array.type)
    beyond = pc.greater(array, limit)
    if low < 0:
        beyond = pc.or_(beyond, pc.less(array, pa.scalar(-EXACT, array.type)))
    return Cells(value, pc.if_else(beyond, array.cast(TEXT), pa.scalar(None, TEXT)))


def _bool(array: pa.Array) -> Cells:
    return Cells(array.cast(pa.int8()).cast(VALUE), array.cast(TEXT))


def _string(array: pa.Array) -> Cells:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:  # bytes that are no UTF-8 under the name of a text
        items = array.cast(pa.large_binary()).to_pylist()
        return cells_of([None if item is None else text_value(item) for item in items])
    if pc.any(pc.match_substring_regex(array, _NEEDS_ESCAPE)).as_py():
        text = pa.array([None if item is None else _quote(item) for item in array.to_pylist()], TEXT)
    else:
        quote = pa.scalar('"', TEXT)
        text = pc.binary_join_element_wise(quote, array, quote, pa.scalar("", TEXT))
    place = pc.index_in(array, value_set=pa.array(list(NUMBERS), TEXT))
    value = pa.array(list(NUMBERS.values()), VALUE).take(place) if place.null_count < len(place) else None
    return Cells(pa.nulls(len(array), VALUE) if value is None else value, text)


def _binary(array: pa.Array) -> Cells:
    return cells_of([None if item is None else parsed_bytes(item) for item in array.to_pylist()])


def _dictionary(array: pa.DictionaryArray) -> Cells:
    words = encode(array.dictionary)
    return Cells(words.value.take(array.indices), words.text.take(array.indices))


def _decimal(array: pa.Array) -> Cells:
    items = array.to_pylist()
    text = pa.array([None if item is None else format(item, "f") for item in items], TEXT)
    return Cells(pa.array([None if item is None else float(item) for item in items], VALUE), text)


def _duration(array: pa.Array) -> Cells:
    whole = array.cast(pa.int64())
    return Cells(whole.cast(VALUE, safe=False), whole.cast(TEXT))


def _moment(array: pa.Array) -> Cells:
    zone = getattr(array.type, "tz", None)
    plain = array.cast(pa.timestamp(array.type.unit)) if zone else array
    spelled = pc.replace_substring_regex(plain.cast(pa.string()), r"^(-?\d+-\d+-\d+) ", r"\1T")
    quoted = pc.binary_join_element_wise('"', spelled, 'Z"' if zone else '"', "").cast(TEXT)
    return Cells(pa.nulls(len(array), VALUE), quoted)


def _nested(array: pa.Array) -> Cells:
    return Cells(pa.nulls(len(array), VALUE), pa.array(json_texts(array), TEXT))


def json_texts(array: pa.Array) -> list[str | None]:
    """The strict JSON text of every value of a column; None for null."""
    kind = array.type
    if pa.types.is_struct(kind):
        return _struct_texts(array)
    if pa.types.is_map(kind):
        keys, items = json_texts(array.keys), json_texts(array.items)
        members = [_member(key, item) for key, item in zip(keys, items, strict=True)]
        return _spans(array, members, "{}")
    if pa.types.is_fixed_size_list(kind):
        array = array.cast(pa.large_list(kind.value_type))
    elif str(kind).startswith(("list_view", "large_list_view")):
        array = pa.array(array.to_pylist(), pa.large_list(kind.value_type))
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        return _spans(array, [item or "null" for item in json_texts(array.values)], "[]")
    if pa.types.is_integer(kind):
        return [None if item is None else str(item) for item in array.to_pylist()]
    if is_json(kind):
        values = [None if item is None else parsed_bytes(item) for item in array.to_pylist()]
        return [None if value is None else dump_strict(_canonical(value)) for value in values]
    cells = encode(array)
    pairs = zip(cells.value.to_pylist(), cells.text.to_pylist(), strict=True)
    return [text if text is not None or value is None else dump_strict(value) for value, text in pairs]


def _struct_texts(array: pa.StructArray) -> list[str | None]:
    children = sorted(zip(array.type, array.flatten(), strict=True), key=lambda child: child[0].name)
    names = [_quote(field.name) for field, _ in children]
    members = [json_texts(child) for _, child in children]
    rows: list[tuple[str | None, ...]] = list(zip(*members, strict=True)) if members else [()] * len(array)
    there = array.is_valid().to_pylist()
    return [
        "{" + ",".join(f"{name}:{item}" for name, item in zip(names, row, strict=True) if item is not None) + "}"
        if valid
        else None
        for valid, row in zip(there, rows, strict=True)
    ]


def _spans(array: pa.Array, items: list[str], brackets: str) -> list[str | None]:
    """The items of each list, joined; `offsets` count from the start of the values whatever slice the array is."""
    bounds = pairwise(array.offsets.to_pylist())
    there = array.is_valid().to_pylist()
    return [
        f"{brackets[0]}{','.join(items[start:stop])}{brackets[1]}" if valid else None
        for valid, (start, stop) in zip(there, bounds, strict=True)
    ]


def _member(key: str | None, item: str | None) -> str:
    """A pair of a map; a key that is no text becomes one."""
    name = key if key is not None and key.startswith('"') else _quote(key or "null")
    return f"{name}:{item or 'null'}"


def _is_exact(value: object) -> bool:
    return not isinstance(value, int) or -EXACT <= value <= EXACT


def _cell(value: Any) -> tuple[float | None, str | None]:
    if value is None:
        return None, None
    if isinstance(value, bool):
        return float(value), "true" if value else "false"
    if isinstance(value, int):
        return _nearest(value), str(value) if abs(value) > EXACT else None
    if isinstance(value, float):
        return value, None
    if isinstance(value, str):
        return NUMBERS.get(value), _quote(value)
    return None, dump_strict(_canonical(value))


def _nearest(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _canonical(value: Any) -> Any:
    """A parsed value as an export of the same row would hold it: no null members, in the order of their names."""
    if isinstance(value, dict):
        return {key: _canonical(value[key]) for key in sorted(value) if value[key] is not None}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return value


def _quote(text: str) -> str:
    return valid_unicode(json.dumps(text, ensure_ascii=False))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(kind))


def _is_moment(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_time(kind))


_ENCODERS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], Cells]], ...] = (
    (pa.types.is_floating, _float),
    (pa.types.is_integer, _integer),
    (pa.types.is_boolean, _bool),
    (_is_text, _string),
    (pa.types.is_null, _absent),
    (pa.types.is_large_binary, _binary),
    (pa.types.is_dictionary, _dictionary),
    (pa.types.is_decimal, _decimal),
    (pa.types.is_duration, _duration),
    (_is_moment, _moment),
)
