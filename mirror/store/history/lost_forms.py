"""What an export no longer tells, and other forms of the same history do: found when exports come, by simple rules.

    integer      a key whose doubles are all whole, and that is an integer in another part, now or before, or in every
                 unexported row that has a number there
    digits       of an integer beyond 2^53, where the double at its step is its rounding
    dictionary   a name that was one before, and of which the export has columns with dots

W&B's own type counts say "number" of integers and floats alike, so they are not asked. Footers alone are read unless
two forms differ.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mirror.errors import UnreadableExport
from mirror.store.history.cells import EXACT, is_json
from mirror.store.history.earlier_forms import EarlierForms, Form, Integers, doubles_of
from mirror.store.history.leaves import json_rows
from mirror.store.history.nesting import TYPE, is_whole, prefixes
from mirror.store.history.parts import ExportPart, RowsPart
from mirror.texts.nonfinite import NUMBERS
from mirror.texts.steps import STEP

_RANGES: tuple[tuple[Form, int, int], ...] = (("int64", -(2**63), 2**63), ("uint64", 0, 2**64))


def lost_forms(
    export: ExportPart, siblings: Sequence[ExportPart], earlier: Sequence[ExportPart], rows: RowsPart | None
) -> EarlierForms:
    """What is known of an export from other forms of the same history.

    Args:
        export: a new one.
        siblings: the other exports that are new with it.
        earlier: the exports that were held before.
        rows: what of the history no export held before.

    Raises:
        UnreadableExport: a page of the new export is damaged.
    """
    doubles = _floats_of(export)
    # W&B may spell 1.0 as 1 in an unexported row, so that such a row says nothing of what was exported as a float.
    floats = frozenset(key for part in earlier for key in _floats_of(part))
    witnesses = [_Witness(part) for part in (*siblings, *earlier)]
    tail = _Rows() if rows is None else _Rows(rows.steps.to_pylist(), rows.flat)
    integers = {
        key: found
        for key, (name, path) in doubles.items()
        if (found := _integers_of(export, key, name, path, witnesses, tail, floats)) is not None
    }
    return EarlierForms(integers=integers, dictionaries=_dictionaries(export, earlier, rows))


class _Rows:
    """Flat rows of parsed JSON: their numbers, by key."""

    def __init__(self, steps: Sequence[int | None] = (), rows: Sequence[Mapping[str, Any]] = ()) -> None:
        self._numbers: dict[str, list[tuple[int, int | float]]] = {}
        for step, row in zip(steps, rows, strict=True):
            if step is None:
                continue
            for key, value in row.items():
                if isinstance(value, int | float) and not isinstance(value, bool):
                    self._numbers.setdefault(key, []).append((step, value))
                elif isinstance(value, str) and value in NUMBERS:
                    self._numbers.setdefault(key, []).append((step, math.nan))

    def numbers(self, key: str) -> list[tuple[int, int | float]]:
        """Steps and numbers of a key; W&B's texts for what is not finite are floats."""
        return self._numbers.get(key, [])

    def are_integers(self, key: str) -> bool:
        """Whether a key has numbers, all of them integers."""
        numbers = self.numbers(key)
        return bool(numbers) and all(isinstance(value, int) for _, value in numbers)

    def wide(self, key: str) -> dict[int, int]:
        """Integers beyond 2^53, by step."""
        return {step: value for step, value in self.numbers(key) if isinstance(value, int) and abs(value) > EXACT}


class _Witness:
    """Another export, as far as it tells of integers. What cannot be read of it tells nothing."""

    def __init__(self, part: ExportPart) -> None:
        self._part = part
        self._integers = {
            key: (name, path)
            for name, column in part.fields
            if name != STEP
            for key, path, kind in doubles_of(name, column)
            if pa.types.is_integer(kind)
        }
        self._json = [name for name, kind in part.fields if name != STEP and is_json(kind)]
        self._rows: dict[str, _Rows] = {}

    def has_integers(self, key: str) -> bool:
        """Whether a key is an integer there."""
        return key in self._integers or any(rows.are_integers(key) for rows in self._json_rows(key))

    def wide(self, key: str) -> dict[int, int]:
        """Integers beyond 2^53 of a key, by step."""
        exact = {step: value for rows in self._json_rows(key) for step, value in rows.wide(key).items()}
        name, path = self._integers.get(key, ("", ()))
        for column in self._read(name)[-1:] if name else ():
            array = _member(column, path)
            if array.type.bit_width == 64:
                beyond = pc.greater(array, pa.scalar(EXACT, array.type))
                if pa.types.is_signed_integer(array.type):
                    beyond = pc.or_(beyond, pc.less(array, pa.scalar(-EXACT, array.type)))
                kept = pc.fill_null(pc.and_(beyond, self._part.steps.is_valid()), False)
                exact.update(
                    zip(self._part.steps.filter(kept).to_pylist(), array.filter(kept).to_pylist(), strict=True)
                )
        return exact

    def _json_rows(self, key: str) -> list[_Rows]:
        """The columns of JSON that may hold a key."""
        names = [name for name in self._json if key == name or key.startswith(f"{name}.")]
        for name in names:
            if name not in self._rows:
                rows = [row for column in self._read(name)[-1:] for row in json_rows(name, column)]
                self._rows[name] = _Rows(self._part.steps.to_pylist() if rows else (), rows)
        return [self._rows[name] for name in names]

    def _read(self, name: str) -> list[pa.ChunkedArray]:
        try:
            return self._part.columns([name])[name]
        except UnreadableExport:
            return []


def _integers_of(
    export: ExportPart,
    key: str,
    name: str,
    path: tuple[int, ...],
    witnesses: Sequence[_Witness],
    tail: _Rows,
    floats: frozenset[str],
) -> Integers | None:
    are_integers = any(witness.has_integers(key) for witness in witnesses) or (
        key not in floats and tail.are_integers(key)
    )
    exact: dict[int, int] = {}
    for witness in witnesses:
        exact |= witness.wide(key)
    exact |= tail.wide(key)
    if not are_integers and not exact:
        return None
    values: list[float | None] = _member(export.columns([name])[name][-1], path).to_pylist()
    digits: dict[int, int] = {}
    if exact:
        for row, (step, value) in enumerate(zip(export.steps.to_pylist(), values, strict=True)):
            if value is not None and abs(value) >= EXACT and step in exact and _rounds_to(exact[step], value):
                digits[row] = exact[step]
    plain = [value for row, value in enumerate(values) if value is not None and row not in digits]
    if are_integers and all(map(_is_whole, plain)):
        known = [*map(int, plain), *digits.values()]
        low, high = min(known, default=0), max(known, default=0)
        form: Form = next((form for form, least, end in _RANGES if least <= low and high < end), "integer")
    elif digits:
        form = "number"
    else:
        return None
    return Integers(form=form, rows=tuple(digits), digits=tuple(map(str, digits.values())))


def _floats_of(part: ExportPart) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The keys that are floats: the column of each, and the way to it."""
    return {
        key: (name, path)
        for name, column in part.fields
        if name != STEP
        for key, path, kind in doubles_of(name, column)
        if pa.types.is_floating(kind)
    }


def _dictionaries(export: ExportPart, earlier: Sequence[ExportPart], rows: RowsPart | None) -> frozenset[str]:
    owners = {name for key in export.names if "." in key for name in prefixes(key)}
    if not owners:
        return frozenset()
    parsed = [] if rows is None else rows.parsed
    known = {name for name in owners for row in parsed if name in row and not is_whole(row[name])}
    for part in earlier:
        known |= owners & part.earlier.dictionaries
        for name, kind in part.fields:
            if name not in owners - known:
                continue
            if pa.types.is_struct(kind) and kind.get_field_index(TYPE) < 0:
                known.add(name)
            elif is_json(kind):
                with contextlib.suppress(UnreadableExport):
                    if any(row.keys() - {name} for row in json_rows(name, part.columns([name])[name][-1])):
                        known.add(name)
    return frozenset(known)


def _member(column: pa.ChunkedArray, path: Sequence[int]) -> pa.Array:
    array = column.combine_chunks()
    for place in path:
        array = array.flatten()[place]
    return array


def _rounds_to(value: int, double: float) -> bool:
    try:
        return float(value) == double
    except OverflowError:
        return False


def _is_whole(value: float) -> bool:
    return value.is_integer() and (value != 0 or math.copysign(1, value) > 0)  # no integer is -0.0
