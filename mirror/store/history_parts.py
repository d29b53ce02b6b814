"""One part of a run's history: an export in Parquet, or rows in W&B's JSON. Columns are read by name, on demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mirror.errors import UnreadableExport
from mirror.records.texts import parse_lenient
from mirror.store.cells import Cells, cells_of, encode, is_present, nothing

STEP = "_step"
_LEAST, _MOST = -(2**63), 2**63


class ExportFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What one export holds, by its own words."""

    rows: int  # with those that have no step
    min_step: int | None  # None: no row has a step
    max_step: int | None
    columns: tuple[str, ...]  # top-level names, `_step` among them


class Part(Protocol):
    """Rows of a history: a step for each, and cells by key."""

    steps: pa.Int64Array  # null where a row has none
    keys: frozenset[str]  # without `_step`

    def read(self, keys: Sequence[str]) -> dict[str, Cells]:
        """Cells of these keys, as many as there are steps; of a key that is not here, absent ones."""
        ...


class ExportPart:
    """A Parquet export.

    Args:
        path: the file.

    Raises:
        UnreadableExport: it is damaged, or no Parquet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = path.name
        self._metadata: pq.FileMetaData | None = None
        try:
            with self._open() as file:  # not kept open: a batch holds more parts than a process may have files
                self._metadata = file.metadata
                self._schema = file.schema_arrow
            self.names: tuple[str, ...] = tuple(self._schema.names)
            self.rows = int(self._metadata.num_rows)
            self.doubled = len(set(self.names)) < len(self.names)  # some name is there twice
            columns = self._columns([STEP])
            self.steps = as_steps(columns[STEP][-1]) if STEP in columns else pa.nulls(self.rows, pa.int64())
        except (pa.ArrowException, OSError, UnicodeDecodeError, RecursionError) as error:
            raise _unreadable(path, error) from error
        self.keys = frozenset(self.names) - {STEP}

    def read(self, keys: Sequence[str]) -> dict[str, Cells]:
        """Cells of these keys.

        Raises:
            UnreadableExport: a page of one of them is damaged.
        """
        try:
            columns = self._columns([key for key in keys if key in self.keys])
            return {
                key: _later_wins([encode(column) for column in columns[key]]) if key in columns else nothing(self.rows)
                for key in keys
            }
        except (pa.ArrowException, OSError, UnicodeDecodeError, RecursionError) as error:
            raise _unreadable(self._path, error) from error

    def arrow(self, keys: Sequence[str]) -> pa.Table:
        """These columns as the export has them, the last one of a name that is there twice.

        Raises:
            UnreadableExport: a page of one of them is damaged.
        """
        try:
            columns = self._columns([key for key in keys if key in self.names])
            return pa.table({key: columns[key][-1] for key in keys if key in columns})
        except (pa.ArrowException, OSError, UnicodeDecodeError, RecursionError) as error:
            raise _unreadable(self._path, error) from error

    def batches(self, keys: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """These columns, some rows at a time, in the export's order. Not for an export with a name twice.

        Raises:
            UnreadableExport: a page is damaged.
        """
        try:
            with self._open() as file:
                for batch in file.iter_batches(batch_size=rows, columns=sorted(set(keys)), use_threads=False):
                    yield batch.select([name for name in batch.schema.names if name in keys])
        except (pa.ArrowException, OSError, UnicodeDecodeError, RecursionError) as error:
            raise _unreadable(self._path, error) from error

    def type_of(self, key: str) -> pa.DataType:
        """The type of a column; of the last one, where a name is there twice."""
        return [field.type for name, field in self._fields() if name == key][-1]

    def _columns(self, keys: Sequence[str]) -> dict[str, list[pa.ChunkedArray]]:
        """Top-level columns by name. pyarrow takes `a.b` for the column of that name, for the member `b` of a struct
        `a`, and `a` for both, so that it reads a few too many; the exact names are picked here."""
        wanted = set(keys)
        if not wanted or self.rows == 0 or not wanted & set(self.names):
            return {name: [pa.chunked_array([], field.type)] for name, field in self._fields() if name in wanted}
        with self._open() as file:
            table = file.read(columns=None if self.doubled else sorted(wanted), use_threads=False)
        found: dict[str, list[pa.ChunkedArray]] = {}
        for index, name in enumerate(table.schema.names):
            if name in wanted:
                found.setdefault(name, []).append(table.column(index))
        return found

    def _fields(self) -> list[tuple[str, pa.Field]]:
        return [(field.name, field) for field in self._schema]

    def _open(self) -> pq.ParquetFile:
        return pq.ParquetFile(self._path, metadata=self._metadata, page_checksum_verification=True, pre_buffer=False)


class RowsPart:
    """Rows as W&B's `history` gives them: one JSON object in a text each. What is no object has no step and no key."""

    def __init__(self, rows: Sequence[str]) -> None:
        parsed = [parse_lenient(row) for row in rows]
        self._rows: list[dict[str, Any]] = [row if isinstance(row, dict) else {} for row in parsed]
        self.rows = len(rows)
        self.steps = pa.array([step_of(row.get(STEP)) for row in self._rows], pa.int64())
        self.keys = frozenset(key for row in self._rows for key in row) - {STEP}

    def values(self, key: str) -> list[Any]:
        """The parsed values of a key; None where a row lacks it."""
        return [row.get(key) for row in self._rows]

    def read(self, keys: Sequence[str]) -> dict[str, Cells]:
        """Cells of these keys."""
        return {key: cells_of([row.get(key) for row in self._rows]) for key in keys}


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


def step_of_row(row: str) -> int | None:
    """The step of a row of W&B's `history`; None when it has none."""
    parsed = parse_lenient(row)
    return step_of(parsed.get(STEP)) if isinstance(parsed, dict) else None


def step_of(value: Any) -> int | None:
    """A step as W&B spells it: an integer, or a float such as `12.0`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not _LEAST <= value < _MOST:  # NaN is neither
        return None
    whole = int(value)
    return whole if _LEAST <= whole < _MOST else None


def as_steps(column: pa.ChunkedArray) -> pa.Int64Array:
    """A column of steps of any numeric type as int64; null for what is no step."""
    array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_uint64(array.type):
        array = pc.if_else(pc.less(array, pa.scalar(_MOST, pa.uint64())), array, pa.scalar(None, pa.uint64()))
    elif pa.types.is_floating(array.type):
        double = array.cast(pa.float64())
        fits = pc.and_(pc.greater_equal(double, float(_LEAST)), pc.less(double, float(_MOST)))
        array = pc.if_else(fits, double, pa.scalar(None, pa.float64()))
    elif not pa.types.is_integer(array.type):
        return pa.nulls(len(array), pa.int64())
    return array.cast(pa.int64(), safe=False)


def _later_wins(columns: list[Cells]) -> Cells:
    """One column from several of the same name."""
    merged = columns[0]
    for later in columns[1:]:
        there = is_present(later)
        if there is None:
            merged = later
        else:
            merged = Cells(pc.if_else(there, later.value, merged.value), pc.if_else(there, later.text, merged.text))
    return merged


def _unreadable(path: Path, error: BaseException) -> UnreadableExport:
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    return UnreadableExport(f"history export {path.name[:16]}… cannot be read: {first_line[:200]}", object=path.name)
