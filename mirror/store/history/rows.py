"""A run's history as dictionaries of exact values: scanned in batches, or sampled.

Rows come by step, each step once, as `merge` says. Parts that can be are streamed; else the chosen columns are read
whole, and made rows of a window at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from mirror.store.history.columns import Column, ExportColumns, Row, rows_of
from mirror.store.history.history import Wide, open_sources
from mirror.store.history.merge import Merge
from mirror.store.history.python_values import python_values
from mirror.store.history.sampling import evenly
from mirror.store.metrics.tail_rows import TailRows
from mirror.store.objects.objects import Objects
from mirror.store.read.histories import StoredHistory
from mirror.texts.steps import STEP

BATCH_CELLS = 200_000  # cells that are Python values at once
WINDOW_ROWS = 5_000  # rows that are merged at once
How = Literal["all", "any"]
Table = pa.Table  # for those who only hand it on


class HistoryRows:
    """One run's history, read as often as needed.

    Args:
        objects: where the exports are.
        stored: what the lake holds of it.
        summary: gives the run's summary, which names keys as they were logged; asked only where that matters.

    Raises:
        UnreadableExport: an export is damaged.
        StoreError: an object is missing.
    """

    def __init__(
        self, objects: Objects, stored: StoredHistory, summary: Callable[[], Mapping[str, Any]] = dict
    ) -> None:
        self._sources = open_sources(objects, stored, summary)
        self._exports = self._sources.exports
        self._tail = TailRows(self._sources.tail, self._exports)

    def batches(
        self,
        keys: Sequence[str] | None,
        min_step: int,
        max_step: int,
        how: How,
        *,
        between: Callable[[], object] = lambda: None,
    ) -> Iterator[list[Row]]:
        """The rows, by step.

        Args:
            keys: what each row holds beside `_step`; None for every key that it has.
            min_step: the first step.
            max_step: the step behind the last.
            how: whether a row has to hold all of the keys, or any.
            between: called after each batch that was read; what it raises ends the reading.

        Raises:
            UnreadableExport: a page of an export is damaged.
        """
        wanted = None if keys is None else [key for key in dict.fromkeys(keys) if key != STEP]
        needed = _Needed(wanted, how)
        bounds = min_step, max_step
        found = self._streamed(wanted, *bounds, needed) if self._sources.can_stream else self._merged(wanted, *bounds)
        for rows in found:
            between()
            kept = [row for row in rows if needed.are_in(row)] if needed.keys else rows
            if kept:
                yield kept

    def sample(
        self, keys: Sequence[str] | None, samples: int, *, between: Callable[[], object] = lambda: None
    ) -> list[Row]:
        """Rows spread evenly over those that hold all keys; always the same ones, the first and the last among them.

        Args:
            keys: what a row holds, `_step` only if it is named; None for every key that it has.
            samples: how many rows.
            between: as for `batches`.
        """
        rows = self._rows_at(keys, self._sampled_steps(keys, samples), between)
        if keys is not None and STEP not in keys:
            for row in rows:
                del row[STEP]
        return rows

    def keys_before_step(self) -> list[str]:
        """The keys that were logged before `_step` in a row: in the first export, else in the first row of the tail."""
        names = next((list(export.part.names) for export in self._exports if export.part.rows), None)
        if names is None:
            tail = self._sources.tail
            names = list(tail.parsed[0]) if tail is not None and tail.parsed else []
        return names[: names.index(STEP)] if STEP in names else []

    def sample_table(self, keys: Sequence[str] | None, samples: int) -> pa.Table:
        """The rows of `sample` as a table, in the types of `wide_history`."""
        steps = self._sampled_steps(keys, samples)
        wide = Wide(self._sources, keys)
        batches = [batch.filter(pc.is_in(batch.column(0), value_set=steps)) for batch in wide.batches()]
        table = pa.Table.from_batches(batches, schema=wide.schema)
        return table if keys is None else table.select(list(dict.fromkeys(keys)))

    def _streamed(
        self, keys: Sequence[str] | None, min_step: int, max_step: int, needed: _Needed
    ) -> Iterator[list[Row]]:
        for export in self._exports:
            if not _meets(export, min_step, max_step) or not needed.may_be_in(export):
                continue
            for steps, columns in export.tables(keys, _batch_rows(export, keys), self._sources.dictionaries):
                kept = pc.and_(pc.greater_equal(steps, min_step), pc.less(steps, max_step))
                yield _filtered(steps, columns, kept if needed.keys is None else pc.and_(kept, needed.mask(columns)))
        yield [row for row in self._tail.reduced(keys) if min_step <= row[STEP] < max_step]

    def _merged(self, keys: Sequence[str] | None, min_step: int, max_step: int) -> Iterator[list[Row]]:
        """Equal steps become one row; only then is known what it holds."""
        parts = [
            found
            for export in self._exports
            if _meets(export, min_step, max_step)
            for found in export.tables(keys, max(1, export.part.rows), self._sources.dictionaries)
        ]
        tail = self._tail.reduced(keys)
        merge = Merge([*(steps for steps, _ in parts), pa.array(self._tail.steps, pa.int64())])
        kept = pc.and_(pc.greater_equal(merge.steps, min_step), pc.less(merge.steps, max_step))
        order = pa.array(range(merge.rows), pa.int64()) if merge.order is None else merge.order
        order, known = order.filter(kept), python_values(merge.steps.filter(kept))
        start = 0
        while start < len(known):
            stop = min(start + WINDOW_ROWS, len(known))
            while stop < len(known) and known[stop] == known[stop - 1]:
                stop += 1
            yield _joined(_picked(parts, tail, order.slice(start, stop - start)))
            start = stop

    def _sampled_steps(self, keys: Sequence[str] | None, samples: int) -> pa.Array:
        """The steps of the rows that are chosen among those that hold all keys."""
        steps = self._sources.merge.distinct
        for key in dict.fromkeys(keys or ()):
            if key != STEP:
                steps = steps.filter(pc.is_in(steps, value_set=self._steps_with(key)))
        return steps.take(pa.array(evenly(len(steps), samples), pa.int64()))

    def _steps_with(self, key: str) -> pa.Array:
        found = [
            steps.filter(columns[key].is_valid())
            for export in self._exports
            if export.has(key)
            for steps, columns in export.tables([key], max(1, export.part.rows), {})
        ]
        tail = [row[STEP] for row in self._tail.reduced([key]) if len(row) > 1]
        return pa.concat_arrays([*found, pa.array(tail, pa.int64())])

    def _rows_at(self, keys: Sequence[str] | None, steps: pa.Array, between: Callable[[], object]) -> list[Row]:
        """The rows of some steps, by step."""
        wanted = None if keys is None else [key for key in dict.fromkeys(keys) if key != STEP]
        found: dict[int, Row] = {}
        order = python_values(steps)
        for export in self._exports:
            if order and _meets(export, order[0], order[-1] + 1):
                for held, columns in export.tables(wanted, _batch_rows(export, wanted), self._sources.dictionaries):
                    between()
                    for row in _filtered(held, columns, pc.is_in(held, value_set=steps)):
                        found.setdefault(row[STEP], {}).update(row)
        chosen = set(order)
        for row in self._tail.reduced(wanted):
            if row[STEP] in chosen:
                found.setdefault(row[STEP], {}).update(row)
        return [found[step] for step in order]


class _Needed:
    """What a row has to hold."""

    def __init__(self, keys: Sequence[str] | None, how: How) -> None:
        self.keys = keys or None
        self._how = all if how == "all" else any
        self._combine = pc.and_ if how == "all" else pc.or_

    def are_in(self, row: Row) -> bool:
        return self.keys is None or self._how(key in row for key in self.keys)

    def may_be_in(self, export: ExportColumns) -> bool:
        return self.keys is None or self._how(map(export.has, self.keys))

    def mask(self, columns: dict[str, Column]) -> Any:
        there = [column.is_valid() for column in columns.values()]
        mask = there[0]
        for column in there[1:]:
            mask = self._combine(mask, column)
        return mask


def _meets(export: ExportColumns, min_step: int, max_step: int) -> bool:
    return export.first is not None and export.last is not None and export.first < max_step and export.last >= min_step


def _batch_rows(export: ExportColumns, keys: Sequence[str] | None) -> int:
    width = len(export.part.names) if keys is None else len(keys) + 1
    return max(1, BATCH_CELLS // max(1, width))


def _filtered(steps: pa.Array, columns: dict[str, Column], kept: pa.Array) -> list[Row]:
    """The rows for which the mask is true; a row without a step has none."""
    if pc.all(pc.fill_null(kept, False)).as_py():
        return rows_of(steps, columns)
    return rows_of(steps.filter(kept), {key: column.filter(kept) for key, column in columns.items()})


def _picked(parts: Sequence[tuple[pa.Array, dict[str, Column]]], tail: Sequence[Row], order: pa.Array) -> list[Row]:
    """Rows by their positions in all parts one behind the other, then the tail."""
    rows: list[Row] = [{}] * len(order)
    base = 0
    for steps, columns in parts:
        inside = pc.and_(pc.greater_equal(order, base), pc.less(order, base + len(steps)))
        local = pc.subtract(order.filter(inside), base)
        found = rows_of(steps.take(local), {key: column.take(local) for key, column in columns.items()})
        for place, row in zip(python_values(pc.indices_nonzero(inside)), found, strict=True):
            rows[place] = row
        base += len(steps)
    for place, position in enumerate(python_values(order)):
        if position >= base:
            rows[place] = tail[position - base]
    return rows


def _joined(rows: Sequence[Row]) -> list[Row]:
    """Neighbours at one step as one row."""
    joined: list[Row] = []
    for row in rows:
        if joined and joined[-1][STEP] == row[STEP]:
            joined[-1].update(row)
        else:
            joined.append(row)
    return joined
