"""System metrics: W&B's rows of events in long form. They have times, but no step; `number` keeps their order.

A whole number without a text is an integer: W&B's own client writes no others. One that was spelled as a float has its
text, `2.0`, beside the value; so has -0.0, whose sign DuckDB loses. W&B's mark `_wandb` is the same in all events of
almost every run: it has a row, whose value is the text alone, where it is another than in the event before.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mirror.records.addresses import RunPath
from mirror.store.history.cells import is_present
from mirror.store.history.parts import RowsPart
from mirror.store.metrics.fold import TIME_KEY, as_times
from mirror.store.schema.tables import SYSTEM_METRICS
from mirror.store.write.rows import TEXT, arrow_schema
from mirror.texts.values import dump_strict, storable

MARK = "_wandb"
_NOT_METRICS = frozenset({TIME_KEY, MARK})  # the time is a column
# SQL: a text that says how the number beside it was spelled, and nothing else.
# Without a question mark, which stands for a value in queries of ours.
SPELLING = "(value IS NOT NULL AND regexp_full_match(text, '-{0,1}[0-9]+([.][0-9]+(e[+][0-9]+){0,1}|e[+][0-9]+)'))"


def fold_events(run: RunPath, rows: Sequence[str], first: int = 0) -> pa.Table:
    """One run's events as rows of `system_metrics`.

    Args:
        run: entity, project, run id.
        rows: exact JSON texts, in the server's order.
        first: number of the first of them.
    """
    part = RowsPart(rows)
    numbers = pa.array(range(first, first + len(rows)), pa.int64())
    times = as_times(part.read([TIME_KEY])[TIME_KEY].value)
    tables = [arrow_schema(SYSTEM_METRICS).empty_table()]
    for key in sorted(part.keys - _NOT_METRICS):
        cells = part.read([key])[key]
        there = is_present(cells)
        columns = [numbers, times, cells.value, _spelled([row.get(key) for row in part.flat], cells.text)]
        kept = columns if there is None else [pc.filter(column, there) for column in columns]
        names = [pa.repeat(pa.scalar(storable(word), TEXT), len(kept[0])) for word in (*run, key)]
        tables.append(pa.table([*names, *kept], schema=arrow_schema(SYSTEM_METRICS)))
    tables.append(_marks(run, part, numbers, times))
    return pa.concat_tables(tables)


def spelled(value: Any) -> Any:
    """A value without a text as it was spelled: what is whole is an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _spelled(values: Sequence[Any], text: pa.Array) -> pa.Array:
    """The texts, with those of whole floats."""
    whole = [json.dumps(value) if isinstance(value, float) and value.is_integer() else None for value in values]
    return pc.coalesce(text, pa.array(whole, text.type))


def _marks(run: RunPath, part: RowsPart, numbers: pa.Array, times: pa.Array) -> pa.Table:
    """A row for each event whose mark is another than that of the event before."""
    before: str | None = None
    found: list[tuple[int, str]] = []
    for place, row in enumerate(part.parsed):
        mark = dump_strict(row[MARK]) if row.get(MARK) is not None else None
        if mark != before:
            found.append((place, mark or "null"))
            before = mark
    places = pa.array([place for place, _ in found], pa.int64())
    names = [pa.repeat(pa.scalar(storable(word), TEXT), len(found)) for word in (*run, MARK)]
    columns = [*names, numbers.take(places), times.take(places), pa.nulls(len(found), pa.float64())]
    return pa.table([*columns, pa.array([text for _, text in found], TEXT)], schema=arrow_schema(SYSTEM_METRICS))
