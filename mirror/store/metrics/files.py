"""Folded histories of a batch of runs as Parquet files of the table `metrics`: sorted by key, run and step.

A row group holds one key, or a few with little in them, so that a query for one key over all runs skips the rest.
Whoever wants all of one run reads its exports instead (`history`).

The order of writes: a file is written under a random name in the table's folder (a crash here leaves a file that no
snapshot names), registered inside the lake's transaction, flushed with its folder by that transaction before COMMIT.
Pages carry checksums, since Parquet readers see no flipped byte without them.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from mirror.durable import make_folder
from mirror.errors import StoreError
from mirror.layout import Home
from mirror.records.addresses import RunPath
from mirror.store.engine.connection import Engine, store_errors
from mirror.store.engine.storage import Storage
from mirror.store.engine.storages import storage_of
from mirror.store.metrics.fold import Folded, Slice
from mirror.store.schema.tables import METRICS
from mirror.store.write.rows import ARROW_TYPES
from mirror.texts.values import storable

_WORD = pa.dictionary(pa.int32(), pa.string())
# The columns of `metrics`; its names repeat from row to row. What is never null is written in two thirds of the time.
COLUMNS = pa.schema(
    [
        pa.field(
            column.name,
            _WORD if column.required and column.type == "VARCHAR" else ARROW_TYPES[column.type],
            nullable=not column.required,
        )
        for column in METRICS.columns
    ]
)
GROUP_ROWS = 50_000  # rows of a row group are about as many, unless one key has more
_LONGEST_GROUP = 250_000
# Rows of a file, unless one run has more. A run that is rebuilt is deleted from its file row by row: that took DuckLake
# 10 s in a file of 4 million rows where a million was deleted before, and 1 s in a file of a million.
_FILE_ROWS = 1_000_000
_WORKERS = 2
_DELTAS = "DELTA_BINARY_PACKED"


class MetricFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of `metrics` that is written but not committed."""

    address: str  # for DuckLake
    rows: int

    @property
    def name(self) -> str:
        """In the folder of the table."""
        return self.address.replace("\\", "/").rpartition("/")[2]


def write_metrics(
    home: Home, batch: Sequence[tuple[RunPath, Folded]], storage: Storage | None = None
) -> tuple[MetricFile, ...]:
    """Fold and write a batch of runs.

    Args:
        home: in whose lake the files are to be registered.
        batch: each run once.
        storage: of that lake, where it is known.

    Returns:
        The files, none of them empty; a run is in one of them.

    Raises:
        UnreadableExport: an export is damaged; nothing is left.
        StoreError: the disk is full or failed; nothing is left.
    """
    storage = storage or storage_of(home)
    files: list[MetricFile] = []
    with store_errors(home):
        make_folder(storage.metrics_folder)
        for some in _file_sized(sorted(batch, key=lambda item: item[0])):
            path = storage.metrics_folder / f"fold-{secrets.token_hex(16)}.parquet"
            try:
                rows = _write(path, some)
                if rows:
                    files.append(MetricFile(address=storage.place_metrics(path), rows=rows))
                else:
                    path.unlink()
            except BaseException as error:
                with contextlib.suppress(OSError):
                    path.unlink()
                remove_uncommitted(storage, files)
                if isinstance(error, pa.ArrowException):
                    raise StoreError(f"the metrics of {len(some)} runs cannot be written: {error}") from error
                raise
    return tuple(files)


def register(engine: Engine, files: Sequence[MetricFile]) -> None:
    """Make files part of `metrics`, inside a transaction."""
    for file in files:
        engine.execute("CALL ducklake_add_data_files('lake', 'metrics', ?)", [file.address])


def remove_uncommitted(storage: Storage, files: Iterable[MetricFile]) -> None:
    """Remove files whose transaction was rolled back."""
    for file in files:
        with contextlib.suppress(OSError, StoreError):
            storage.remove_metrics(file.name)


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
    pending: list[tuple[RunPath, Slice]] = []
    waiting = 0
    with contextlib.closing(_writer(path)) as writer:
        for key in _by_key(batch):
            count = sum(len(item.step) for _, item in key)
            if pending and waiting + count > GROUP_ROWS:
                writer.write_table(words.table(pending), row_group_size=_LONGEST_GROUP)
                pending, waiting = [], 0
            pending += key
            waiting += count
            rows += count
        if pending:
            writer.write_table(words.table(pending), row_group_size=_LONGEST_GROUP)
    return rows


def _writer(path: Path) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        path, COLUMNS, compression="zstd", compression_level=1, write_page_checksum=True, store_schema=False,
        use_dictionary=["entity", "project", "run_id", "key", "text"],
        column_encoding={"step": _DELTAS, "timestamp": _DELTAS, "value": "BYTE_STREAM_SPLIT"},
        write_statistics=["entity", "project", "run_id", "key", "step", "timestamp"],
    )  # fmt: skip


def _by_key(batch: Sequence[tuple[RunPath, Folded]]) -> Iterator[list[tuple[RunPath, Slice]]]:
    """The slices of one key after the other, those of a key by run.

    Runs that share a file are folded whole, in threads. One that is too long for that has its file for itself.
    """
    if len(batch) == 1:
        ((run, folded),) = batch
        yield from ([(run, item)] for item in folded.slices())
        return
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="fold") as pool:
        folds = list(pool.map(lambda item: list(item[1].slices()), batch))
    found: dict[str, list[tuple[RunPath, Slice]]] = {}
    for (run, _), slices in zip(batch, folds, strict=True):
        for item in slices:
            found.setdefault(item.key, []).append((run, item))
    for key in sorted(found):
        yield found.pop(key)


class _Words:
    """The texts that repeat in every row, as dictionaries that all row groups of a file share."""

    def __init__(self, batch: Sequence[tuple[RunPath, Folded]]) -> None:
        runs = [[storable(part) for part in run] for run, _ in batch]
        self._run = [_dictionary(run[place] for run in runs) for place in range(3)]
        self._key = _dictionary(storable(key) for _, folded in batch for key in folded.keys)

    def table(self, slices: Sequence[tuple[RunPath, Slice]]) -> pa.Table:
        """Slices as rows of the file."""
        names = [
            _repeated(dictionary, [(storable(run[place]), len(item.step)) for run, item in slices])
            for place, dictionary in enumerate(self._run)
        ]
        keys = _repeated(self._key, [(item.key, len(item.step)) for _, item in slices])
        return pa.table(
            [
                *names,
                keys,
                pa.chunked_array([item.step for _, item in slices]),
                pa.chunked_array([item.timestamp for _, item in slices]),
                pa.chunked_array([item.value for _, item in slices]),
                pa.chunked_array([item.text for _, item in slices]),
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
