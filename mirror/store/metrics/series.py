"""A run's metrics as lines that can be drawn: of each key a bounded number of stretches, however long the run.

A key with few values keeps each of them. One with many is cut into stretches of equal length in steps, and of each the
lowest, the highest and the mean value are taken: a spike of one step is in its stretch's range. Values that are no
finite numbers are counted beside them. A key with a step metric lies along the values of that instead of along steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import msgspec

from mirror.records.addresses import RunPath
from mirror.records.step_metrics import StepMetrics
from mirror.store.engine.reader import Reader
from mirror.store.schema.keys import OF_RUN
from mirror.typed import struct_of

EXACT_POINTS = 320  # values of a key up to which each is kept
STRETCHES = 160  # of a key with more; a chart on a page is about twice as many pixels wide


class KeySpan(msgspec.Struct, frozen=True, kw_only=True):
    """What a key's values span."""

    key: str
    points: int  # values that are numbers, non-finite ones included
    first_step: int | float  # of a key with a step metric: its lowest value
    last_step: int | float
    first: float  # the value at the first step
    last: float
    low: float | None  # of the finite values; None: there is none
    high: float | None
    over: str | None = None  # the step metric; None: steps


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """The values of some neighbouring steps, or of one."""

    first_step: int | float  # that has a value
    last_step: int | float
    low: float | None = None  # of the finite values; None: there is none
    high: float | None = None
    mean: float | None = None
    nan: int = 0  # values that are NaN
    above: int = 0  # values that are Infinity
    below: int = 0  # values that are -Infinity


class MetricSeries(msgspec.Struct, frozen=True, kw_only=True):
    """A key's values, ready to be drawn."""

    span: KeySpan
    stretches: tuple[Stretch, ...]  # in the order of their steps
    low_step: int | float | None = None  # where the lowest finite value was reached first
    high_step: int | float | None = None

    @property
    def is_exact(self) -> bool:
        """Whether each stretch is one value."""
        return len(self.stretches) == self.span.points


_SPANS = f"""
SELECT key, count(*), min(step), max(step), arg_min(value, step), arg_max(value, step),
       min(value) FILTER (isfinite(value)), max(value) FILTER (isfinite(value))
FROM lake.metrics WHERE {OF_RUN} AND value IS NOT NULL GROUP BY key ORDER BY key
"""
# A 1024th of each value is averaged, since the sum of two doubles may be too large for a double.
_STRETCHES = """
WITH spans AS (
    SELECT unnest(?::VARCHAR[]) AS key, unnest(?::DOUBLE[]) AS first_step, unnest(?::DOUBLE[]) AS width,
           unnest(?::DOUBLE[]) AS low, unnest(?::DOUBLE[]) AS high
), held AS (
    SELECT m.key, m.step, m.value, isfinite(m.value) AS is_finite, s.low, s.high,
           CASE WHEN s.width = 0 THEN m.step
                ELSE greatest(0, least({last}, floor((m.step - s.first_step) / s.width)))::BIGINT
           END AS place
    FROM ({values}) m JOIN spans s USING (key)
)
SELECT key, min(step), max(step), min(value) FILTER (is_finite), max(value) FILTER (is_finite),
       avg(value / 1024) FILTER (is_finite) * 1024, count(*) FILTER (isnan(value)),
       count(*) FILTER (value = 'Infinity'::DOUBLE), count(*) FILTER (value = '-Infinity'::DOUBLE),
       min(step) FILTER (value = low), min(step) FILTER (value = high)
FROM held GROUP BY key, place ORDER BY key, min(step)
"""
_PLAIN = f"SELECT key, step, value FROM lake.metrics WHERE {OF_RUN} AND value IS NOT NULL"
# The values of some keys, each at the value that its step metric had then, or last before.
_OVER = f"""
WITH over AS (SELECT unnest(?::VARCHAR[]) AS key, unnest(?::VARCHAR[]) AS axis),
axis AS (
    SELECT key, step, value FROM lake.metrics WHERE {OF_RUN} AND isfinite(value) AND key IN (SELECT axis FROM over)
)
SELECT m.key, a.value AS step, m.value
FROM (SELECT m.key, m.step, m.value, o.axis FROM lake.metrics m JOIN over o USING (key)
      WHERE {OF_RUN} AND m.value IS NOT NULL) m
ASOF JOIN axis a ON a.key = m.axis AND m.step >= a.step
"""
_SPANS_OVER = f"""
SELECT key, count(*), min(step), max(step), arg_min(value, step), arg_max(value, step),
       min(value) FILTER (isfinite(value)), max(value) FILTER (isfinite(value))
FROM ({_OVER}) GROUP BY key
"""


def key_spans(reader: Reader, run: RunPath) -> list[KeySpan]:
    """What each key of a run spans, by key; keys without any number are left out.

    Raises:
        NotMirrored, StoreError: as `Reader.rows`.
    """
    return [struct_of(KeySpan, (*row, None)) for row in reader.rows(_SPANS, run)]


def spans_over(reader: Reader, run: RunPath, spans: Sequence[KeySpan], defined: StepMetrics) -> list[KeySpan]:
    """The same keys, those with a step metric along it; one that has no value there stays along its steps.

    Args:
        reader: of the lake.
        run: whose they are.
        spans: the keys, from `key_spans`.
        defined: the run's step metrics.

    Raises:
        NotMirrored, StoreError: as `Reader.rows`.
    """
    axes = {span.key: axis for span in spans if (axis := defined.of(span.key)) is not None}
    if not axes:
        return list(spans)
    rows = reader.rows(_SPANS_OVER, [list(axes), list(axes.values()), *run, *run])
    found = {row[0]: struct_of(KeySpan, (*row, axes[row[0]])) for row in rows}
    return [found.get(span.key, span) for span in spans]


def metric_series(reader: Reader, run: RunPath, spans: Sequence[KeySpan]) -> list[MetricSeries]:
    """The lines of some keys, in the order in which they are named.

    Args:
        reader: of the lake.
        run: whose they are.
        spans: the keys, from `key_spans`. A key that came to more since then is cut at what was its end.

    Raises:
        NotMirrored, StoreError: as `Reader.rows`.
    """
    found: dict[str, list[tuple[Any, ...]]] = {}
    for over in (False, True):
        chosen = [span for span in spans if (span.over is not None) is over]
        if chosen:
            rows = reader.rows(*_stretches(run, chosen, over=over))
            found |= {key: list(of_key) for key, of_key in groupby(rows, key=lambda row: row[0])}
    return [_series(span, found.get(span.key, ())) for span in spans]


def _stretches(run: RunPath, spans: Sequence[KeySpan], *, over: bool) -> tuple[str, list[Any]]:
    """The query for the stretches of some keys, and its parameters."""
    bounds = [
        [span.key for span in spans],
        [float(span.first_step) for span in spans],
        [_width(span) for span in spans],
        [span.low for span in spans],
        [span.high for span in spans],
    ]
    values = [[span.key for span in spans], [span.over for span in spans], *run, *run] if over else [*run]
    query = _STRETCHES.format(last=STRETCHES - 1, values=_OVER if over else _PLAIN)
    return query, [*bounds, *values]


def _width(span: KeySpan) -> float:
    """Steps in a stretch; 0: each step is one."""
    if span.points <= EXACT_POINTS:
        return 0.0
    return (float(span.last_step) - float(span.first_step)) / STRETCHES


def _series(span: KeySpan, rows: Sequence[tuple[Any, ...]]) -> MetricSeries:
    return MetricSeries(
        span=span,
        stretches=tuple(_stretch(row) for row in rows),
        low_step=_least(row[9] for row in rows),
        high_step=_least(row[10] for row in rows),
    )


def _stretch(row: tuple[Any, ...]) -> Stretch:
    _, first, last, low, high, mean, nan, above, below, _, _ = row
    if mean is not None and not math.isfinite(mean):
        mean = low / 2 + high / 2
    if mean is not None:  # a rounded mean lies between the values that it is of
        mean = min(max(mean, low), high)
    return Stretch(
        first_step=first, last_step=last, low=low, high=high, mean=mean, nan=nan, above=above, below=below
    )  # fmt: skip


def _least(steps: Iterable[int | float | None]) -> int | float | None:
    return min((step for step in steps if step is not None), default=None)
