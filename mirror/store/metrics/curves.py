"""One metric of many runs as lines of a bounded number of points, for drawing.

A line with many values is cut into stretches of equal length along the axis, and of each the first, the lowest, the
highest and the last value are kept: drawn in as many pixels, it looks as the whole would. Values that are no finite
numbers are left out and counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec

from mirror.records.addresses import RunPath
from mirror.store.engine.queries import Queryable
from mirror.store.schema.keys import OF_RUN, OF_RUNS

MOST_POINTS = 2_000  # of a line
STEP = "_step"


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """The line of one run."""

    run: str
    x: list[float]
    y: list[float]
    count: int  # finite values that it was made of
    odd: int  # values that are NaN or infinite
    reduced: bool  # whether values were left out


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """The lines of a group of runs as one: of the runs' means in each stretch the mean and the range."""

    group: str
    runs: int  # that have a value
    x: list[float]
    mean: list[float]
    low: list[float]
    high: list[float]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which values."""

    project: tuple[str, str]
    key: str
    axis: str = STEP  # `_step`, or the key of another metric
    start: float | None = None  # on the axis
    end: float | None = None
    points: int = 500  # stretches of a line

    @property
    def stretches(self) -> int:
        """How many a line is cut into; four values are kept of each."""
        return max(1, min(self.points, MOST_POINTS // 4))


def curves(lake: Queryable, wanted: Wanted, runs: Sequence[str]) -> list[Curve]:
    """The lines of some runs, in their order; runs without a value are left out.

    Raises:
        NotMirrored, StoreError: as `Queryable.rows`.
    """
    values, parameters = _values(wanted, runs)
    spans = lake.rows(_SPANS.format(values=values), parameters)
    if not spans:
        return []
    low, high = min(span[1] for span in spans), max(span[2] for span in spans)
    short = [run for run, _, _, count, _ in spans if count <= MOST_POINTS]
    width = (high - low) / wanted.stretches
    lines: dict[str, tuple[list[float], list[float]]] = {}
    if short:
        values, parameters = _values(wanted, short)
        for run, rows in groupby(lake.rows(_EACH.format(values=values), parameters), key=itemgetter(0)):
            lines[run] = _columns((x, y) for _, x, y in rows)
    if long := [run for run, _, _, count, _ in spans if count > MOST_POINTS]:
        values, parameters = _values(wanted, long)
        reduced = lake.rows(
            _REDUCED.format(values=values), [*parameters, float(low), float(width), wanted.stretches - 1]
        )
        for run, of_run in groupby(reduced, key=itemgetter(0)):
            lines[run] = _columns(_four(of_run))
    by_run = {
        run: Curve(run=run, x=lines[run][0], y=lines[run][1], count=count, odd=odd, reduced=count > MOST_POINTS)
        for run, _, _, count, odd in spans
        if run in lines
    }
    return [by_run[run] for run in runs if run in by_run]


def bands(lake: Queryable, wanted: Wanted, groups: Mapping[str, Sequence[str]]) -> list[Band]:
    """The lines of some groups of runs, in their order; groups without a value are left out.

    Raises:
        NotMirrored, StoreError: as `Queryable.rows`.
    """
    names = [name for name, members in groups.items() for _ in members]
    runs = [run for members in groups.values() for run in members]
    values, parameters = _values(wanted, list(dict.fromkeys(runs)))
    rows = lake.rows(_BANDS.format(values=values), [*parameters, names, runs, wanted.stretches])
    found = {
        name: Band(group=name, runs=of_group[0][1], **dict(zip(("x", "mean", "low", "high"), columns, strict=True)))
        for name, members in groupby(rows, key=itemgetter(0))
        if (of_group := list(members)) and (columns := [list(column) for column in zip(*of_group, strict=True)][2:])
    }
    return [found[name] for name in groups if name in found]


def keys_with_numbers(lake: Queryable, project: tuple[str, str], runs: Sequence[str]) -> list[tuple[str, int]]:
    """The keys of some runs' histories that hold numbers, and how many of the runs have each."""
    rows = lake.rows(
        f"SELECT key, count(DISTINCT run_id) FROM lake.metrics WHERE {OF_RUNS} AND value IS NOT NULL GROUP BY key",
        [*project, list(runs)],
    )
    return [(key, count) for key, count in rows]


def system_keys(lake: Queryable, run: RunPath) -> list[str]:
    """The system metrics of a run that hold numbers."""
    rows = lake.rows(
        f"SELECT DISTINCT key FROM lake.system_metrics WHERE {OF_RUN} AND value IS NOT NULL AND key LIKE 'system.%'",
        run,
    )
    return [key for (key,) in rows]


def curves_of_system(lake: Queryable, wanted: Wanted, run: str) -> list[Curve]:
    """The line of a system metric of a run, along the seconds since its first one."""
    values = (
        "SELECT run_id, epoch_us(timestamp) / 1e6 - (SELECT min(epoch_us(timestamp)) / 1e6 FROM lake.system_metrics"
        f" WHERE {OF_RUNS}) AS x, value AS y FROM lake.system_metrics"
        f" WHERE {OF_RUNS} AND key = ? AND value IS NOT NULL AND timestamp IS NOT NULL"
    )
    parameters = [*wanted.project, [run], *wanted.project, [run], wanted.key]
    spans = lake.rows(_SPANS.format(values=values), parameters)
    if not spans:
        return []
    ((_, low, high, count, odd),) = spans
    if count <= MOST_POINTS:
        x, y = _columns(row[1:] for row in lake.rows(_EACH.format(values=values), parameters))
    else:
        width = (high - low) / wanted.stretches
        rows = lake.rows(_REDUCED.format(values=values), [*parameters, float(low), float(width), wanted.stretches - 1])
        x, y = _columns(_four(rows))
    return [Curve(run=run, x=x, y=y, count=count, odd=odd, reduced=count > MOST_POINTS)]


_SPANS = """
SELECT run_id, min(x) FILTER (isfinite(y)), max(x) FILTER (isfinite(y)), count(*) FILTER (isfinite(y)),
       count(*) FILTER (NOT isfinite(y))
FROM ({values}) GROUP BY run_id HAVING count(*) FILTER (isfinite(y)) > 0
"""
_EACH = "SELECT run_id, x, y FROM ({values}) WHERE isfinite(y) ORDER BY run_id, x"
_REDUCED = """
WITH held AS (SELECT run_id, x::DOUBLE AS x, y FROM ({values}) WHERE isfinite(y)),
placed AS (
    SELECT *, CASE WHEN s.width = 0 THEN 0 ELSE least(s.last, floor((x - s.low) / s.width)) END AS place
    FROM held, (SELECT ? AS low, ? AS width, ? AS last) s
)
SELECT run_id, min(x), arg_min(y, x), arg_min(x, y), min(y), arg_max(x, y), max(y), max(x), arg_max(y, x)
FROM placed GROUP BY run_id, place ORDER BY run_id, min(x)
"""
# Runs that log at other steps than their neighbours count by their mean in a stretch; one of few steps is its steps.
_BANDS = """
WITH held AS (SELECT run_id, x::DOUBLE AS x, y FROM ({values}) WHERE isfinite(y)),
grouped AS (SELECT unnest(?::VARCHAR[]) AS name, unnest(?::VARCHAR[]) AS run_id),
bounds AS (SELECT min(x) AS low, (max(x) - min(x)) / n AS width, n FROM held, (SELECT ?::INTEGER AS n) GROUP BY n),
means AS (
    SELECT name, run_id, CASE WHEN b.width = 0 THEN 0 ELSE least(n - 1, floor((x - b.low) / b.width)) END AS place,
           avg(x) AS x, avg(y / 1024) * 1024 AS y
    FROM held JOIN grouped USING (run_id), bounds b GROUP BY ALL
),
counts AS (SELECT name, count(DISTINCT run_id) AS runs FROM means GROUP BY name)
SELECT name, any_value(runs), avg(x), avg(y / 1024) * 1024, min(y), max(y)
FROM means JOIN counts USING (name) GROUP BY name, place ORDER BY name, avg(x)
"""
_ALONG_STEPS = (
    f"SELECT run_id, step AS x, value AS y FROM lake.metrics WHERE {OF_RUNS} AND key = ? AND value IS NOT NULL"
)
# Each value at what the axis had at its step, or last before.
_ALONG = f"""
SELECT m.run_id, a.value AS x, m.value AS y
FROM (SELECT run_id, step, value FROM lake.metrics WHERE {OF_RUNS} AND key = ? AND value IS NOT NULL) m
ASOF JOIN (SELECT run_id, step, value FROM lake.metrics WHERE {OF_RUNS} AND key = ? AND isfinite(value)) a
ON m.run_id = a.run_id AND m.step >= a.step
"""


def _values(wanted: Wanted, runs: Sequence[str]) -> tuple[str, list[Any]]:
    """The wanted values as a relation with the columns `run_id`, `x` and `y`, and its parameters."""
    parameters: list[Any] = [*wanted.project, list(runs), wanted.key]
    text = _ALONG_STEPS
    if wanted.axis != STEP:
        text = _ALONG
        parameters += [*wanted.project, list(runs), wanted.axis]
    bounds = [(sign, bound) for sign, bound in ((">=", wanted.start), ("<=", wanted.end)) if bound is not None]
    if bounds:
        text = f"SELECT * FROM ({text}) WHERE {' AND '.join(f'x {sign} ?' for sign, _ in bounds)}"
        parameters += [float(bound) for _, bound in bounds]
    return text, parameters


def _four(rows: Iterable[tuple[Any, ...]]) -> Iterable[tuple[float, float]]:
    """The points of stretches: of each the first, the lowest, the highest and the last value, once each."""
    for _, *values in rows:
        points = list(zip(values[::2], values[1::2], strict=True))
        yield from sorted(set(points))


def _columns(points: Iterable[tuple[Any, Any]]) -> tuple[list[float], list[float]]:
    x: list[float] = []
    y: list[float] = []
    for at, value in points:
        if math.isfinite(at):
            x.append(at)
            y.append(value)
    return x, y
