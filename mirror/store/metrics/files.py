"""Folded histories of a batch of runs as Parquet files of the table `metrics`: sorted by run, key and step.

The order of writes: a file is written under a random name in the table's folder (a crash here leaves a file that no
snapshot names), registered inside the lake's transaction, flushed with its folder by that transaction before COMMIT.
Pages carry checksums, since Parquet readers see no flipped byte without them.
"""

from __future__ import annotations

import collections
import contextlib
import secrets
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from mirror.durable import make_folder
from mirror.errors import StoreError
from mirror.layout import Home
from mirror.records.addresses import RunPath
from mirror.records.texts import storable
from mirror.store.engine.connection import Engine, store_errors
from mirror.store.metrics.fold import SLICE_CELLS, Folded, Slice
from mirror.store.schema.tables import METRICS
from mirror.store.write.rows import ARROW_TYPES

_WORD = pa.dictionary(pa.int32(), pa.string())
# The columns of `metrics`; its names repeat from row to row.
COLUMNS = pa.schema(
    [
        (column.name, _WORD if column.required and column.type == "VARCHAR" else ARROW_TYPES[column.type])
        for column in METRICS.columns
    ]
)
_GROUP_ROWS = 250_000  # rows of a row group
# Rows of a file, unless one run has more. A run that is rebuilt is deleted from its file row by row: that took DuckLake
# 10 s in a file of 4 million rows where a million was deleted before, and 1 s in a file of a million.
_FILE_ROWS = 1_000_000
_WORKERS = 2


class MetricFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of `metrics` that is written but not committed."""

    path: Path
    rows: int


def write_metrics(home: Home, batch: Sequence[tuple[RunPath, Folded]]) -> tuple[MetricFile, ...]:
    """Fold and write a batch of runs.

    Args:
        home: in whose lake the files are to be registered.
        batch: each run once.

    Returns:
        The files, none of them empty; a run is in one of them.

    Raises:
        UnreadableExport: an export is damaged; nothing is left.
        StoreError: the disk is full or failed; nothing is left.
    """
    files: list[MetricFile] = []
    with store_errors(home):
        make_folder(home.metric_data)
        for some in _file_sized(sorted(batch, key=lambda item: item[0])):
            path = home.metric_data / f"fold-{secrets.token_hex(16)}.parquet"
            files.append(MetricFile(path=path, rows=0))
            try:
                rows = _write(path, some)
            except pa.ArrowException as error:
                discard(files)
                raise StoreError(f"the metrics of {len(some)} runs cannot be written: {error}") from error
            except BaseException:
                discard(files)
                raise
            if rows:
                files[-1] = MetricFile(path=path, rows=rows)
            else:
                discard([files.pop()])
    return tuple(files)


def register(engine: Engine, files: Sequence[MetricFile]) -> None:
    """Make files part of `metrics`, inside a transaction."""
    for file in files:
        engine.execute("CALL ducklake_add_data_files('lake', 'metrics', ?)", [str(file.path)])


def discard(files: Iterable[MetricFile]) -> None:
    """Remove files whose transaction was rolled back."""
    for file in files:
        with contextlib.suppress(OSError):
            file.path.unlink()


def _file_sized(batch: Sequence[tuple[RunPath, Folded]]) -> Iterator[list[tuple[RunPath, Folded]]]:
    """The runs in groups of about a file each."""
    group: list[tuple[RunPath, Folded]] = []
    for item in batch:
        if group and sum(folded.cells for _, folded in group) + item[1].cells > _FILE_ROWS:
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def _write(path: Path, batch: Sequence[tuple[RunPath, Folded]]) -> int:
    words = _Words(batch)
    rows = 0
    pending: list[pa.Table] = []
    with contextlib.closing(_writer(path)) as writer:
        for table in _tables(batch, words):
            pending.append(table)
            if sum(len(item) for item in pending) >= _GROUP_ROWS:
                rows += _flush(writer, pending)
        rows += _flush(writer, pending)
    return rows


def _writer(path: Path) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        path, COLUMNS, compression="zstd", compression_level=1, write_page_checksum=True, store_schema=False,
        use_dictionary=["entity", "project", "run_id", "key", "text"],
        column_encoding={"step": "DELTA_BINARY_PACKED", "timestamp": "DELTA_BINARY_PACKED", "value": "PLAIN"},
        write_statistics=["entity", "project", "run_id", "key", "step", "timestamp"],
    )  # fmt: skip


def _flush(writer: pq.ParquetWriter, pending: list[pa.Table]) -> int:
    if not pending:
        return 0
    table = pa.concat_tables(pending)
    pending.clear()
    writer.write_table(table, row_group_size=_GROUP_ROWS)
    return len(table)


def _tables(batch: Sequence[tuple[RunPath, Folded]], words: _Words) -> Iterator[pa.Table]:
    """The runs' rows in order. Small runs are folded ahead in threads, large ones key after key as they are written."""
    ahead: collections.deque[tuple[RunPath, Folded, Future[list[pa.Table]] | None]] = collections.deque()
    waiting = iter(batch)
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="fold") as pool:
        try:
            while True:
                while len(ahead) < 2 * _WORKERS and (item := next(waiting, None)) is not None:
                    run, folded = item
                    small = folded.cells <= SLICE_CELLS
                    ahead.append((run, folded, pool.submit(_fold, run, folded, words) if small else None))
                if not ahead:
                    return
                run, folded, future = ahead.popleft()
                yield from future.result() if future else words.tables(run, folded.slices())
        finally:
            pool.shutdown(cancel_futures=True)


def _fold(run: RunPath, folded: Folded, words: _Words) -> list[pa.Table]:
    return list(words.tables(run, folded.slices()))


class _Words:
    """The texts that repeat in every row, as dictionaries that all row groups of a file share."""

    def __init__(self, batch: Sequence[tuple[RunPath, Folded]]) -> None:
        runs = [[storable(part) for part in run] for run, _ in batch]
        self._run = [_dictionary(run[place] for run in runs) for place in range(3)]
        self._key = _dictionary(storable(key) for _, folded in batch for key in folded.keys)

    def tables(self, run: RunPath, slices: Iterable[Slice]) -> Iterator[pa.Table]:
        """A run's slices as rows of the file, one table for so many rows as a row group has."""
        rows = 0
        waiting: list[Slice] = []
        for item in slices:
            waiting.append(item)
            rows += len(item.step)
            if rows >= _GROUP_ROWS:
                yield self._table(run, waiting)
                rows, waiting = 0, []
        if waiting:
            yield self._table(run, waiting)

    def _table(self, run: RunPath, slices: Sequence[Slice]) -> pa.Table:
        count = sum(len(item.step) for item in slices)
        names = [
            _repeated(dictionary, [(storable(part), count)]) for dictionary, part in zip(self._run, run, strict=True)
        ]
        keys = _repeated(self._key, [(item.key, len(item.step)) for item in slices])
        return pa.table(
            [
                *names,
                keys,
                pa.chunked_array([item.step for item in slices]),
                pa.chunked_array([item.timestamp for item in slices]),
                pa.chunked_array([item.value for item in slices]),
                pa.chunked_array([item.text for item in slices]),
            ],
            schema=COLUMNS,
        )


_Dictionary = tuple[pa.Array, dict[str, int]]  # the words, and the place of each


def _dictionary(words: Iterable[str]) -> _Dictionary:
    distinct = sorted(set(words))
    return pa.array(distinct, pa.string()), {word: place for place, word in enumerate(distinct)}


def _repeated(dictionary: _Dictionary, words: Sequence[tuple[str, int]]) -> pa.Array:
    """Each word so many times; the indices are built as bytes, not cell by cell."""
    array, places = dictionary
    indices = b"".join(places[word].to_bytes(4, "little") * count for word, count in words)
    count = len(indices) // 4
    return pa.DictionaryArray.from_arrays(
        pa.Array.from_buffers(pa.int32(), count, [None, pa.py_buffer(indices)]), array
    )
