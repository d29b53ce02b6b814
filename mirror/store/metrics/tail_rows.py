"""Rows that no export holds, in the types that their keys have once they are exported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mirror.store.history.cells import EXACT
from mirror.store.history.columns import ExportColumns, Row
from mirror.store.history.nesting import is_whole, lookup, without_nulls
from mirror.store.history.parts import RowsPart
from mirror.texts.nonfinite import NUMBERS
from mirror.texts.steps import STEP


class TailRows:
    """Rows that no export holds, in the types that their keys have once they are exported.

    W&B spells the floats of JSON as it likes: a NaN is the text `"NaN"`, and 1.0 may be `1`. A key whose values are
    numbers and such texts holds numbers; where one of them is a float, or an export has floats, all are floats that a
    float can hold. So does a member of a dictionary.

    Args:
        part: the rows; None: there are none.
        exports: the run's exports.
    """

    def __init__(self, part: RowsPart | None, exports: Sequence[ExportColumns]) -> None:
        steps = [] if part is None else part.steps.to_pylist()
        stepped = (
            []
            if part is None
            else [(step, row) for step, row in zip(steps, part.parsed, strict=True) if step is not None]
        )
        values: dict[str, list[Any]] = {}
        for _, row in stepped:
            for key, value in row.items():
                if key != STEP:
                    _gather(values, key, value)
        self._numbers = {
            key: number for key, found in values.items() if (number := _number_of(key, found, exports)) is not None
        }
        self.steps: list[int] = [step for step, _ in stepped]
        self.rows: list[Row] = [
            {STEP: step}
            | {key: value for key, item in row.items() if key != STEP and (value := self._typed(key, item)) is not None}
            for step, row in stepped
        ]

    def reduced(self, keys: Sequence[str] | None) -> list[Row]:
        """The rows with some keys alone, and their steps; copies."""
        if keys is None:
            return [dict(row) for row in self.rows]
        return [
            {STEP: row[STEP]} | {key: value for key in keys if (value := lookup(row, key)) is not None}
            for row in self.rows
        ]

    def _typed(self, key: str, value: Any) -> Any:
        if not is_whole(value):
            members = {name: self._typed(f"{key}.{name}", item) for name, item in value.items() if item is not None}
            return {name: item for name, item in members.items() if item is not None}
        number = self._numbers.get(key)
        return without_nulls(value) if number is None or value is None else number(value)


def _gather(values: dict[str, list[Any]], key: str, value: Any) -> None:
    """Take the values of a key, or of the members of a dictionary, to those of its name."""
    if not is_whole(value):
        for name, item in value.items():
            _gather(values, f"{key}.{name}", item)
    elif value is not None:
        values.setdefault(key, []).append(value)


def _number_of(key: str, values: Sequence[Any], exports: Sequence[ExportColumns]) -> Any:
    """What makes a value of a key in a tail the number that it is; None to leave it."""
    spoken = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(spoken) + len(numbers) < len(values) or not NUMBERS.keys() >= set(spoken):
        return None
    exported = [kind for part in exports if (kind := part.is_floating(key)) is not None]
    if not numbers and not exported:
        return None
    return _as_float if spoken or any(exported) or any(isinstance(value, float) for value in numbers) else None


def _as_float(value: Any) -> Any:
    """A number, or W&B's text for one, as a float; an integer that no float holds stays one."""
    return value if isinstance(value, int) and abs(value) > EXACT else float(value)
