"""A line plot in a terminal: braille dots, an axis with its bounds, gaps where a value is no number."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

import msgspec

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # bit of each dot of a cell, by row and column
BLANK = 0x2800


class Series(msgspec.Struct, kw_only=True):
    """The points of one key, in the order of their steps."""

    name: str
    steps: array[float] = msgspec.field(default_factory=lambda: array("d"))
    values: array[float] = msgspec.field(default_factory=lambda: array("d"))  # NaN and infinities are gaps

    def add(self, step: float, value: float) -> None:
        """One more point."""
        self.steps.append(step)
        self.values.append(value)


def draw(series: Series, *, width: int, height: int) -> list[str]:
    """One key as lines of text: a title, the plot with its axis, the steps below.

    Args:
        series: at least one point.
        width: columns in all.
        height: rows of the plot itself, without title and steps.
    """
    finite = [value for value in series.values if math.isfinite(value)]
    if not finite:
        return [f"{series.name}: {len(series.values):,} points, none of them a finite number"]
    low, high = min(finite), max(finite)
    labels = _labels(low, high, height)
    margin = max(map(len, labels.values()))
    canvas = Canvas(columns=max(8, width - margin - 2), rows=height)
    _trace(series, canvas, low, high)
    lines = [_title(series, finite)]
    for row, cells in enumerate(canvas.text()):
        mark = "┤" if row in labels else "│"
        lines.append(f"{labels.get(row, ''):>{margin}} {mark}{cells}".rstrip())
    first, last = f"{series.steps[0]:.0f}", f"{series.steps[-1]:.0f}"
    lines.append(f"{'':{margin}} └{'─' * canvas.columns}")
    lines.append(f"{'':{margin}}  {first}{last:>{max(1, canvas.columns - len(first))}}")
    return lines


def _labels(low: float, high: float, height: int) -> dict[int, str]:
    """What stands beside the first, the middle and the last row, with as many digits as tell them apart."""
    middle = height // 2
    share = middle / (height - 1)
    marks = {0: high, middle: high * (1 - share) + low * share, height - 1: low}
    digits = next((count for count in range(4, 17) if f"{low:.{count}g}" != f"{high:.{count}g}"), 4)
    return {row: f"{value:.{digits}g}" for row, value in marks.items()}


class Canvas:
    """Dots, two by four in each character."""

    def __init__(self, *, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._cells = [[0] * columns for _ in range(rows)]

    def dot(self, x: int, y: int) -> None:
        """Set a dot, counted from the upper left."""
        self._cells[y // 4][x // 2] |= DOTS[y % 4][x % 2]

    def text(self) -> list[str]:
        """The rows as characters; what is empty is a space."""
        return ["".join(chr(BLANK | cell) if cell else " " for cell in row) for row in self._cells]


def _trace(series: Series, canvas: Canvas, low: float, high: float) -> None:
    """Join the points of each column of dots; a value that is no number leaves a gap."""
    wide, tall = canvas.columns * 2 - 1, canvas.rows * 4 - 1
    first, span = series.steps[0], series.steps[-1] - series.steps[0]
    before: tuple[int, int] | None = None
    for step, value in zip(series.steps, series.values, strict=True):
        if not math.isfinite(value):
            before = None
            continue
        x = round((step - first) / span * wide) if span else wide // 2
        y = tall - round(_share(value, low, high) * tall)
        _line(canvas, before or (x, y), (x, y))
        before = (x, y)


def _share(value: float, low: float, high: float) -> float:
    """How far up a value lies, 0 to 1; halved first, since the span of two doubles may overflow."""
    span = high / 2 - low / 2
    return (value / 2 - low / 2) / span if span else 0.5


def _line(canvas: Canvas, start: tuple[int, int], end: tuple[int, int]) -> None:
    """All dots from one to the other."""
    (x0, y0), (x1, y1) = start, end
    length = max(abs(x1 - x0), abs(y1 - y0), 1)
    for place in range(length + 1):
        canvas.dot(x0 + round((x1 - x0) * place / length), y0 + round((y1 - y0) * place / length))


def _title(series: Series, finite: Sequence[float]) -> str:
    values = series.values
    low, high = min(finite), max(finite)
    at_low, at_high = series.steps[values.index(low)], series.steps[values.index(high)]
    parts = [
        f"min {short(low)} at {at_low:.0f}",
        f"max {short(high)} at {at_high:.0f}",
        f"last {short(values[-1])}",
    ]
    odd = len(values) - len(finite)
    if odd:
        parts.append(f"{odd:,} not finite")
    return f"{series.name}  ({', '.join(parts)}; {len(values):,} points)"


def short(value: float) -> str:
    """A number as an axis shows it."""
    return f"{value:.4g}" if math.isfinite(value) else str(value).replace("inf", "Infinity").replace("nan", "NaN")
