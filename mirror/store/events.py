"""System metrics: W&B's rows of events in long form. They have times, but no step; `number` keeps their order."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from mirror.records.texts import storable
from mirror.store.cells import is_present
from mirror.store.history_parts import RowsPart
from mirror.store.metrics import TIME_KEY, as_times
from mirror.store.rows import TEXT, TIME

# Marks and clocks that W&B adds to every event; the time is a column.
_NOT_METRICS = frozenset({TIME_KEY, "_wandb"})

# Columns and types as `tables.SYSTEM_METRICS` has them.
EVENT_COLUMNS = pa.schema(
    [
        *((name, TEXT) for name in ("entity", "project", "run_id", "key")),
        ("number", pa.int64()),
        ("timestamp", TIME),
        ("value", pa.float64()),
        ("text", TEXT),
    ]
)


def _with_minus_zero(value: pa.Array, text: pa.Array) -> pa.Array:
    """The texts, with one for -0.0: DuckDB, which writes this table, holds it as 0.0 where both are in one file."""
    minus_zero = pc.equal(value.view(pa.int64()), pa.scalar(-(2**63), pa.int64()))
    return pc.if_else(pc.fill_null(minus_zero, False), pa.scalar("-0.0", text.type), text)


def fold_events(run: tuple[str, str, str], rows: Sequence[str]) -> pa.Table:
    """One run's events as rows of `system_metrics`.

    Args:
        run: entity, project, run id.
        rows: exact JSON texts, in the server's order.
    """
    part = RowsPart(rows)
    numbers = pa.array(range(len(rows)), pa.int64())
    times = as_times(part.read([TIME_KEY])[TIME_KEY].value)
    tables = [EVENT_COLUMNS.empty_table()]
    for key in sorted(part.keys - _NOT_METRICS):
        cells = part.read([key])[key]
        there = is_present(cells)
        columns = [numbers, times, cells.value, _with_minus_zero(*cells)]
        kept = columns if there is None else [pc.filter(column, there) for column in columns]
        names = [pa.repeat(pa.scalar(storable(word), TEXT), len(kept[0])) for word in (*run, key)]
        tables.append(pa.table([*names, *kept], schema=EVENT_COLUMNS))
    return pa.concat_tables(tables)
