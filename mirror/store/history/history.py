"""A run's history read back wide, with exact values: from the exports as they were served, then the tail.

Rows come by step, each step once, keys merged as in the fold. Where the parts follow each other and share no step,
which is how W&B exports, they are streamed and memory holds one batch; else the chosen columns are read whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from mirror.errors import NotMirrored
from mirror.records.addresses import RunPath
from mirror.store.engine.connection import store_errors
from mirror.store.engine.reader import Reader
from mirror.store.history.columns import Column, ExportColumns
from mirror.store.history.merge import Merge, in_order, last_values
from mirror.store.history.nesting import is_whole, prefixes
from mirror.store.history.parts import ExportPart, RowsPart, as_steps, open_export
from mirror.store.history.python_values import Values
from mirror.store.history.wide_columns import (
    ColumnKind,
    TypedColumn,
    as_plain,
    cast_to_field,
    common_field,
    has_wide_integers,
    plain_type,
    tail_column,
)
from mirror.store.objects.objects import Objects
from mirror.store.read.histories import StoredHistory, read_history
from mirror.store.schema.keys import OF_RUN
from mirror.texts.steps import STEP
from mirror.texts.values import dump_strict, parse_lenient

BATCH_CELLS = 500_000  # cells of a batch that is streamed


def wide_history(
    reader: Reader,
    run: RunPath,
    *,
    keys: Sequence[str] | None = None,
    min_step: int | None = None,
    max_step: int | None = None,
    rows: Literal["all", "any"] = "all",
) -> pa.RecordBatchReader:
    """Read a run's history, ordered by step.

    Args:
        reader: of the home where the objects lie.
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
    sources = _held(reader, run)
    wide = Wide(sources, keys, min_step, max_step, rows)
    return pa.RecordBatchReader.from_batches(wide.schema, wide.batches())


class Sources:
    """The parts of one run's history, in the order in which later ones win.

    Args:
        exports: in any order.
        tail: rows that no export holds, by step, as the server sent them.
        summary: gives the run's summary, which names keys as they were logged; asked only where that matters.
    """

    def __init__(
        self, exports: Sequence[ExportPart], tail: Sequence[str], summary: Callable[[], Mapping[str, Any]] = dict
    ) -> None:
        self.exports = [ExportColumns(part) for part in in_order(exports)]
        self.tail = RowsPart(tail) if tail else None
        self._summary = summary

    @property
    def names(self) -> list[str]:
        """The keys of rows, without `_step`."""
        exported = (name for export in self.exports for name in export.row_names(self.dictionaries))
        return list(dict.fromkeys([*exported, *(sorted(self.tail.names) if self.tail is not None else ())]))

    @cached_property
    def merge(self) -> Merge:
        """Which row comes when."""
        parts = [export.steps for export in self.exports]
        return Merge(parts + ([self.tail.steps] if self.tail is not None else []))

    @property
    def can_stream(self) -> bool:
        """Whether the parts can be read one behind the other."""
        return self.merge.is_streamable and not any(export.part.doubled for export in self.exports)

    @cached_property
    def dictionaries(self) -> Mapping[str, str]:
        """Of columns `a.b` that are members of a dictionary, its name.

        An export does not tell a member from a key that was logged with a dot. A name is that of a dictionary where
        another part or an unexported row has one under it, an earlier form of the export had, or the summary has. What
        an unexported row or the summary spells with dots was logged so.

        Raises:
            UnreadableExport: a page of an export is damaged.
        """
        dotted = {name for export in self.exports for name in export.dotted}
        if not dotted:
            return {}
        rows = [*(self.tail.parsed if self.tail is not None else ()), self._summary()]
        dotted.difference_update(*rows)
        owners = {name for key in dotted for name in prefixes(key)}
        known = {name for name in owners for row in rows if name in row and not is_whole(row[name])}
        known |= {name for export in self.exports for name in (*export.structs(), *export.part.earlier.dictionaries)}
        known |= {name for name in owners - known for export in self.exports if export.holds_dictionaries(name)}
        found = {key: next((name for name in prefixes(key) if name in known), None) for key in dotted}
        return {key: owner for key, owner in found.items() if owner is not None}


def open_sources(objects: Objects, stored: StoredHistory, summary: Callable[[], Mapping[str, Any]] = dict) -> Sources:
    """The parts of a history that the lake names.

    Args:
        objects: where the exports are.
        stored: what the lake holds.
        summary: as for `Sources`.

    Raises:
        UnreadableExport: an export is damaged.
        StoreError: an object is missing.
    """
    return Sources(
        [open_export(objects, digest, stored.earlier.get(digest)) for digest in stored.exports], stored.tail, summary
    )


def _held(reader: Reader, run: RunPath) -> Sources:
    stored = read_history(reader, run)
    if stored.facts is None:
        raise NotMirrored(
            f"the history of {'/'.join(run)} is not in this mirror",
            hint="`wandb-mirror pull` fetches it, if its source has history = true",
        )
    with store_errors(reader.home):
        return open_sources(Objects(reader.home), stored, lambda: _summary_of(reader, run))


def _summary_of(reader: Reader, run: RunPath) -> Mapping[str, Any]:
    query = f"SELECT summary FROM lake.runs WHERE {OF_RUN}"
    rows = reader.rows(query, run)
    summary = parse_lenient(rows[0][0]) if rows else None
    return summary if isinstance(summary, dict) else {}


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
        self._keys = sources.names if keys is None else [key for key in dict.fromkeys(keys) if key != STEP]
        self._owners = sources.dictionaries if keys is None else None
        self._min, self._max = min_step, max_step
        self._needed = None if keys is None or not self._keys else rows
        self._tail = {key: self._tail_of(key) for key in self._keys}
        fields = [common_field(key, self._kinds(key)) for key in self._keys]
        self.schema = pa.schema([pa.field(STEP, pa.int64()), *fields])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, streamed where that gives the right order."""
        found = self._streamed() if self._sources.can_stream else self._merged()
        for batch in found:
            kept = self._chosen(batch)
            if len(kept):
                yield kept

    def _tail_of(self, key: str) -> TypedColumn | None:
        tail = self._sources.tail
        values = [] if tail is None else tail.values(key, as_spelled=self._owners is not None)
        if all(value is None for value in values):
            return None
        numbers = any(export.is_floating(key) is not None for export in self._sources.exports)
        return tail_column(values, beside_numbers=numbers)

    def _kinds(self, key: str) -> list[ColumnKind]:
        exports = [export for export in self._sources.exports if export.names_of(key, self._owners)]
        types = [export.type_of(key, self._owners) for export in exports]
        kinds = [
            ColumnKind(pa.null(), is_json=True) if kind is None else ColumnKind(plain_type(kind)) for kind in types
        ]
        held = self._tail[key]
        if held is not None:
            kinds.append(ColumnKind(held.array.type, held.is_json, has_wide_integers(held.array)))
        if len({kind.type for kind in kinds}) > 1:  # only now do the integers of the exports have to be looked at
            for place, export in enumerate(exports):
                if pa.types.is_integer(kinds[place].type):
                    batch = export.part.arrow(export.names_of(key, self._owners))
                    wide = has_wide_integers(as_plain(_chunked(export.column(batch, key, self._owners))))
                    kinds[place] = kinds[place]._replace(has_wide_integers=wide)
        return kinds

    def _streamed(self) -> Iterator[pa.RecordBatch]:
        size = max(1, BATCH_CELLS // (len(self._keys) + 1))
        for export in self._sources.exports:
            if self._is_wanted(export):
                for batch in export.part.batches(self._columns_of(export), size):
                    yield self._batch(export, batch)
        yield from self._of_tail()

    def _of_tail(self) -> Iterator[pa.RecordBatch]:
        tail = self._sources.tail
        if tail is not None:
            held = [self._tail[key] for key in self._keys]
            columns = [
                pa.nulls(tail.rows, field.type) if column is None else cast_to_field(column, field)
                for column, field in zip(held, list(self.schema)[1:], strict=True)
            ]
            yield pa.record_batch([tail.steps, *columns], schema=self.schema)

    def _is_wanted(self, export: ExportColumns) -> bool:
        """Whether a row of the export may be inside the range."""
        return (
            export.first is not None
            and export.last is not None
            and ((self._min is None or export.last >= self._min) and (self._max is None or export.first < self._max))
        )

    def _columns_of(self, export: ExportColumns) -> list[str]:
        return list(dict.fromkeys([STEP, *(name for key in self._keys for name in export.names_of(key, self._owners))]))

    def _batch(self, export: ExportColumns, found: pa.RecordBatch | pa.Table) -> pa.RecordBatch:
        """Columns of an export in the common types."""
        columns = [
            _fitting(export.column(found, key, self._owners), field, len(found))
            for key, field in zip(self._keys, list(self.schema)[1:], strict=True)
        ]
        return pa.record_batch([as_steps(_chunked(found.column(STEP))), *columns], schema=self.schema)

    def _merged(self) -> Iterator[pa.RecordBatch]:
        """All parts in memory, by step; of rows that share one the later wins, key by key, where it has something."""
        parts = [
            self._batch(export, export.part.arrow(self._columns_of(export)))
            for export in self._sources.exports
            if self._is_wanted(export)
        ]
        parts += self._of_tail()
        if not parts:
            return
        merge = Merge([part.column(0) for part in parts])
        columns = [merge.ordered([part.column(place) for part in parts]) for place in range(1, len(self.schema))]
        if merge.is_shared:
            columns = [last_values(merge.steps, column, column.is_valid(), merge.distinct) for column in columns]
        table = pa.table([merge.distinct, *columns], schema=self.schema)
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


def _fitting(column: Column | None, field: pa.Field, rows: int) -> pa.Array:
    if column is None:
        return pa.nulls(rows, field.type)
    if isinstance(column, Values):
        texts = [None if item is None else dump_strict(item) for item in column.items]
        return cast_to_field(TypedColumn(pa.array(texts, pa.large_string()), is_json=True), field)
    return cast_to_field(TypedColumn(as_plain(_chunked(column))), field)


def _chunked(column: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
    return column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
