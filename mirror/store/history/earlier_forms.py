"""What earlier forms of a history had told and its newest exports do not: kept beside each export, put back on reading.

W&B's compaction makes doubles of integers and columns with dots of dictionaries. What was held before then knows
better (docs/adr/0021):

    integers         the keys whose doubles are integers, and the digits of those beyond 2^53, by row of the export
    dictionaries     names that were dictionaries, so that `a.b` is the member `b` of `a` and no key of its own
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# What the numbers of a key are read as: integers of 64 bits or of any size, or, of "number", only those with digits.
Form = Literal["int64", "uint64", "integer", "number"]
DICTIONARY = "dictionary"  # the mark of a name, beside the forms of keys
_COLUMNS = pa.schema([("key", pa.string()), ("form", pa.string()), ("row", pa.int64()), ("digits", pa.string())])


class Integers(msgspec.Struct, frozen=True, kw_only=True):
    """The integers of one key of an export."""

    form: Form
    rows: tuple[int, ...] = ()  # of the export, rising: where a double is not exact
    digits: tuple[str, ...] = ()  # of those rows


Told = tuple[tuple[int, ...], Integers]  # the way to a member of a struct, empty for the column itself


class EarlierForms(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one export beside its bytes."""

    integers: Mapping[str, Integers] = {}  # by key
    dictionaries: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """Whether there is anything to keep."""
        return bool(self.integers or self.dictionaries)

    def by_column(self, schema: pa.Schema) -> dict[str, list[Told]]:
        """The integers by the columns of doubles that they are in."""
        told: dict[str, list[Told]] = {}
        if self.integers:
            for field in schema:
                for key, path, kind in doubles_of(field.name, field.type):
                    if key in self.integers and pa.types.is_floating(kind):
                        told.setdefault(field.name, []).append((path, self.integers[key]))
        return told

    def dump(self) -> bytes:
        """As the bytes of an object; equal ones for equal values."""
        lines: list[tuple[str, str, int | None, str | None]] = [
            (name, DICTIONARY, None, None) for name in sorted(self.dictionaries)
        ]
        for key, integers in sorted(self.integers.items()):
            lines.append((key, integers.form, None, None))
            lines += [
                (key, integers.form, row, digits) for row, digits in zip(integers.rows, integers.digits, strict=True)
            ]
        columns = list(zip(*lines, strict=True)) or [(), (), (), ()]
        table = pa.table(
            [pa.array(column, field.type) for column, field in zip(columns, _COLUMNS, strict=True)], _COLUMNS
        )
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
        return sink.getvalue()

    @classmethod
    def load(cls, path: Path) -> EarlierForms:
        """From an object.

        Raises:
            OSError, pa.ArrowException: it cannot be read.
        """
        found: dict[str, tuple[Form, list[int], list[str]]] = {}
        dictionaries = set()
        for line in pq.read_table(path, page_checksum_verification=True).to_pylist():
            if line["form"] == DICTIONARY:
                dictionaries.add(line["key"])
                continue
            _, rows, digits = found.setdefault(line["key"], (line["form"], [], []))
            if line["row"] is not None:
                rows.append(line["row"])
                digits.append(line["digits"])
        return cls(
            integers={
                key: Integers(form=form, rows=tuple(rows), digits=tuple(digits))
                for key, (form, rows, digits) in found.items()
            },
            dictionaries=frozenset(dictionaries),
        )


def doubles_of(
    name: str, kind: pa.DataType, path: tuple[int, ...] = ()
) -> list[tuple[str, tuple[int, ...], pa.DataType]]:
    """The keys of a column and its members that hold numbers, the way to each, and its type."""
    if pa.types.is_struct(kind):
        return [
            found
            for place, field in enumerate(kind)
            for found in doubles_of(f"{name}.{field.name}", field.type, (*path, place))
        ]
    return [(name, path, kind)] if pa.types.is_floating(kind) or pa.types.is_integer(kind) else []


def restored_type(kind: pa.DataType, told: Sequence[Told]) -> pa.DataType:
    """The type of a column once its integers are put back."""
    for path, integers in told:
        kind = _type_with(kind, path, integers.form)
    return kind


def restored(column: Any, told: Sequence[Told], first: int) -> Any:
    """A column, or a batch of it, with its integers.

    Args:
        column: an array or a chunked one.
        told: what is known of it.
        first: its first row in the export.
    """
    if isinstance(column, pa.ChunkedArray):
        chunks = []
        for chunk in column.chunks:
            chunks.append(restored(chunk, told, first))
            first += len(chunk)
        return pa.chunked_array(chunks, restored_type(column.type, told))
    for path, integers in told:
        column = _put_back(column, path, integers, first)
    return column


def _type_with(kind: pa.DataType, path: tuple[int, ...], form: Form) -> pa.DataType:
    if not path:
        return {"int64": pa.int64(), "uint64": pa.uint64()}.get(form, pa.large_binary())  # else JSON
    fields = list(kind)
    fields[path[0]] = fields[path[0]].with_type(_type_with(fields[path[0]].type, path[1:], form))
    return pa.struct(fields)


def _put_back(array: pa.Array, path: tuple[int, ...], integers: Integers, first: int) -> pa.Array:
    if path:
        members = array.flatten()
        members[path[0]] = _put_back(members[path[0]], path[1:], integers, first)
        return pa.StructArray.from_arrays(
            members, fields=list(_type_with(array.type, path, integers.form)), mask=array.is_null()
        )
    known = {
        row - first: digits
        for row, digits in zip(integers.rows, integers.digits, strict=True)
        if first <= row < first + len(array)
    }
    if integers.form in ("integer", "number"):
        spell: Callable[[Any], str] = (lambda value: str(int(value))) if integers.form == "integer" else json.dumps
        texts = [
            None if value is None else known.get(place) or spell(value) for place, value in enumerate(array.to_pylist())
        ]
        return pa.array([None if text is None else text.encode() for text in texts], pa.large_binary())
    kind = _type_with(array.type, (), integers.form)
    doubles = array.cast(pa.float64())
    if not known:
        return doubles.cast(kind, safe=False)
    exact = pa.array([place in known for place in range(len(array))], pa.bool_())
    rounded = pc.if_else(exact, pa.scalar(0.0), doubles).cast(kind, safe=False)
    return pc.replace_with_mask(rounded, exact, pa.array([int(known[place]) for place in sorted(known)], kind))
