"""A run's system metrics as dictionaries, sampled: one row an instant, with W&B's keys.

`_timestamp` is exact to the microsecond. A number is an integer where it was spelled as one; in a mirror of earlier
versions every whole number is. W&B's mark `_wandb` is there where it was logged, and earlier versions left it out.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter
from typing import Any

import pyarrow as pa

from mirror.records.addresses import RunPath
from mirror.store.engine.reader import Reader
from mirror.store.history.sampling import evenly
from mirror.store.history.wide_columns import JSON_MARK, tail_column
from mirror.store.metrics.events import MARK, spelled
from mirror.store.schema.keys import OF_RUN
from mirror.texts.nonfinite import NUMBERS
from mirror.texts.values import parse_lenient

TIMESTAMP = "_timestamp"


def sample_system_metrics(reader: Reader, run: RunPath, samples: int) -> list[dict[str, Any]]:
    """Rows spread evenly over the instants that are held, the first and the last among them.

    Raises:
        StoreError: the lake cannot be read.
    """
    query = f"SELECT DISTINCT number FROM lake.system_metrics WHERE {OF_RUN} ORDER BY number"
    numbers = [int(number) for (number,) in reader.rows(query, run)]
    chosen = [numbers[place] for place in evenly(len(numbers), samples)]
    if not chosen:
        return []
    cells = reader.rows(
        f"SELECT number, epoch_us(timestamp), key, value, text FROM lake.system_metrics WHERE {OF_RUN}"
        " AND number IN (SELECT unnest(?::BIGINT[])) ORDER BY number, key",
        [*run, chosen],
    )
    times = {number: micros for number, micros, *_ in cells}
    rows: dict[int, dict[str, Any]] = {number: {} for number in times}
    for number, _, key, value, text in cells:
        if key != MARK:
            rows[number][key] = spelled(value) if text is None else _exact(text, value)
    for number, mark in _marks(reader, run, list(rows)).items():
        rows[number][MARK] = mark
    return [
        ({} if times[number] is None else {TIMESTAMP: times[number] / 1e6}) | dict(sorted(row.items()))
        for number, row in rows.items()
    ]


def _marks(reader: Reader, run: RunPath, numbers: list[int]) -> dict[int, Any]:
    """The marks of events by number; a row of the lake holds until the next."""
    query = f"SELECT number, text FROM lake.system_metrics WHERE {OF_RUN} AND key = '{MARK}' ORDER BY number"
    changes = [(int(number), parse_lenient(text)) for number, text in reader.rows(query, run)]
    found: dict[int, Any] = {}
    for number in numbers:
        place = bisect_right(changes, number, key=itemgetter(0))
        if place and changes[place - 1][1] is not None:
            found[number] = changes[place - 1][1]
    return found


def system_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as a table; what has no common type holds JSON texts, as `wide_columns.JSON_MARK` says."""
    columns = {}
    fields = []
    for key in dict.fromkeys(key for row in rows for key in row):
        held = tail_column([row.get(key) for row in rows], beside_numbers=False)
        fields.append(pa.field(key, held.array.type, metadata=JSON_MARK if held.is_json else None))
        columns[key] = held.array
    return pa.table(columns, schema=pa.schema(fields))


def _exact(text: str, value: float | None) -> Any:
    """The value that a text spells; W&B's words for what is not finite are numbers here."""
    parsed = parse_lenient(text)
    return value if isinstance(parsed, str) and parsed in NUMBERS else parsed
