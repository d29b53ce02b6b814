"""The columns of an export as the keys of `metrics`: dictionaries flattened as W&B does, whatever held them.

    struct           a key for each member; rows that say `_type` stay whole, under the struct's own name
    bytes            JSON: a dictionary becomes its members, anything else is the value of the column's key
    all others       one key; `a.b` may have been spelled so, or be the member of a dictionary that W&B flattened

Where two of them give a key a value in one row, the column of that very name wins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from mirror.store.history.cells import TEXT, VALUE, Cells, cells_of, encode, is_json, is_present, json_texts, nothing
from mirror.store.history.nesting import TYPE, flattened, parsed_bytes
from mirror.store.history.parts import ExportPart
from mirror.texts.steps import STEP


class _Leaf(NamedTuple):
    """Where a key's cells come from."""

    column: str
    number: int  # among the columns of that name
    path: tuple[int, ...] | None  # of a struct's members; None: in the JSON of a column of bytes


class ExportLeaves:
    """An export as a part of a fold.

    Args:
        part: the file.

    Raises:
        UnreadableExport: a column of bytes is damaged; which keys are in there is known only when it is read.
    """

    def __init__(self, part: ExportPart) -> None:
        self._part = part
        self.steps = part.steps
        self._leaves: dict[str, list[_Leaf]] = {}
        counts: dict[str, int] = {}
        for name, kind in part.fields:
            number = counts[name] = counts.get(name, -1) + 1
            if name == STEP:
                continue
            if is_json(kind):
                for key in {key for row in self._json_rows(name, number) for key in row}:
                    self._leaves.setdefault(key, []).append(_Leaf(name, number, None))
            else:
                for key, path in _leaves_of(name, kind):
                    self._leaves.setdefault(key, []).append(_Leaf(name, number, path))
        self.keys = frozenset(self._leaves)

    def read(self, keys: Sequence[str]) -> dict[str, Cells]:
        """Cells of these keys.

        Raises:
            UnreadableExport: a page of one of them is damaged.
        """
        wanted = {key: self._leaves.get(key, []) for key in keys}
        columns = self._part.columns({leaf.column for leaves in wanted.values() for leaf in leaves})
        rows = {
            leaf: json_rows(leaf.column, columns[leaf.column][leaf.number])
            for leaf in {leaf for leaves in wanted.values() for leaf in leaves if leaf.path is None}
        }
        found: dict[str, Cells] = {}
        for key, leaves in wanted.items():
            of_key = [
                cells_of([row.get(key) for row in rows[leaf]])
                if leaf.path is None
                else _cells_at(columns[leaf.column][leaf.number], leaf.path)
                for leaf in sorted(leaves, key=lambda leaf: leaf.column == key)
            ]
            found[key] = _later_wins(of_key) if of_key else nothing(self._part.rows)
        return found

    def _json_rows(self, name: str, number: int) -> list[dict[str, Any]]:
        return json_rows(name, self._part.columns([name])[name][number])


def json_rows(name: str, column: pa.ChunkedArray) -> list[dict[str, Any]]:
    """A column of JSON, each value by the keys that it has."""
    return [
        {} if item is None or (value := parsed_bytes(item)) is None else flattened({name: value})
        for item in column.to_pylist()
    ]


def _leaves_of(name: str, kind: pa.DataType, path: tuple[int, ...] = ()) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The keys of a column and the way to each; a struct's own name is for what of it stays whole."""
    yield name, path
    if pa.types.is_struct(kind):
        for place, field in enumerate(kind):
            if field.name != TYPE:
                yield from _leaves_of(f"{name}.{field.name}", field.type, (*path, place))


def _cells_at(column: pa.ChunkedArray, path: tuple[int, ...]) -> Cells:
    if not pa.types.is_struct(column.type):
        return encode(column)
    array = _whole(column)
    for place in path:
        child = array.flatten()[place]
        named = _says_type(array)
        array = child if named is None else pc.if_else(named, pa.scalar(None, child.type), child)
    return _undivided(array) if pa.types.is_struct(array.type) else encode(array)


def _undivided(array: pa.StructArray) -> Cells:
    """The rows of a struct that are one value: those that say their type, and empty ones."""
    members = array.flatten()
    kept = array.is_valid()
    for member in members:
        kept = pc.and_(kept, member.is_null())
    named = _says_type(array)
    if named is not None:
        kept = pc.or_(kept, named)
    places = pc.indices_nonzero(kept)
    if not len(places):
        return nothing(len(array))
    texts: list[str | None] = [None] * len(array)
    for place, text in zip(places.to_pylist(), json_texts(array.take(places)), strict=True):
        texts[place] = text
    return Cells(pa.nulls(len(array), VALUE), pa.array(texts, TEXT))


def _says_type(array: pa.StructArray) -> pa.Array | None:
    """A mask of the rows that have a `_type`; None when no row has."""
    place = array.type.get_field_index(TYPE)
    if place < 0:
        return None
    there = array.flatten()[place].is_valid()
    return there if pc.any(there).as_py() else None


def _whole(column: pa.ChunkedArray) -> pa.Array:
    chunks = column.chunks
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks) if chunks else pa.array([], column.type)


def _later_wins(columns: Sequence[Cells]) -> Cells:
    """One column from several of the same key."""
    merged = columns[0]
    for later in columns[1:]:
        there = is_present(later)
        if there is None:
            merged = later
        else:
            merged = Cells(pc.if_else(there, later.value, merged.value), pc.if_else(there, later.text, merged.text))
    return merged
