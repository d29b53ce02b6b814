"""A wide history in the forms in which it leaves the lake: rows of exact JSON texts, plain doubles, a Parquet file.

Batch by batch, so that the length of a history does not matter.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from mirror.durable import sync_file, sync_folder
from mirror.errors import MirrorError, StoreError
from mirror.store.history.cells import encode, json_texts
from mirror.store.history.wide_columns import JSON_MARK
from mirror.texts.nonfinite import NUMBERS
from mirror.texts.values import dump_strict


class Places(Protocol):
    """Over what keys are drawn; `axes` has the one of a run."""

    def of(self, key: str) -> str | None:
        """The metric that a key is drawn over; None: steps."""

    def place(self, key: str, step: float) -> float | None:
        """Where a value of a key lies; None: nowhere."""


class WideRows:
    """A history, read forward once.

    Args:
        reader: from `wide_history` or `system_history`.
        axes: over what its keys are drawn; None: over steps, or times.
    """

    def __init__(self, reader: pa.RecordBatchReader, axes: Places | None = None) -> None:
        self._reader = reader
        self.axes = axes
        self.names: list[str] = list(reader.schema.names)

    def json_rows(self) -> Iterator[tuple[str | None, ...]]:
        """Rows of strict JSON texts, None where a row lacks a key; NaN and infinities are W&B's strings.

        Raises:
            StoreError: an export or a data file is damaged.
        """
        for batch in self._batches():
            columns = [_texts(column, field) for column, field in zip(batch.columns, self._reader.schema, strict=True)]
            yield from zip(*columns, strict=True)

    def points(self) -> Iterator[tuple[float | None, ...]]:
        """Rows of doubles, None where a row lacks a key or holds no number there: what can be drawn.

        Raises:
            StoreError: an export or a data file is damaged.
        """
        for batch in self._batches():
            columns = [
                _doubles(column, field) for column, field in zip(batch.columns, self._reader.schema, strict=True)
            ]
            yield from zip(*columns, strict=True)

    def write_parquet(self, target: Path) -> int:
        """Write all rows to a file, whole or not at all.

        Returns:
            How many rows were written.

        Raises:
            StoreError: an export is damaged, or the file cannot be written; `target` is untouched.
        """
        temporary = target.with_name(f".tmp-{secrets.token_hex(8)}.parquet")
        rows = 0
        try:
            with pq.ParquetWriter(temporary, self._reader.schema, compression="zstd") as writer:
                for batch in self._batches():
                    writer.write_batch(batch)
                    rows += len(batch)
            sync_file(temporary)
            temporary.replace(target)
            sync_folder(target.parent)
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"{target} cannot be written: {error}", hint="check the folder and the disk") from error
        finally:
            temporary.unlink(missing_ok=True)
        return rows

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._reader
        except MirrorError:
            raise
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"an export of this run cannot be read: {error}") from error


def _texts(column: pa.Array, field: pa.Field) -> list[str | None]:
    if field.metadata == JSON_MARK:
        return list(column.to_pylist())
    if pa.types.is_floating(column.type):
        return [
            None if item is None else repr(item) if math.isfinite(item) else dump_strict(item)
            for item in column.to_pylist()
        ]
    return json_texts(column)


def _doubles(column: pa.Array, field: pa.Field) -> list[float | None]:
    if field.metadata == JSON_MARK:
        return [_double(text) for text in column.to_pylist()]
    return list(encode(column).value.to_pylist())


def _double(text: str | None) -> float | None:
    """The number in a JSON text; None where it is something else."""
    try:
        return None if text is None else NUMBERS.get(text.strip('"'), None) or float(text)
    except ValueError:
        return None
