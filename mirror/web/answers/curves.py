"""Metrics as lines, and how much of a figure each column explains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mirror.errors import ConfigError
from mirror.gateway.context import RequestContext
from mirror.store.metrics.curves import STEP, Wanted, bands, curves_of_system
from mirror.store.metrics.curves import curves as lines_of
from mirror.texts.values import dump_strict
from mirror.web.answers.runs import columns, listed, runs
from mirror.web.asked import Asked

MOST_RUNS = 200  # of one answer
MOST_GROUPED = 1_000
_EXPLAINED_BY = 2_000  # runs of which the share is computed
_BINS = 8  # of a number


def curves(ctx: RequestContext, asked: Asked) -> dict[str, Any]:
    """A metric of some runs, or of groups of them, reduced to what a screen shows."""
    wanted = _wanted(asked)
    if asked.has("groups"):
        groups = asked.json("groups", dict[str, list[str]], {})
        if sum(map(len, groups.values())) > MOST_GROUPED:
            raise ConfigError(f"at most {MOST_GROUPED:,} runs are drawn together", hint="narrow them by a filter")
        lines: Any = bands(ctx.lake, wanted, groups)
    else:
        ids = asked.json("runs", list[str], [])
        if len(ids) > MOST_RUNS:
            raise ConfigError(f"at most {MOST_RUNS} lines are drawn together", hint="group the runs, or choose fewer")
        lines = lines_of(ctx.lake, wanted, ids)
    return {"key": wanted.key, "x": wanted.axis, "lines": lines}


def system(ctx: RequestContext, asked: Asked) -> dict[str, Any]:
    """A system metric of a run, along the seconds since its first."""
    path = asked.run()
    wanted = Wanted(project=path.key, key=asked.text("key"), points=asked.count("points", 500, 500))
    return {"key": wanted.key, "x": "seconds", "lines": curves_of_system(ctx.lake, wanted, path.run_id)}


def importance(ctx: RequestContext, asked: Asked) -> dict[str, Any]:
    """How much of the variance of a figure each key of the config explains, among the runs that a filter keeps."""
    target = asked.text("target")
    if not target:
        raise ConfigError("target names the figure, such as summary.loss")
    ids = listed(ctx, asked).run_ids
    known = columns(ctx, asked)["columns"]
    names = [column.name for column in known if column.kind == "config" and not column.same][:100]
    window = Asked(
        {
            "project": asked.text("project"), "filters": asked.text("filters"), "search": asked.text("search"),
            "columns": dump_strict([target, *names]), "limit": str(_EXPLAINED_BY),
        }
    )  # fmt: skip
    rows = [row["cells"] for row in runs(ctx, window)["rows"]]
    rows = [row for row in rows if _is_number(row[0])]
    figures = [float(row[0]) for row in rows]
    found = []
    for place, name in enumerate(names, start=1):
        values = [row[place] for row in rows]
        if (share := explained(values, figures)) is not None:
            found.append(
                {"column": name, "importance": share, "correlation": correlation(values, figures), "runs": len(rows)}
            )
    found.sort(key=lambda one: -float(one["importance"]))
    return {"target": target, "runs": len(rows), "matching": len(ids), "columns": found}


def explained(values: Sequence[Any], figures: Sequence[float]) -> float | None:
    """The share of the figures' variance that lies between groups of values, from 0 to 1, adjusted for the number of
    groups (epsilon squared); None where there is nothing to tell. Numbers are grouped by their quantiles.
    """
    labels = _labels(values)
    groups: dict[Any, list[float]] = {}
    for label, figure in zip(labels, figures, strict=True):
        groups.setdefault(label, []).append(figure)
    count, kinds = len(figures), len(groups)
    if kinds < 2 or count <= kinds:
        return None
    mean = math.fsum(figures) / count
    total = math.fsum((figure - mean) ** 2 for figure in figures)
    if not total or not math.isfinite(total):
        return None
    within = math.fsum(
        (figure - math.fsum(members) / len(members)) ** 2 for members in groups.values() for figure in members
    )
    share = 1 - (within / (count - kinds)) / (total / (count - 1))
    return round(min(1.0, max(0.0, share)), 4)


def correlation(values: Sequence[Any], figures: Sequence[float]) -> float | None:
    """Pearson's correlation of numbers with the figures; None where they are none."""
    pairs = [(float(value), figure) for value, figure in zip(values, figures, strict=True) if _is_number(value)]
    if len(pairs) < 3 or len(pairs) < len(values) / 2:
        return None
    means = [math.fsum(side) / len(pairs) for side in zip(*pairs, strict=True)]
    xs, ys = ([one[side] - means[side] for one in pairs] for side in (0, 1))
    size = math.sqrt(math.fsum(x * x for x in xs)) * math.sqrt(math.fsum(y * y for y in ys))
    if not size or not math.isfinite(size):
        return None
    return round(math.fsum(x * y for x, y in zip(xs, ys, strict=True)) / size, 4)


def _labels(values: Sequence[Any]) -> list[Any]:
    """What groups each value: its quantile for numbers of which there are many, else itself."""
    numbers = sorted({float(value) for value in values if _is_number(value)})
    if len(numbers) <= _BINS:
        return [dump_strict(value) for value in values]
    edges = [numbers[len(numbers) * place // _BINS] for place in range(1, _BINS)]
    return [sum(value >= edge for edge in edges) if _is_number(value) else dump_strict(value) for value in values]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _wanted(asked: Asked) -> Wanted:
    key = asked.text("key")
    if not key:
        raise ConfigError("key names a metric")
    return Wanted(
        project=asked.project(), key=key, axis=asked.text("x") or STEP, start=asked.number("from"),
        end=asked.number("to"), points=asked.count("points", 500, 500),
    )  # fmt: skip
