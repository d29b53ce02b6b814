"""One metric as a figure: a title with its last value, a line with its axes, its range.

The line and its shade are SVG stretched to whatever width there is; the numbers beside it are HTML, so that they keep
their size. A metric of more values than a chart can show is drawn as the mean of each stretch, in a shade that reaches
from the stretch's lowest value to its highest: a spike of a single step stays visible. Values that are not finite
leave a gap in the line, and a mark at the edge: NaN and -∞ below, ∞ above.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mirror.run.page.scale import Scale, number, step_scale, value_scale
from mirror.run.page.text import element, shortened, text
from mirror.store.metrics.series import MetricSeries, Stretch
from mirror.texts.amounts import plural

WIDTH, HEIGHT = 320, 120  # of the drawing, in its own units: about a pixel each
DOTTED = 32  # values up to which each is marked
NAME_MOST = 160  # characters of a key in a title
Y_LABEL_LEAST = 6  # characters that a column of value labels is wide; most need no more, and so are aligned
X_LABELS_MOST = 26  # characters of all step labels together; a narrow chart has room for no more
SLIVER = 0.02  # of the shared scale of steps; a metric that covers less of it has one of its own


def figure(series: MetricSeries, steps: Scale) -> str:
    """The figure of one metric.

    Args:
        series: the metric.
        steps: the scale of steps that all figures of a page share.
    """
    span, steps = series.span, steps_of(series, steps)
    title = element(
        "figcaption",
        element("span", text(shortened(span.key, NAME_MOST)), class_="wm-key", title=span.key),
        element("span", text(number(span.last)), class_="wm-last", title=f"last value: {span.last!r}"),
    )
    if span.low is None or span.high is None:
        empty = element("p", text(_odd(series)), class_="wm-empty")
        return element("figure", title, empty, class_="wm-chart")
    values = value_scale(span.low, span.high)
    wide = max(len(tick.label) for tick in values.ticks)
    plot = element(
        "div",
        element("div", *(_y_label(tick.label, tick.share) for tick in values.ticks), class_="wm-y"),
        element("div", _drawing(series, steps, values), class_="wm-canvas"),
        element("div", *(_x_label(tick.label, tick.share) for tick in steps.ticks), class_="wm-x"),
        class_="wm-plot",
        style=f"--w:{max(Y_LABEL_LEAST, wide)}",
    )
    return element(
        "figure", title, plot, element("p", text(range_in_words(series)), class_="wm-range"), class_="wm-chart"
    )


def shared_steps(series: Sequence[MetricSeries]) -> Scale:
    """The scale of steps that some metrics are drawn on, so that equal steps stand below each other."""
    plain = [item.span for item in series if item.span.over is None]
    first = min((span.first_step for span in plain), default=0)
    last = max((span.last_step for span in plain), default=0)
    return _steps(int(first), int(last))


def steps_of(series: MetricSeries, shared: Scale) -> Scale:
    """The scale of a metric: the shared one, or its own where it would be a sliver of that, or lies over another."""
    first, last = series.span.first_step, series.span.last_step
    if series.span.over is not None:
        return value_scale(first, last)
    if first == last or shared.share(last) - shared.share(first) >= SLIVER:
        return shared
    return _steps(int(first), int(last))


def _steps(low: int, high: int) -> Scale:
    """A scale with as many labels as stand beside each other in a narrow chart."""
    scales = [step_scale(low, high, intervals=intervals) for intervals in (5, 4, 3, 2, 1)]
    fitting = (scale for scale in scales if sum(len(tick.label) + 2 for tick in scale.ticks) <= X_LABELS_MOST)
    return next(fitting, scales[-1])


def range_in_words(series: MetricSeries) -> str:
    """A metric's range and what of it is not finite, in words."""
    span = series.span
    if span.low is None or span.high is None:
        return _odd(series)
    if span.points == 1:
        parts = [f"one value, at {f'step {span.first_step:,}' if span.over is None else number(span.first_step)}"]
    elif span.low == span.high:
        parts = [f"always {number(span.low)}"]
    else:
        parts = [f"min {_at(span.low, series.low_step)}", f"max {_at(span.high, series.high_step)}"]
    over = f"over {shortened(span.over, NAME_MOST)}" if span.over is not None else ""
    return " · ".join(filter(None, [*parts, _odd(series), over]))


def _at(value: float, step: float | None) -> str:
    if step is None:
        return number(value)
    return f"{number(value)} at {f'{step:,}' if isinstance(step, int) else number(step)}"


def _odd(series: MetricSeries) -> str:
    """How many values are not finite, by kind."""
    counts = [
        (sum(stretch.nan for stretch in series.stretches), "NaN"),
        (sum(stretch.above for stretch in series.stretches), number(float("inf"))),
        (sum(stretch.below for stretch in series.stretches), number(float("-inf"))),
    ]
    return ", ".join(f"{count:,} × {what}" for count, what in counts if count)


def _drawing(series: MetricSeries, steps: Scale, values: Scale) -> str:
    canvas = _Canvas(steps, values)
    segments = list(_segments(series.stretches))
    heights = dict.fromkeys([*(_figures(HEIGHT * (1 - tick.share)) for tick in values.ticks), str(HEIGHT)])
    grid = "".join(f"M0 {height}H{WIDTH}" for height in heights)
    paths = [element("path", d=grid, class_="wm-grid")]
    if not series.is_exact:
        paths.append(element("path", d="".join(map(canvas.shade, segments)), class_="wm-shade"))
    paths.append(element("path", d="".join(canvas.line(segment, series) for segment in segments), class_="wm-line"))
    if series.is_exact and len(series.stretches) <= DOTTED:
        marked = [stretch for segment in segments for stretch in segment]
    else:
        marked = [segment[0] for segment in segments if len(segment) == 1]
    if marked:
        paths.append(element("path", d="".join(map(canvas.dot, marked)), class_="wm-dot"))
    below = canvas.marks([stretch for stretch in series.stretches if stretch.nan or stretch.below], HEIGHT)
    above = canvas.marks([stretch for stretch in series.stretches if stretch.above], 0)
    if below or above:
        paths.append(element("path", d=below + above, class_="wm-odd"))
    name = f"{shortened(series.span.key, NAME_MOST)}: {plural(series.span.points, 'value')}, {range_in_words(series)}"
    return element(
        "svg",
        element("title", text(name)),
        *paths,
        view_box=f"0 0 {WIDTH} {HEIGHT}",
        preserve_aspect_ratio="none",
        role="img",
    )


class _Canvas:
    """Writes paths."""

    def __init__(self, steps: Scale, values: Scale) -> None:
        self._steps, self._values = steps, values

    def line(self, segment: Sequence[Stretch], series: MetricSeries) -> str:
        """A line through the means; the run's first and last values are themselves."""
        points = [(self._x(_middle(stretch)), self._y(stretch.mean)) for stretch in segment]
        if not series.is_exact:
            span = series.span
            if segment[0].first_step == span.first_step and _is_between(span.first, segment[0]):
                points.insert(0, (self._x(span.first_step), self._y(span.first)))
            if segment[-1].last_step == span.last_step and _is_between(span.last, segment[-1]):
                points.append((self._x(span.last_step), self._y(span.last)))
        return _path(points) if len(points) > 1 else ""

    def shade(self, segment: Sequence[Stretch]) -> str:
        """The area between the lowest and the highest values."""
        tops = [(self._x(_middle(stretch)), self._y(stretch.high)) for stretch in segment]
        bottoms = [(self._x(_middle(stretch)), self._y(stretch.low)) for stretch in reversed(segment)]
        return f"{_path(tops + bottoms)}z"

    def dot(self, stretch: Stretch) -> str:
        """A line without length, which round ends make a dot whatever the drawing is stretched to."""
        return f"{_path([(self._x(_middle(stretch)), self._y(stretch.mean))])}h0"

    def marks(self, stretches: Sequence[Stretch], y: int) -> str:
        """Where there are values that are not finite; neighbours become one mark."""
        bounds: list[list[float]] = []
        for stretch in stretches:
            left, right = self._x(stretch.first_step) - 1.5, self._x(stretch.last_step) + 1.5
            if bounds and left <= bounds[-1][1] + 0.5:
                bounds[-1][1] = right
            else:
                bounds.append([left, right])
        return "".join(f"M{_figures(left)} {y}H{_figures(right)}" for left, right in bounds)

    def _x(self, step: float) -> float:
        return self._steps.share(step) * WIDTH

    def _y(self, value: float | None) -> float:
        return HEIGHT * (1 - self._values.share(value if value is not None else 0.0))


def _segments(stretches: Sequence[Stretch]) -> Iterator[list[Stretch]]:
    """Neighbours that have finite values; where there are none, the line has a gap."""
    segment: list[Stretch] = []
    for stretch in stretches:
        if stretch.mean is not None:
            segment.append(stretch)
        elif segment:
            yield segment
            segment = []
    if segment:
        yield segment


def _middle(stretch: Stretch) -> float:
    return stretch.first_step / 2 + stretch.last_step / 2


def _is_between(value: float, stretch: Stretch) -> bool:
    return stretch.low is not None and stretch.high is not None and stretch.low <= value <= stretch.high


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + " ".join(f"{_figures(x)} {_figures(y)}" for x, y in points)


def _figures(place: float) -> str:
    """A place to a tenth of a unit."""
    return f"{place:.1f}".removesuffix(".0")


def _y_label(label: str, share: float) -> str:
    return element("span", text(label), style=f"top:{100 * (1 - share):.2f}%")


def _x_label(label: str, share: float) -> str:
    """A step; at the ends it stays inside of the drawing."""
    edge = "wm-start" if share < 0.04 else "wm-end" if share > 0.96 else None
    return element("span", text(label), style=f"left:{100 * share:.2f}%", class_=edge)
