"""A run's system metrics as dictionaries, sampled: one row an instant, with W&B's keys.

The lake holds them as numbers beside their times: `_timestamp` is exact to the microsecond, all other numbers but
integers that no double holds are floats, and W&B's mark `_wandb` is not held.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from mirror.records.operations import RunPath
from mirror.records.texts import parse_lenient
from mirror.store.reader import Reader
from mirror.store.sampling import evenly
from mirror.store.wide_columns import JSON_MARK, tail_column

TIMESTAMP = "_timestamp"
_RUN = "entity = ? AND project = ? AND run_id = ?"
_SPOKEN = frozenset({"NaN", "Infinity", "-Infinity"})


def sample_system_metrics(reader: Reader, run: RunPath, samples: int) -> list[dict[str, Any]]:
    """Rows spread evenly over the instants that are held, the first and the last among them.

    Raises:
        StoreError: the lake cannot be read.
    """
    query = f"SELECT DISTINCT number FROM lake.system_metrics WHERE {_RUN} ORDER BY number"
    numbers = [int(number) for (number,) in reader.rows(query, run)]
    chosen = [numbers[place] for place in evenly(len(numbers), samples)]
    if not chosen:
        return []
    cells = reader.rows(
        f"SELECT number, epoch_us(timestamp), key, value, text FROM lake.system_metrics WHERE {_RUN}"
        " AND number IN (SELECT unnest(?::BIGINT[])) ORDER BY number, key",
        [*run, chosen],
    )
    rows: dict[int, dict[str, Any]] = {}
    for number, micros, key, value, text in cells:
        if number not in rows:
            rows[number] = {} if micros is None else {TIMESTAMP: micros / 1e6}
        rows[number][key] = value if text is None else _exact(text, value)
    return list(rows.values())


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
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
    return value if isinstance(parsed, str) and parsed in _SPOKEN else parsed
