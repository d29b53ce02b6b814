"""A run's system metrics as a wide table: one row an instant, one column a metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from mirror.records.addresses import RunPath
from mirror.store.engine.connection import store_errors
from mirror.store.engine.literals import inlined
from mirror.store.engine.reader import Reader
from mirror.store.history.wide_columns import JSON_MARK
from mirror.store.metrics.events import MARK, SPELLING, spelled
from mirror.store.schema.keys import OF_RUN
from mirror.texts.values import dump_strict

TIMESTAMP = "_timestamp"
BATCH_ROWS = 2_000


def system_history(reader: Reader, run: RunPath, *, keys: Sequence[str] | None = None) -> pa.RecordBatchReader:
    """Read a run's system metrics in the order in which they were measured.

    Args:
        reader: of the home.
        run: entity, project, run id.
        keys: metrics beside `_timestamp`; None for all.

    Returns:
        Batches with `_timestamp` first. A metric that is not always a number holds JSON texts and says so in its
        metadata, `wide_columns.JSON_MARK`.
    """
    query = (
        f"SELECT key, bool_or(text IS NOT NULL AND NOT {SPELLING}) FROM lake.system_metrics"
        f" WHERE {OF_RUN} AND key <> '{MARK}' GROUP BY 1 ORDER BY 1"
    )
    known = dict(reader.rows(query, run))
    chosen = list(known) if keys is None else [key for key in dict.fromkeys(keys) if key != TIMESTAMP]
    fields = [
        pa.field(key, pa.large_string(), metadata=JSON_MARK) if known.get(key) else pa.field(key, pa.float64())
        for key in chosen
    ]
    schema = pa.schema([pa.field(TIMESTAMP, pa.timestamp("us")), *fields])
    return pa.RecordBatchReader.from_batches(schema, _batches(reader, run, chosen, schema))


def _batches(reader: Reader, run: RunPath, keys: Sequence[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    place = {key: index for index, key in enumerate(keys, start=1)}
    is_json = [False, *(field.metadata == JSON_MARK for field in list(schema)[1:])]
    rows: list[list[Any]] = []
    last = None
    query = inlined(
        "SELECT number, timestamp, key, value, text FROM lake.system_metrics"
        f" WHERE {OF_RUN} AND key IN (SELECT unnest(?::VARCHAR[])) ORDER BY number",
        [*run, list(keys)],
    )
    with store_errors(reader.home):
        cursor = reader.fresh_engine().execute(query)
        while chunk := cursor.fetchmany(BATCH_ROWS):
            for number, timestamp, key, value, text in chunk:
                if number != last:
                    if len(rows) >= BATCH_ROWS:
                        yield _batch(rows, schema)
                        rows = []
                    rows.append([timestamp, *[None] * len(keys)])
                    last = number
                index = place[key]
                if is_json[index]:
                    rows[-1][index] = text if text is not None else dump_strict(spelled(value))
                else:
                    rows[-1][index] = value if text is None else float(text)
        if rows:
            yield _batch(rows, schema)


def _batch(rows: list[list[Any]], schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    return pa.record_batch(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )
