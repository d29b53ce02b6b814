"""The parts of a history by key, as rows of Python values need them, with W&B's names for what is nested.

`a.b` is the key of that name, or else the member `b` of the dictionary that was logged as `a`; `a` is the key of that
name, joined with what is spelled `a.…`. Whether a row shows a column `a.b` under that name or inside of `a` is not told
by the column: see `Sources.dictionaries`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from mirror.store.history.cells import is_json
from mirror.store.history.nesting import TYPE, below_of, inner, is_whole, merged, parsed_bytes, prefixes
from mirror.store.history.parts import ExportPart, as_steps
from mirror.store.history.python_values import Values, python_values
from mirror.texts.steps import STEP

Row = dict[str, Any]


Column: TypeAlias = pa.Array | Values


class _Node(NamedTuple):
    """How the value of a key, or of a member, is found in an export."""

    column: str | None  # the one of that very name
    members: dict[str, _Node]  # spelled out below it

    def names(self) -> Iterator[str]:
        """Columns that are read."""
        if self.column is not None:
            yield self.column
        for member in self.members.values():
            yield from member.names()


class _Place(NamedTuple):
    """Where a key is looked for in an export: as itself, and else inside of another column."""

    node: _Node
    inside: tuple[str, tuple[str, ...]] | None  # a column, and the way to a member inside it

    def names(self) -> Iterator[str]:
        """Columns that are read."""
        yield from self.node.names()
        if self.inside is not None:
            yield self.inside[0]


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
        self.names = tuple(dict.fromkeys(name for name in part.names if name != STEP))
        self._known = frozenset(self.names)
        self._dotted = tuple(name for name in self.names if "." in name)
        self._places: dict[str, _Place | None] = {}

    @property
    def dotted(self) -> tuple[str, ...]:
        """Columns that may be members of a dictionary."""
        return self._dotted

    def structs(self) -> Iterator[str]:
        """Columns that hold dictionaries of several values."""
        for name in self.names:
            if _is_divided(self.part.type_of(name)):
                yield name

    def holds_dictionaries(self, name: str) -> bool:
        """Whether a column of bytes holds dictionaries of several values.

        Raises:
            UnreadableExport: a page is damaged.
        """
        if name not in self._known or not is_json(self.part.type_of(name)):
            return False
        column = self._column(self.part.arrow([name]), name)
        return isinstance(column, Values) and any(item is not None and not is_whole(item) for item in column.items)

    def has(self, key: str) -> bool:
        """Whether something of a key may be here."""
        return key == STEP or self._place(key) is not None

    def row_names(self, dictionaries: Mapping[str, str]) -> list[str]:
        """The keys of a row.

        Args:
            dictionaries: of columns that are members of a dictionary, its name.
        """
        return list(dict.fromkeys(self._row_name(name, dictionaries) for name in self.names))

    def tables(
        self, keys: Sequence[str] | None, rows: int, dictionaries: Mapping[str, str]
    ) -> Iterator[tuple[pa.Array, dict[str, Column]]]:
        """Steps and columns, some rows at a time, in the export's order.

        Args:
            keys: which; None for all. Those that are not here are left out.
            rows: of a batch.
            dictionaries: of columns that are members of a dictionary, its name.

        Raises:
            UnreadableExport: a page is damaged.
        """
        if self.first is None:  # no row has a step
            return
        wanted = self.row_names(dictionaries) if keys is None else [key for key in dict.fromkeys(keys) if key != STEP]
        found_at = {key: self._row_place(key, dictionaries) if keys is None else self._place(key) for key in wanted}
        places = {key: place for key, place in found_at.items() if place is not None}
        names = dict.fromkeys([STEP, *(name for place in places.values() for name in place.names())])
        found = [self.part.arrow(list(names))] if self.part.doubled else self.part.batches(list(names), rows)
        for batch in found:
            columns = {key: self._values(batch, place) for key, place in places.items()}
            if keys is None:
                columns |= self._left_over(batch, places, columns)
            yield as_steps(_chunked(batch.column(STEP))), columns

    def column(
        self, batch: pa.RecordBatch | pa.Table, key: str, dictionaries: Mapping[str, str] | None
    ) -> Column | None:
        """The values of a key in a batch that holds the columns of `names_of`; None when nothing of it is here."""
        place = self._place(key) if dictionaries is None else self._row_place(key, dictionaries)
        return None if place is None else self._values(batch, place)

    def names_of(self, key: str, dictionaries: Mapping[str, str] | None) -> list[str]:
        """Columns in which a key is looked for.

        Args:
            key: the key.
            dictionaries: as for `row_names`, for the key of a row; None for a key that is asked for by its name.
        """
        place = self._place(key) if dictionaries is None else self._row_place(key, dictionaries)
        return [] if place is None else list(dict.fromkeys(place.names()))

    def type_of(self, key: str, dictionaries: Mapping[str, str] | None) -> pa.DataType | None:
        """The type of what `column` gives; None where that are `Values`."""
        place = self._place(key) if dictionaries is None else self._row_place(key, dictionaries)
        return None if place is None else self._place_type(place)

    def is_floating(self, key: str) -> bool | None:
        """Whether a key holds floats here; None where it holds no numbers, or is not here."""
        place = self._place(key)
        kind = None if place is None else self._place_type(place)
        if kind is None:
            return None
        floating = bool(pa.types.is_floating(kind))
        return floating if floating or pa.types.is_integer(kind) else None

    def _row_name(self, name: str, dictionaries: Mapping[str, str]) -> str:
        """The key under which a row shows a column: where its dictionary is a struct here, the name is no member's."""
        owner = dictionaries.get(name, name)
        return name if owner in self._known and _is_divided(self.part.type_of(owner)) else owner

    def _row_place(self, key: str, dictionaries: Mapping[str, str]) -> _Place | None:
        members = [name for name in self._dotted if name != key and self._row_name(name, dictionaries) == key]
        if key not in self._known and not members:
            return None
        return _Place(_tree(key, key if key in self._known else None, members), None)

    def _place(self, key: str) -> _Place | None:
        """Where a key is that is asked for by its name."""
        if key not in self._places:
            own = key if key in self._known else None
            is_divided = own is not None and _is_divided(self.part.type_of(own))
            members = [] if is_divided else [name for name in self._dotted if below_of(name, key)]
            inside = next((found for name in prefixes(key) if (found := self._inside(key, name)) is not None), None)
            node = _tree(key, own, members)
            self._places[key] = _Place(node, inside) if own or members or inside else None
        return self._places[key]

    def _inside(self, key: str, name: str) -> tuple[str, tuple[str, ...]] | None:
        path = below_of(key, name)
        if name not in self._known or not path:
            return None
        kind = self.part.type_of(name)
        return (name, path) if is_json(kind) or _has_member(kind, path) else None

    def _values(self, batch: pa.RecordBatch | pa.Table, place: _Place) -> Column:
        own = self._node_values(batch, place.node)
        if place.inside is None:
            return own if own is not None else pa.nulls(len(batch))
        name, path = place.inside
        column = self._column(batch, name)
        inside: Column
        if isinstance(column, Values):
            inside = Values([inner(item, path) for item in column.items])
        else:
            inside = column
            for member in path:
                inside = pc.struct_field(inside, member)
        return inside if own is None else _merged(own, inside)

    def _node_values(self, batch: pa.RecordBatch | pa.Table, node: _Node) -> Column | None:
        own = None if node.column is None else self._column(batch, node.column)
        if not node.members:
            return own
        members = {name: self._node_values(batch, member) for name, member in node.members.items()}
        below = _composed({name: member for name, member in members.items() if member is not None})
        return below if own is None else _merged(own, below)

    def _column(self, batch: pa.RecordBatch | pa.Table, name: str) -> Column:
        array = _whole(_chunked(batch.column(name)))
        if not is_json(array.type):
            return array
        return Values([None if item is None else parsed_bytes(item) for item in array.to_pylist()])

    def _left_over(
        self, batch: pa.RecordBatch | pa.Table, places: Mapping[str, _Place], columns: Mapping[str, Column]
    ) -> dict[str, Column]:
        """What is spelled below a key that is no dictionary in its row, and so has no place inside of it."""
        found: dict[str, Column] = {}
        for key, place in places.items():
            if place.node.column is None or not place.node.members:
                continue
            taken = [item is not None and not isinstance(item, dict) for item in python_values(columns[key])]
            if any(taken):
                for name in place.node.names():
                    if name != key:
                        items = python_values(self._column(batch, name))
                        found[name] = Values(
                            [item if is_taken else None for item, is_taken in zip(items, taken, strict=True)]
                        )
        return found

    def _place_type(self, place: _Place) -> pa.DataType | None:
        own = self._node_type(place.node)
        if place.inside is None:
            return own
        if place.node.column is not None or place.node.members:
            return None
        kind = self.part.type_of(place.inside[0])
        if is_json(kind):
            return None
        for name in place.inside[1]:
            kind = kind.field(name).type
        return kind

    def _node_type(self, node: _Node) -> pa.DataType | None:
        if node.column is not None:
            kind = self.part.type_of(node.column)
            return None if node.members or is_json(kind) else kind
        kinds = {name: self._node_type(member) for name, member in node.members.items()}
        return None if any(kind is None for kind in kinds.values()) else pa.struct(kinds)


def rows_of(steps: pa.Array, columns: Mapping[str, Column]) -> list[Row]:
    """Rows of columns; a key that is null in a row is not in it."""
    names = [STEP, *columns]
    values = [python_values(steps), *map(python_values, columns.values())]
    if not any(column.null_count for column in columns.values()):
        return [dict(zip(names, row)) for row in zip(*values)]  # noqa: B905 - equally long, and every row counts
    return [
        {name: value for name, value in zip(names, row) if value is not None}  # noqa: B905
        for row in zip(*values)  # noqa: B905
    ]


def _tree(key: str, own: str | None, members: Sequence[str]) -> _Node:
    root = _Node(own, {})
    for name in members:
        node = root
        path = below_of(name, key)
        for step in path[:-1]:
            node = node.members.setdefault(step, _Node(None, {}))
        node.members[path[-1]] = _Node(name, node.members.get(path[-1], _Node(None, {})).members)
    return root


def _composed(members: Mapping[str, Column]) -> Column:
    """One column of dictionaries from the columns of their members; null where all of these are."""
    there = [column.is_valid() for column in members.values()]
    present = there[0]
    for mask in there[1:]:
        present = pc.or_(present, mask)
    if any(isinstance(column, Values) for column in members.values()):
        columns = {name: python_values(column) for name, column in members.items()}
        return Values(
            [
                {name: item for name, item in zip(columns, row, strict=True) if item is not None}
                if is_present
                else None
                for is_present, row in zip(present.to_pylist(), zip(*columns.values(), strict=True), strict=True)
            ]
        )
    arrays: list[pa.Array] = list(members.values())
    fields = [pa.field(name, array.type) for name, array in zip(members, arrays, strict=True)]
    return pa.StructArray.from_arrays(arrays, fields=fields, mask=pc.invert(present))


def _merged(own: Column, below: Column) -> Column:
    """A key's own values with what is spelled below it, row by row."""
    return Values([merged(left, right) for left, right in zip(python_values(own), python_values(below), strict=True)])


def _is_divided(kind: pa.DataType) -> bool:
    """Whether a column is a struct of several values, as writers make of dictionaries that do not flatten them."""
    return bool(pa.types.is_struct(kind)) and kind.get_field_index(TYPE) < 0


def _has_member(kind: pa.DataType, path: Sequence[str]) -> bool:
    for name in path:
        if not pa.types.is_struct(kind) or kind.get_field_index(name) < 0:
            return False
        kind = kind.field(name).type
    return True


def _chunked(column: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
    return column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
