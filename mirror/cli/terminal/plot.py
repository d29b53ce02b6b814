"""Line plots in a terminal: braille dots, an axis with its bounds, gaps where a value has no place on it.

Pure: series in, lines out. Lines of several series are pieces that know whose they are, so that whoever prints them
colours them; where nothing can be coloured, each series has a letter.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # bit of each dot of a cell, by row and column
BLANK = 0x2800
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

Piece = tuple[str, int | None]  # a text, and the place of the series that it belongs to


class Series(msgspec.Struct, kw_only=True):
    """The points of one key, in the order of their steps."""

    name: str
    steps: array[float] = msgspec.field(default_factory=lambda: array("d"))
    values: array[float] = msgspec.field(default_factory=lambda: array("d"))  # NaN and infinities are gaps

    def add(self, step: float, value: float) -> None:
        """One more point."""
        self.steps.append(step)
        self.values.append(value)


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """The values from the lowest to the highest row."""

    low: float
    high: float
    log: bool = False

    def share(self, value: float) -> float:
        """How far up a value lies, 0 to 1; halved first, since the span of two doubles may overflow."""
        low, high, place = [math.log10(one) if self.log else one / 2 for one in (self.low, self.high, value)]
        return (place - low) / (high - low) if high > low else 0.5

    def at(self, share: float) -> float:
        """The value that lies so far up."""
        if self.log:
            between = float(self.low ** (1 - share) * self.high**share)
            return min(max(between, self.low), self.high)  # which rounding leaves
        return self.low * (1 - share) + self.high * share


def draw(series: Series, *, width: int, height: int, log: bool = False) -> list[str]:
    """One key as lines of text: a title, the plot with its axis, the steps below.

    Args:
        series: at least one point.
        width: columns in all.
        height: rows of the plot itself, without title and steps.
        log: the axis of the values is logarithmic; what is not above 0 is a gap.
    """
    lines = draw_over([series], width=width, height=height, log=log)
    return [describe(series, log=log), *("".join(text for text, _ in line) for line in lines)]


def draw_over(
    series: Sequence[Series], *, width: int, height: int, log: bool = False, letters: bool = False
) -> list[list[Piece]]:
    """Several series over one another on one pair of axes, as pieces of lines; none where nothing has a place.

    Args:
        series: at least one point each.
        width: columns in all.
        height: rows of the plot itself, without the steps below.
        log: the axis of the values is logarithmic; what is not above 0 is a gap.
        letters: draw the first series as A, the second as B, …, in place of dots.
    """
    values = [value for one in series for value in one.values if has_place(value, log)]
    if not values:
        return []
    axis = Axis(low=min(values), high=max(values), log=log)
    first, last = min(min(one.steps) for one in series), max(max(one.steps) for one in series)
    labels = _labels(axis, height)
    margin = max(map(len, labels.values()))
    columns = max(8, width - margin - 2)
    canvases = [Canvas(columns=columns, rows=height) for _ in series]
    for one, canvas in zip(series, canvases, strict=True):
        _trace(one, canvas, axis, (first, last))
    lines: list[list[Piece]] = []
    for row in range(height):
        mark = "┤" if row in labels else "│"
        lines.append([(f"{labels.get(row, ''):>{margin}} {mark}", None), *_row(canvases, row, letters)])
    left, right = _step(first), _step(last)
    lines.append([(f"{'':{margin}} └{'─' * columns}", None)])
    lines.append([(f"{'':{margin}}  {left}{right:>{max(1, columns - len(left))}}", None)])
    return lines


def same_as(series: Sequence[Series], place: int) -> Series | None:
    """The first of those before a series that has the very same points."""
    one = series[place]
    return next((other for other in series[:place] if other.steps == one.steps and other.values == one.values), None)


def has_place(value: float, log: bool) -> bool:
    """Whether a value can be drawn."""
    return math.isfinite(value) and (value > 0 or not log)


def describe(series: Series, *, log: bool = False) -> str:
    """A series in one line: name, extremes with their steps, last value, how many points."""
    values, odd = series.values, sum(not math.isfinite(value) for value in series.values)
    drawn = [value for value in values if has_place(value, log)]
    if not drawn:
        what = "above 0" if log and odd < len(values) else "a finite number"
        return f"{series.name}: {len(values):,} points, none of them {what}"
    low, high = min(drawn), max(drawn)
    parts = [
        f"min {short(low)} at {_step(series.steps[values.index(low)])}",
        f"max {short(high)} at {_step(series.steps[values.index(high)])}",
        f"last {short(values[-1])}",
    ]
    if odd:
        parts.append(f"{odd:,} not finite")
    if below := len(values) - odd - len(drawn):
        parts.append(f"{below:,} not above 0")
    return f"{series.name}  ({', '.join(parts)}; {len(values):,} points)"


def short(value: float) -> str:
    """A number as an axis shows it."""
    return f"{value:.4g}" if math.isfinite(value) else str(value).replace("inf", "Infinity").replace("nan", "NaN")


class Canvas:
    """Dots, two by four in each character."""

    def __init__(self, *, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.cells = [[0] * columns for _ in range(rows)]  # bits of the dots

    def dot(self, x: int, y: int) -> None:
        """Set a dot, counted from the upper left."""
        self.cells[y // 4][x // 2] |= DOTS[y % 4][x % 2]


def _labels(axis: Axis, height: int) -> dict[int, str]:
    """What stands beside the first, the middle and the last row, with as many digits as tell them apart."""
    if axis.low == axis.high:  # a constant: three labels would be one, and none beside its line
        return {_dot_row(axis, axis.low, height) // 4: f"{axis.low:.4g}"}
    middle = height // 2
    marks = {0: axis.high, middle: axis.at(1 - middle / (height - 1)), height - 1: axis.low}
    digits = next((count for count in range(4, 17) if f"{axis.low:.{count}g}" != f"{axis.high:.{count}g}"), 4)
    return {row: f"{value:.{digits}g}" for row, value in marks.items()}


def _dot_row(axis: Axis, value: float, height: int) -> int:
    """The row of dots of a value, counted from above."""
    tall = height * 4 - 1
    return tall - round(axis.share(value) * tall)


def _row(canvases: Sequence[Canvas], row: int, letters: bool) -> Iterator[Piece]:
    """A row of all canvases over one another; those that share a cell own it by turns. Blanks at the end go."""
    cells: list[Piece] = []
    for column, bits in enumerate(zip(*(canvas.cells[row] for canvas in canvases), strict=True)):
        owners = [place for place, some in enumerate(bits) if some]
        owner = owners[column % len(owners)] if owners else None
        dots = 0
        for some in bits:
            dots |= some
        cells.append((" " if owner is None else LETTERS[owner] if letters else chr(BLANK | dots), owner))
    while cells and cells[-1][1] is None:
        cells.pop()
    for owner, run in groupby(cells, key=lambda cell: cell[1]):
        yield "".join(text for text, _ in run), owner


def _trace(series: Series, canvas: Canvas, axis: Axis, steps: tuple[float, float]) -> None:
    """Join the points of each column of dots; a value that has no place leaves a gap."""
    wide = canvas.columns * 2 - 1
    first, span = steps[0], steps[1] - steps[0]
    before: tuple[int, int] | None = None
    for step, value in zip(series.steps, series.values, strict=True):
        if not has_place(value, axis.log):
            before = None
            continue
        x = round((step - first) / span * wide) if span else wide // 2
        y = _dot_row(axis, value, canvas.rows)
        _line(canvas, before or (x, y), (x, y))
        before = (x, y)


def _line(canvas: Canvas, start: tuple[int, int], end: tuple[int, int]) -> None:
    """All dots from one to the other."""
    (x0, y0), (x1, y1) = start, end
    length = max(abs(x1 - x0), abs(y1 - y0), 1)
    for place in range(length + 1):
        canvas.dot(x0 + round((x1 - x0) * place / length), y0 + round((y1 - y0) * place / length))


def by_place(series: Series) -> Series:
    """The same points from left to right, those at one place as they were added."""
    order = sorted(range(len(series.steps)), key=series.steps.__getitem__)
    steps, values = (array("d", (column[place] for place in order)) for column in (series.steps, series.values))
    return Series(name=series.name, steps=steps, values=values)


def _step(step: float) -> str:
    """A step; of a step metric, which may be any number, its first digits."""
    return f"{step:.0f}" if step == int(step) else f"{step:.4g}"
