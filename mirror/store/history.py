"""A run's history read back wide, with exact values: from the exports as they were served, then the tail.

Rows come by step, each step once, keys merged as in the fold. Where the parts follow each other and share no step,
which is how W&B exports, they are streamed and memory holds one batch; else the chosen columns are read whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from mirror.errors import NotMirrored
from mirror.layout import Home
from mirror.store.engine import Engine, store_errors
from mirror.store.history_parts import STEP, ExportPart, RowsPart, as_steps
from mirror.store.metrics import in_order, last_of_each, rises, step_order
from mirror.store.objects import Objects
from mirror.store.wide_columns import (
    Held,
    Kind,
    as_plain,
    common_field,
    fit,
    has_wide_integers,
    plain,
    tail_column,
)

BATCH_CELLS = 500_000  # cells of a batch that is streamed
RunKey = tuple[str, str, str]  # entity, project, run id


def wide_history(
    engine: Engine,
    home: Home,
    run: RunKey,
    *,
    keys: Sequence[str] | None = None,
    min_step: int | None = None,
    max_step: int | None = None,
    rows: Literal["all", "any"] = "all",
) -> pa.RecordBatchReader:
    """Read a run's history, ordered by step.

    Args:
        engine: with the lake attached, from `connect`.
        home: where the objects lie.
        run: entity, project, run id.
        keys: columns besides `_step`; None for every key. What no row has is a column of nulls.
        min_step: first step, inclusive.
        max_step: last step, exclusive.
        rows: with `keys`, whether a row has to hold all of them, as W&B documents it, or any of them.

    Returns:
        Batches with `_step` (int64) first. A field whose parts have no common type holds JSON texts and says so in
        its metadata, `wide_columns.JSON_MARK`. Rows without a step are left out.

    Raises:
        NotMirrored: this run's history was never read.
        UnreadableExport: an export is damaged.
        StoreError: an object is missing.
    """
    sources = _held(engine, home, run, min_step, max_step)
    wide = Wide(sources, keys, min_step, max_step, rows)
    return pa.RecordBatchReader.from_batches(wide.schema, wide.batches())


class Sources:
    """The parts of one run's history, in the order in which later ones win.

    Args:
        exports: in any order.
        tail: rows that no export holds, by step, as the server sent them.
    """

    def __init__(self, exports: Sequence[ExportPart], tail: Sequence[str]) -> None:
        self.exports = in_order(exports)
        self.tail = RowsPart(tail) if tail else None
        self.names = dict.fromkeys(name for part in self.exports for name in part.names)
        if self.tail is not None:
            self.names.update(dict.fromkeys(sorted(self.tail.keys)))
        self.names.pop(STEP, None)

    @property
    def steps(self) -> list[pa.Int64Array]:
        """Steps of each part."""
        return [part.steps for part in self.exports] + ([self.tail.steps] if self.tail is not None else [])


def _held(engine: Engine, home: Home, run: RunKey, min_step: int | None, max_step: int | None) -> Sources:
    where = "entity = ? AND project = ? AND run_id = ?"
    inside = " AND (? IS NULL OR {high} >= ?) AND (? IS NULL OR {low} < ?)"
    bounds = [min_step, min_step, max_step, max_step]
    with store_errors(home):
        if not engine.execute(f"SELECT 1 FROM lake.completeness WHERE {where}", run).fetchall():
            raise NotMirrored(
                f"the history of {'/'.join(run)} is not in this mirror",
                hint="`wandb-mirror pull` fetches it, if its source has history = true",
            )
        exports = engine.execute(
            f"SELECT object FROM lake.exports WHERE {where}" + inside.format(high="max_step", low="min_step"),
            [*run, *bounds],
        ).fetchall()
        tail = engine.execute(
            f"SELECT row FROM lake.tails WHERE {where}" + inside.format(high="step", low="step") + " ORDER BY step",
            [*run, *bounds],
        ).fetchall()
    objects = Objects(home)
    return Sources([ExportPart(objects.path(digest)) for (digest,) in exports], [row for (row,) in tail])


class Wide:
    """What one reading needs to know.

    Args:
        sources: the parts.
        keys, min_step, max_step, rows: as for `wide_history`; with `rows` None a row needs to hold no key.
    """

    def __init__(
        self,
        sources: Sources,
        keys: Sequence[str] | None = None,
        min_step: int | None = None,
        max_step: int | None = None,
        rows: Literal["all", "any"] | None = None,
    ) -> None:
        self._sources = sources
        self._keys = list(sources.names) if keys is None else [key for key in dict.fromkeys(keys) if key != STEP]
        self._min, self._max = min_step, max_step
        self._needed = None if keys is None or not self._keys else rows
        self._tail = {key: self._tail_of(key) for key in self._keys}
        fields = [common_field(key, self._kinds(key)) for key in self._keys]
        self.schema = pa.schema([pa.field(STEP, pa.int64()), *fields])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, streamed where that gives the right order."""
        found = self._streamed() if self._can_stream() else self._merged()
        for batch in found:
            kept = self._chosen(batch)
            if len(kept):
                yield kept

    def _tail_of(self, key: str) -> Held | None:
        tail = self._sources.tail
        if tail is None or key not in tail.keys:
            return None
        types = [part.type_of(key) for part in self._sources.exports if key in part.keys]
        numbers = any(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in types)
        return tail_column(tail.values(key), beside_numbers=numbers)

    def _kinds(self, key: str) -> list[Kind]:
        parts = [part for part in self._sources.exports if key in part.keys]
        kinds = [Kind(plain(part.type_of(key))) for part in parts]
        held = self._tail[key]
        if held is not None:
            kinds.append(Kind(held.array.type, held.is_json, has_wide_integers(held.array)))
        if len({kind.type for kind in kinds}) > 1:  # only now do the integers of the exports have to be looked at
            for place, part in enumerate(parts):
                if pa.types.is_integer(kinds[place].type):
                    wide = has_wide_integers(as_plain(part.arrow([key]).column(key)))
                    kinds[place] = kinds[place]._replace(has_wide_integers=wide)
        return kinds

    def _can_stream(self) -> bool:
        steps = [part for part in self._sources.steps if len(part)]
        if any(part.doubled for part in self._sources.exports) or not all(map(rises, steps)):
            return False
        return all(left[-1].as_py() < right[0].as_py() for left, right in pairwise(steps))

    def _streamed(self) -> Iterator[pa.RecordBatch]:
        size = max(1, BATCH_CELLS // (len(self._keys) + 1))
        for part in self._sources.exports:
            if part.rows and STEP in part.names:
                for batch in part.batches([STEP, *self._keys], size):
                    yield self._batch(batch)
        yield from self._of_tail()

    def _of_tail(self) -> Iterator[pa.RecordBatch]:
        tail = self._sources.tail
        if tail is not None:
            held = [self._tail[key] for key in self._keys]
            columns = [
                pa.nulls(tail.rows, field.type) if column is None else fit(column, field)
                for column, field in zip(held, list(self.schema)[1:], strict=True)
            ]
            yield pa.record_batch([tail.steps, *columns], schema=self.schema)

    def _batch(self, found: pa.RecordBatch | pa.Table) -> pa.RecordBatch:
        """Columns of an export in the common types."""
        names = found.schema.names
        columns = [
            fit(Held(as_plain(_chunked(found.column(field.name)))), field)
            if field.name in names
            else pa.nulls(len(found), field.type)
            for field in list(self.schema)[1:]
        ]
        return pa.record_batch([as_steps(_chunked(found.column(STEP))), *columns], schema=self.schema)

    def _merged(self) -> Iterator[pa.RecordBatch]:
        """All parts in memory, by step; of rows that share one the later wins, key by key, where it has something."""
        parts = [
            self._batch(part.arrow([STEP, *self._keys]))
            for part in self._sources.exports
            if part.rows and STEP in part.names
        ]
        table = pa.Table.from_batches([*parts, *self._of_tail()], schema=self.schema).combine_chunks()
        if not len(table):
            return
        table = table.take(step_order(_whole(table.column(STEP))))
        steps = _whole(table.column(STEP))
        if len(steps) and not rises(steps):
            distinct = steps.filter(last_of_each(steps))
            columns = [distinct, *(_last_values(steps, _whole(column), distinct) for column in table.columns[1:])]
            table = pa.table(columns, schema=self.schema)
        yield from table.to_batches(max_chunksize=max(1, BATCH_CELLS // (len(self._keys) + 1)))

    def _chosen(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows inside the range that hold the keys."""
        keep = pc.is_valid(batch.column(0))
        if self._min is not None:
            keep = pc.and_(keep, pc.greater_equal(batch.column(0), pa.scalar(self._min, pa.int64())))
        if self._max is not None:
            keep = pc.and_(keep, pc.less(batch.column(0), pa.scalar(self._max, pa.int64())))
        if self._needed is not None:
            combine = pc.and_ if self._needed == "all" else pc.or_
            there = pc.is_valid(batch.column(1))
            for column in batch.columns[2:]:
                there = combine(there, pc.is_valid(column))
            keep = pc.and_(keep, there)
        return batch.filter(pc.fill_null(keep, False))


def _last_values(steps: pa.Array, column: pa.Array, distinct: pa.Array) -> pa.Array:
    """For each distinct step the last value that is there; null where no row of the step has one."""
    there = column.is_valid()
    known, values = steps.filter(there), column.filter(there)
    last = last_of_each(known)
    return values.filter(last).take(pc.index_in(distinct, value_set=known.filter(last)))


def _chunked(column: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
    return column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
