"""The fold: a run's wide history, in any number of parts, becomes long rows for the table `metrics`.

Keys are W&B's: a dictionary is a key for each member, `a.b`, in whatever form it came (`nesting`). A row without a step
stays in its export and is counted, since a metric has its place by step. Rows that share a step
become one, key by key: the later one wins where it has something, later being the part with the higher last step, then
the lower row; rows of a tail come last. `_timestamp` also fills the column `timestamp` and stays a key.

Memory: the steps and times of a run's rows, and the cells of some keys at a time, never the whole history.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from mirror.records.contents import TailColumns
from mirror.store.history.cells import Cells, is_present
from mirror.store.history.leaves import ExportLeaves
from mirror.store.history.merge import Merge, in_order, last_of_each, last_values
from mirror.store.history.parts import ExportPart, Part, RowsPart
from mirror.store.history.tail_columns import tail_parts
from mirror.texts.values import storable

TIME_KEY = "_timestamp"
SLICE_CELLS = 1_000_000  # cells of a history that are in memory at once, if one key does not hold more
_TIME = pa.timestamp("us")
_LATEST_SECOND = 253_402_300_800  # year 10000; Python and most readers end there


class FoldFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a fold found, before any cell is read but the steps and those of rows that share one."""

    rows: int  # rows in all parts
    steps: int  # distinct steps: rows after the fold
    without_step: int  # rows that have no step and are in no metric
    repeated: int  # rows equal to the row before them at the same step
    merged: int  # rows merged into another one at the same step
    min_step: int | None
    max_step: int | None

    @property
    def rows_held(self) -> int:
        """Rows of the history that are held: a row that came twice counts once."""
        return self.rows - self.repeated


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """The long rows of one key, in step order."""

    key: str
    step: pa.Array  # int64
    timestamp: pa.Array  # timestamp[us], UTC
    value: pa.Array  # float64
    text: pa.Array  # large_string


class Folded:
    """The long form of one run's history, produced key after key. Iterate it as often as needed.

    Args:
        parts: in the order in which later ones win.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._merge = merge = Merge([part.steps for part in parts])
        self._steps, rows = merge.steps, merge.rows
        self.keys: tuple[str, ...] = tuple(sorted(frozenset().union(*(part.keys for part in parts))))
        distinct = len(merge.distinct)
        repeated = self._count_repeated() if merge.is_shared else 0
        self.facts = FoldFacts(
            rows=rows, steps=distinct, without_step=rows - len(self._steps), repeated=repeated,
            merged=len(self._steps) - distinct - repeated,
            min_step=self._steps[0].as_py() if len(self._steps) else None,
            max_step=self._steps[-1].as_py() if len(self._steps) else None,
        )  # fmt: skip

    @property
    def cells(self) -> int:
        """An upper bound of the long rows."""
        return len(self._steps) * len(self.keys)

    def slices(self) -> Iterator[Slice]:
        """The long rows, by key in order of the keys' UTF-8, then by step.

        Raises:
            UnreadableExport: a part is damaged.
        """
        if not len(self._steps):
            return
        times: pa.Array | None = None
        for names in self._batches():
            read = self._read(names)
            times = self._times(read) if times is None else times
            for key, cells in read.items():
                found = self._melt(key, cells, times)
                if len(found.step):
                    yield found

    def table(self) -> pa.Table:
        """All of it in memory, with the columns of `metrics` behind the run's name. For small histories."""
        found = list(self.slices())
        keys = [pa.array([item.key] * len(item.step), pa.string()) for item in found]
        return pa.table(
            {
                "key": pa.chunked_array(keys, pa.string()),
                "step": pa.chunked_array([item.step for item in found], pa.int64()),
                "timestamp": pa.chunked_array([item.timestamp for item in found], _TIME),
                "value": pa.chunked_array([item.value for item in found], pa.float64()),
                "text": pa.chunked_array([item.text for item in found], pa.large_string()),
            }
        )  # fmt: skip

    def _batches(self) -> Iterator[tuple[str, ...]]:
        """The keys, so many at a time as fit into memory together."""
        width = max(1, SLICE_CELLS // max(1, self._merge.rows))
        for start in range(0, len(self.keys), width):
            yield self.keys[start : start + width]

    def _read(self, names: Sequence[str]) -> dict[str, Cells]:
        """Cells of all parts in step order."""
        read = [part.read(names) for part in self._parts]
        return {name: self._ordered([part.pop(name) for part in read]) for name in names}

    def _ordered(self, columns: list[Cells]) -> Cells:
        return Cells(*(self._merge.ordered(arrays) for arrays in zip(*columns, strict=True)))

    def _melt(self, key: str, cells: Cells, times: pa.Array) -> Slice:
        step, (value, text) = self._steps, cells
        there = is_present(cells)
        if there is not None:
            step, times, value, text = (array.filter(there) for array in (step, times, value, text))
        if self._merge.is_shared:
            last = last_of_each(step)
            step, times, value, text = (array.filter(last) for array in (step, times, value, text))
        return Slice(key=storable(key), step=step, timestamp=times, value=value, text=text)

    def _times(self, read: Mapping[str, Cells]) -> pa.Array:
        """The time of each row in step order: what `_timestamp` holds at its step after the merge.

        Args:
            read: cells that are there already.
        """
        if TIME_KEY not in self.keys:
            return pa.nulls(len(self._steps), _TIME)
        seconds = (read if TIME_KEY in read else self._read([TIME_KEY]))[TIME_KEY].value
        times = as_times(seconds)
        if not self._merge.is_shared:
            return times
        return last_values(self._steps, times, seconds.is_valid(), self._steps)

    def _count_repeated(self) -> int:
        """How many rows equal the row before them at the same step, in every cell."""
        same_step = pc.equal(self._steps.slice(1), self._steps.slice(0, len(self._steps) - 1))
        before = pc.indices_nonzero(same_step)
        after = pc.add(before, pa.scalar(1, before.type))
        equal = pa.array([True] * len(before), pa.bool_())
        for names in self._batches():
            for value, text in self._read(names).values():
                bits = value.view(pa.int64())
                for array in (bits, text):
                    equal = pc.and_(equal, _same(array.take(before), array.take(after)))
        return int(pc.sum(equal).as_py() or 0)


def fold_exports(
    parts: Sequence[Path | ExportPart], rows: Sequence[str] = (), columns: Sequence[TailColumns] = ()
) -> Folded:
    """Fold a run's exports, in any order, and the rows of its tail.

    Args:
        parts: Parquet files as W&B served them.
        rows: rows of the tail as JSON texts.
        columns: those of these rows that are known key by key.

    Raises:
        UnreadableExport: a part is damaged, or no Parquet.
    """
    exports = in_order([part if isinstance(part, ExportPart) else ExportPart(part) for part in parts])
    return Folded([*map(ExportLeaves, exports), *tail_parts(rows, columns)])


def fold_rows(rows: Sequence[str], columns: Sequence[TailColumns] = ()) -> Folded:
    """Fold rows of a tail: JSON texts, steps as integers or floats, bare NaN allowed; `columns` as `fold_exports`'."""
    return Folded(tail_parts(rows, columns) or [RowsPart(rows)])


def as_times(seconds: pa.Array) -> pa.Array:
    """Seconds of the epoch as UTC times; null for what no calendar holds."""
    sane = pc.less(pc.abs(seconds), float(_LATEST_SECOND))  # NaN and infinities are not
    kept = pc.if_else(sane, seconds, pa.scalar(None, pa.float64()))
    return pc.round(pc.multiply(kept, 1e6)).cast(pa.int64()).cast(_TIME)


def _same(left: pa.Array, right: pa.Array) -> pa.Array:
    """Equality by value, where null equals null."""
    both_null = pc.and_(left.is_null(), right.is_null())
    return pc.or_(pc.fill_null(pc.equal(left, right), False), both_null)
