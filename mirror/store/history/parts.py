"""One part of a run's history: an export in Parquet, or rows in W&B's JSON. Columns are read by name, on demand.

What an earlier form of an export's rows had told, its integers above all (`earlier_forms`), is put back here, so that
whoever reads a column sees what was logged.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mirror.errors import UnreadableExport
from mirror.store.history.cells import Cells, cells_of
from mirror.store.history.earlier_forms import EarlierForms, restored, restored_type
from mirror.store.history.nesting import flattened, lookup
from mirror.store.objects.objects import Objects
from mirror.texts.steps import LEAST, MOST, STEP, step_of
from mirror.texts.values import parse_lenient


class ExportFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What one export holds, by its own words."""

    rows: int  # with those that have no step
    min_step: int | None  # None: no row has a step
    max_step: int | None
    columns: tuple[str, ...]  # top-level names, `_step` among them


class Part(Protocol):
    """Rows of a history: a step for each, and cells by key, dictionaries flattened."""

    steps: pa.Int64Array  # null where a row has none

    @property
    def keys(self) -> frozenset[str]:
        """Without `_step`."""
        ...

    def read(self, keys: Sequence[str]) -> dict[str, Cells]:
        """Cells of these keys, as many as there are steps; of a key that is not here, absent ones."""
        ...


class ExportPart:
    """A Parquet export.

    Args:
        path: the file.
        earlier: what earlier forms of its rows had told; None: nothing.

    Raises:
        UnreadableExport: it is damaged, or no Parquet.
    """

    def __init__(self, path: Path, earlier: EarlierForms | None = None) -> None:
        self._path = path
        self.name = path.name
        self._metadata: pq.FileMetaData | None = None
        with self._reading():
            with self._open() as file:  # not kept open: a batch holds more parts than a process may have files
                self._metadata = file.metadata
                schema = file.schema_arrow
                self._spelled = _json_texts(file.schema)
            self.names: tuple[str, ...] = tuple(schema.names)
            self.rows = int(self._metadata.num_rows)
            self.doubled = len(set(self.names)) < len(self.names)  # some name is there twice
            self.earlier = earlier or EarlierForms()
            self._told = self.earlier.by_column(schema)
            self.fields: tuple[tuple[str, pa.DataType], ...] = tuple(
                (field.name, self._type(field.name, field.type)) for field in schema
            )
            self._types = dict(self.fields)  # the last one of a name that is there twice
            columns = self._columns([STEP])
            self.steps = as_steps(columns[STEP][-1]) if STEP in columns else pa.nulls(self.rows, pa.int64())

    def columns(self, names: Collection[str]) -> dict[str, list[pa.ChunkedArray]]:
        """These columns by name; several of one name in their order.

        Raises:
            UnreadableExport: a page of one of them is damaged.
        """
        with self._reading():
            return self._columns(names)

    def arrow(self, names: Collection[str]) -> pa.Table:
        """These columns as the export has them, the last one of a name that is there twice.

        Raises:
            UnreadableExport: a page of one of them is damaged.
        """
        columns = self.columns([name for name in names if name in self._types])
        return pa.table({name: columns[name][-1] for name in names if name in columns})

    def batches(self, names: Collection[str], rows: int) -> Iterator[pa.RecordBatch]:
        """These columns, some rows at a time, in the export's order. Not for an export with a name twice.

        Raises:
            UnreadableExport: a page is damaged.
        """
        first = 0
        with self._reading(), self._open() as file:
            for batch in file.iter_batches(batch_size=rows, columns=sorted(set(names)), use_threads=False):
                chosen = [name for name in batch.schema.names if name in names]
                columns = [self._as_told(name, batch.column(name), first) for name in chosen]
                first += len(batch)
                yield pa.record_batch(columns, names=chosen) if chosen else batch.select([])

    def type_of(self, name: str) -> pa.DataType:
        """The type of a column; of the last one, where a name is there twice."""
        return self._types[name]

    def _columns(self, names: Collection[str]) -> dict[str, list[pa.ChunkedArray]]:
        """Top-level columns by name. pyarrow takes `a.b` for the column of that name, for the member `b` of a struct
        `a`, and `a` for both, so that it reads a few too many; the exact names are picked here."""
        wanted = set(names) & set(self.names)
        if not wanted or self.rows == 0:
            return {
                name: [pa.chunked_array([], kind) for other, kind in self.fields if other == name] for name in wanted
            }
        with self._open() as file:
            table = file.read(columns=None if self.doubled else sorted(wanted), use_threads=False)
        found: dict[str, list[pa.ChunkedArray]] = {}
        for index, name in enumerate(table.schema.names):
            if name in wanted:
                found.setdefault(name, []).append(self._as_told(name, table.column(index)))
        return found

    def _as_told(self, name: str, column: Any, first: int = 0) -> Any:
        """A column from the row `first` on, with what is known of it beside its own type."""
        if name in self._spelled:
            column = column.cast(pa.large_binary())
        told = self._told.get(name)
        return column if told is None else restored(column, told, first)

    def _type(self, name: str, kind: pa.DataType) -> pa.DataType:
        told = self._told.get(name)
        return pa.large_binary() if name in self._spelled else kind if told is None else restored_type(kind, told)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, UnicodeDecodeError, RecursionError) as error:
            raise _unreadable(self._path, error) from error

    def _open(self) -> pq.ParquetFile:
        return pq.ParquetFile(self._path, metadata=self._metadata, page_checksum_verification=True, pre_buffer=False)


class RowsPart:
    """Rows as W&B's `history` gives them: one JSON object in a text each. What is no object has no step and no key."""

    def __init__(self, rows: Sequence[str]) -> None:
        parsed = [parse_lenient(row) for row in rows]
        self.parsed: list[dict[str, Any]] = [row if isinstance(row, dict) else {} for row in parsed]
        self.rows = len(rows)
        self.steps = pa.array([step_of(row.get(STEP)) for row in self.parsed], pa.int64())
        self.names = frozenset[str]().union(*self.parsed) - {STEP}  # as they are spelled

    @cached_property
    def keys(self) -> frozenset[str]:
        """The keys of the rows, dictionaries flattened."""
        return frozenset[str]().union(*self.flat) - {STEP}

    def values(self, key: str, *, as_spelled: bool = False) -> list[Any]:
        """The parsed values of a key; None where a row lacks it.

        Args:
            key: the key.
            as_spelled: only under that very name; else also as a member, or with members that are spelled out.
        """
        return [row.get(key) if as_spelled else lookup(row, key) for row in self.parsed]

    def read(self, keys: Sequence[str]) -> dict[str, Cells]:
        """Cells of these keys."""
        return {key: cells_of(values) for key, values in zip(keys, self._columns(keys), strict=True)}

    def _columns(self, keys: Sequence[str]) -> Iterable[Sequence[Any]]:
        if len(keys) > 1 and self.flat:
            with contextlib.suppress(KeyError):  # most histories have every key in every row
                return list(zip(*map(itemgetter(*keys), self.flat), strict=True))
        return ([row.get(key) for row in self.flat] for key in keys)

    @cached_property
    def flat(self) -> list[dict[str, Any]]:
        """The rows by these keys."""
        return [flattened(row) for row in self.parsed]


def open_export(objects: Objects, digest: str, earlier: str | None = None) -> ExportPart:
    """An export that is an object.

    Args:
        objects: where it is.
        digest: of its bytes.
        earlier: digest of what earlier forms of its rows had told.

    Raises:
        UnreadableExport: it is damaged.
        StoreError: an object is missing.
    """
    if earlier is None:
        return ExportPart(objects.path(digest))
    path = objects.path(earlier)
    try:
        told = EarlierForms.load(path)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error
    return ExportPart(objects.path(digest), told)


def facts_of(path: Path) -> ExportFacts:
    """What an export holds; reads its footer and the column `_step`.

    Raises:
        UnreadableExport: it is damaged, or no Parquet.
    """
    part = ExportPart(path)
    bounds = pc.min_max(part.steps)
    return ExportFacts(
        rows=part.rows, min_step=bounds["min"].as_py(), max_step=bounds["max"].as_py(), columns=part.names
    )


def as_steps(column: pa.ChunkedArray) -> pa.Int64Array:
    """A column of steps of any numeric type as int64; null for what is no step."""
    array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_uint64(array.type):
        array = pc.if_else(pc.less(array, pa.scalar(MOST, pa.uint64())), array, pa.scalar(None, pa.uint64()))
    elif pa.types.is_floating(array.type):
        double = array.cast(pa.float64())
        fits = pc.and_(pc.greater_equal(double, float(LEAST)), pc.less(double, float(MOST)))
        fits = pc.and_(fits, pc.equal(pc.floor(double), double))
        array = pc.if_else(fits, double, pa.scalar(None, pa.float64()))
    elif not pa.types.is_integer(array.type):
        return pa.nulls(len(array), pa.int64())
    return array.cast(pa.int64(), safe=False)


def _json_texts(schema: pq.ParquetSchema) -> frozenset[str]:
    """Columns that Parquet itself calls JSON; Arrow makes texts of them."""
    columns = [schema.column(place) for place in range(len(schema))]
    return frozenset(
        column.path
        for column in columns
        if column.physical_type == "BYTE_ARRAY" and column.path == column.name and column.logical_type.type == "JSON"
    )


def _unreadable(path: Path, error: BaseException) -> UnreadableExport:
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    return UnreadableExport(f"history export {path.name[:16]}… cannot be read: {first_line[:200]}", object=path.name)
