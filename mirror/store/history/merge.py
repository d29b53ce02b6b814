"""The one merge of a history's rows: by step, and of rows that share a step the later wins, key by key.

Later is the part with the higher last step, then the lower row; the rows of a tail come last. A row without a step has
no place in it. Parts that follow each other and share no step, which is how W&B exports, need no merge: they are
streamed.
The fold into `metrics`, wide tables and rows of Python values all are made by this.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from mirror.store.history.parts import ExportPart


class Merge:
    """Which rows of some parts come when, known from their steps alone.

    Args:
        parts: the steps of each part, null where a row has none, in the order in which later parts win.
    """

    def __init__(self, parts: Sequence[pa.Int64Array]) -> None:
        self._parts = parts
        steps = pa.concat_arrays(list(parts)) if parts else pa.array([], pa.int64())
        self.rows = len(steps)  # with those that have no step
        self.order: pa.Array | None = None if rises(steps) else _step_order(steps)  # None: as they are
        self.steps = steps if self.order is None else steps.take(self.order)  # of each row, rising or equal
        self.is_shared = self.order is not None and not rises(self.steps)  # some rows are at one step

    @cached_property
    def distinct(self) -> pa.Int64Array:
        """Each step once."""
        return self.steps.filter(last_of_each(self.steps)) if self.is_shared else self.steps

    @cached_property
    def is_streamable(self) -> bool:
        """Whether the parts can be read one behind the other: each rises, and ends before the next begins."""
        parts = [part for part in self._parts if len(part)]
        return all(map(rises, parts)) and all(left[-1].as_py() < right[0].as_py() for left, right in pairwise(parts))

    def ordered(self, columns: Sequence[pa.Array]) -> pa.Array:
        """A column of each part, as one array in the order of the steps; rows without a step are left out."""
        column = columns[0] if len(columns) == 1 else pa.concat_arrays(list(columns))
        return column if self.order is None else column.take(self.order)


def in_order(parts: Sequence[ExportPart]) -> list[ExportPart]:
    """By last step, then by name: the order in which later parts win, whatever order the server listed them in."""

    def rank(part: ExportPart) -> tuple[bool, int, str]:
        highest = pc.max(part.steps).as_py()
        return highest is not None, highest or 0, part.name

    return sorted(parts, key=rank)


def rises(steps: pa.Array) -> bool:
    """Whether there is a step in every row, each higher than the one before."""
    if steps.null_count:
        return False
    if len(steps) < 2:
        return True
    return bool(pc.all(pc.less(steps.slice(0, len(steps) - 1), steps.slice(1))).as_py())


def _step_order(steps: pa.Array) -> pa.Array:
    """Positions of the rows that have a step, by step, then by position."""
    table = pa.table({"step": steps, "position": pa.array(range(len(steps)), pa.int64())})
    order = pc.sort_indices(table, sort_keys=[("step", "ascending"), ("position", "ascending")])
    return order.slice(0, len(steps) - steps.null_count)  # nulls are sorted to the end


def last_of_each(steps: pa.Array) -> pa.Array:
    """A mask of the last row of each step, in an array sorted by step."""
    if len(steps) == 0:
        return pa.array([], pa.bool_())
    changes = pc.not_equal(steps.slice(0, len(steps) - 1), steps.slice(1))
    return pa.concat_arrays([changes, pa.array([True])])


def last_values(steps: pa.Array, column: pa.Array, there: pa.Array, wanted: pa.Array) -> pa.Array:
    """For each wanted step the last value that is there; null where no row of the step has one.

    Args:
        steps: of the rows, rising or equal.
        column: the values of the rows.
        there: a mask of the rows that have one.
        wanted: steps.
    """
    known, values = steps.filter(there), column.filter(there)
    last = last_of_each(known)
    return values.filter(last).take(pc.index_in(wanted, value_set=known.filter(last)))
