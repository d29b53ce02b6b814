"""The page of a run: every text inert, every extreme kept, every size bounded. A browser looks at it next door."""

from __future__ import annotations

import json
import math
import random
import re
import sys
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

import duckdb
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror.errors import RunNotFoundError
from mirror.layout import Home
from mirror.records.addresses import RunPath
from mirror.records.operations import Change, Edit, Stop
from mirror.records.step_metrics import step_metrics_of
from mirror.run.page.charts import HEIGHT, WIDTH, figure, range_in_words, shared_steps, steps_of
from mirror.run.page.html import RunPage, page_document, page_html
from mirror.run.page.notebook import RunLook
from mirror.run.page.scale import number, step_scale, value_scale
from mirror.run.page.source import CHARTS_MOST, duration_in_words, in_groups
from mirror.run.page.text import element, text
from mirror.run.pending.local import LocalMirror
from mirror.sandbox import Sandbox
from mirror.store.engine.literals import inlined
from mirror.store.engine.reader import Reader
from mirror.store.metrics.series import (
    EXACT_POINTS,
    STRETCHES,
    KeySpan,
    MetricSeries,
    key_spans,
    metric_series,
    spans_over,
)
from mirror.store.schema.tables import METRICS
from tests.mirroring import Mirror
from tests.run.pages import MARKUP, hostile_page, long_run, plain_page, series

FINITE = st.floats(allow_nan=False, allow_infinity=False)
ANY = st.floats()
VOID = {"meta", "img", "br"}


class Parsed(HTMLParser):
    """Elements with their attributes, and the text outside of the style."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.content = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == [], "an element is left open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.content += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of the elements of a name."""
        return [attributes for name, attributes in self.elements if name == tag]


# Texts of others.


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_a_text_comes_back_as_it_was_and_is_never_markup(value: str) -> None:
    html = element("p", text(value), title=value)
    assert html.isascii()
    parsed = Parsed(html)
    seen = re.sub("[\ufdd0-\ufdef\ufffe\uffff]", "\ufffd", value)
    assert parsed.elements == [("p", {"title": seen})]
    assert parsed.content == seen


@given(st.text(st.characters(categories=["Cs", "Cc"])))
def test_a_control_becomes_a_character_that_can_be_shown(value: str) -> None:
    shown = Parsed(element("p", text(value))).content
    assert not re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)


@pytest.mark.parametrize("page", [plain_page(), hostile_page()], ids=["plain", "hostile"])
def test_a_page_holds_no_script_and_no_address_but_the_link_of_its_run(page: RunPage) -> None:
    html = page_document(page)
    parsed = Parsed(html)
    assert html.isascii()
    assert not {"script", "img", "iframe", "link", "object", "base", "form"} & {name for name, _ in parsed.elements}
    links = [attributes["href"] for attributes in parsed.named("a")]
    assert links == ([page.url] if page.url and page.url.startswith("https://") else [])
    for _, attributes in parsed.elements:
        assert not [name for name in attributes if name.startswith("on") or name in {"src", "srcset", "data"}]
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    without_link = html.replace(text(page.url or ""), "")
    assert re.findall("https?:", without_link) == []
    assert "javascript:" not in html


def test_hostile_texts_are_shown_as_they_are() -> None:
    parsed = Parsed(page_html(hostile_page()))
    assert parsed.content.count(MARKUP) >= 10
    assert "onerror" in str(parsed.named("span")[3:]), "the whole key is in the title of its figure"


def test_a_cells_page_is_one_element_whose_rules_reach_nothing_else() -> None:
    html = page_html(plain_page())
    assert html.startswith('<div class="wm-run">')
    style = html[html.index("<style>") + 7 : html.index("</style>")]
    style = re.sub(r"@media[^{]*\{((?:[^{}]*\{[^{}]*\})*)\}", r"\1", style)
    for selectors in re.findall(r"([^{}]+)\{[^{}]*\}", style):
        for selector in selectors.split(","):
            assert ".wm-run.wm-run" in selector or selector.strip() == ".wm-body", selector


# Lines.


class MemoryLake(Reader):
    """A reader of a lake of one table, in memory."""

    def __init__(self) -> None:
        self._engine = duckdb.connect(config={"threads": 1})
        self._engine.execute("ATTACH ':memory:' AS lake")
        self._engine.execute(*METRICS.migration(METRICS.since))

    def hold(self, key: str, points: Sequence[tuple[int, float]]) -> None:
        """Make these all that is held."""
        self._engine.execute("DELETE FROM lake.metrics")
        steps, values = [step for step, _ in points], [value for _, value in points]
        self._engine.execute(
            inlined(
                "INSERT INTO lake.metrics"
                " SELECT 'e', 'p', 'r', ?, unnest(?::BIGINT[]), NULL, unnest(?::DOUBLE[]), NULL",
                [key, steps, values],
            )
        )

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of an answer."""
        return self._engine.execute(inlined(query, parameters)).fetchall()


LAKE = MemoryLake()
POINTS = st.dictionaries(st.integers(0, 2**62), ANY, min_size=1, max_size=30).map(lambda held: sorted(held.items()))


def read(points: Sequence[tuple[int, float]]) -> MetricSeries:
    """The line of these points."""
    LAKE.hold("it's", points)
    (found,) = metric_series(LAKE, RunPath("e", "p", "r"), key_spans(LAKE, RunPath("e", "p", "r")))
    return found


@settings(deadline=None)
@given(POINTS)
def test_a_short_metric_keeps_every_value(points: list[tuple[int, float]]) -> None:
    found = read(points)
    assert found.is_exact
    assert [stretch.first_step for stretch in found.stretches] == [step for step, _ in points]
    for stretch, (_, value) in zip(found.stretches, points, strict=True):
        held = [value] if math.isfinite(value) else []
        assert [item for item in (stretch.low, stretch.high) if item is not None] == held * 2
        assert (stretch.nan, stretch.above, stretch.below) == (value != value, value == math.inf, value == -math.inf)


@settings(max_examples=settings().max_examples // 4)
@given(st.integers(EXACT_POINTS + 1, 4000), st.integers(1, 2**40), POINTS, st.integers(0, 2**32))
def test_a_long_metric_keeps_its_extremes_and_its_ends_in_bounded_space(
    count: int, stride: int, odd: list[tuple[int, float]], seed: int
) -> None:
    rng = random.Random(seed)  # thousands of values: drawn one by one they would be too much for an example
    values = [rng.gauss(0, 1) for _ in range(count)]
    for place, value in odd:
        values[place % count] = value
    points = [(number * stride, value) for number, value in enumerate(values)]
    found = read(points)
    assert len(found.stretches) <= STRETCHES
    finite = [(value, step) for step, value in points if math.isfinite(value)]
    lows = [stretch.low for stretch in found.stretches if stretch.low is not None]
    highs = [stretch.high for stretch in found.stretches if stretch.high is not None]
    assert (min(lows), max(highs)) == (min(finite)[0], max(finite)[0])
    assert (found.low_step, found.high_step) == (
        min(finite)[1], min(step for value, step in finite if value == max(finite)[0]),
    )  # fmt: skip
    assert (found.stretches[0].first_step, found.stretches[-1].last_step) == (points[0][0], points[-1][0])
    assert repr((found.span.first, found.span.last)) == repr((values[0], values[-1]))
    assert sum(stretch.nan + stretch.above + stretch.below for stretch in found.stretches) == count - len(finite)
    for stretch in found.stretches:
        if stretch.low is not None and stretch.mean is not None and stretch.high is not None:
            assert stretch.low <= stretch.mean <= stretch.high
    html = figure(found, shared_steps([found]))
    assert len(html) < 12_000
    Parsed(html)


@pytest.mark.parametrize("count", [200, 1000])
def test_the_lines_that_tests_draw_are_those_that_the_store_makes(count: int) -> None:
    points = [(step, math.nan if step % 70 == 3 else float(step % 13)) for step in range(count)]
    stored, made = read(points), series("it's", points)
    assert msgspec.structs.replace(stored, stretches=()) == msgspec.structs.replace(made, stretches=())
    for one, other in zip(stored.stretches, made.stretches, strict=True):
        assert one.mean == pytest.approx(other.mean)
        assert msgspec.structs.replace(one, mean=None) == msgspec.structs.replace(other, mean=None)


# Figures.


def coordinates(html: str, kind: str) -> list[tuple[float, float]]:
    """The points of the paths of a class."""
    (data,) = [attributes["d"] or "" for attributes in Parsed(html).named("path") if attributes["class"] == kind]
    numbers = [float(found) for found in re.findall(r"-?\d+(?:\.\d+)?", data)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def drawn(*points: tuple[int, float]) -> str:
    """The figure of a metric for itself."""
    made = series("k", points)
    return figure(made, shared_steps([made]))


@given(POINTS)
def test_no_point_lies_outside_of_the_drawing(points: list[tuple[int, float]]) -> None:
    html = drawn(*points)
    if "<svg" in html:
        for x, y in coordinates(html, "wm-line"):
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT


def test_a_value_that_is_not_finite_leaves_a_gap_and_a_mark() -> None:
    html = drawn((0, 1.0), (1, 2.0), (2, math.nan), (3, 2.0), (4, 1.0), (5, math.inf), (6, 1.0), (7, 2.0))
    (line,) = [attributes["d"] or "" for attributes in Parsed(html).named("path") if attributes["class"] == "wm-line"]
    assert line.count("M") == 3
    assert "1 × NaN, 1 × ∞" in Parsed(html).content
    (marks,) = [attributes["d"] or "" for attributes in Parsed(html).named("path") if attributes["class"] == "wm-odd"]
    assert marks.count("M") == 2


def test_a_spike_of_one_step_reaches_the_top_of_the_shade() -> None:
    spiky = series("loss", [(step, 50.0 if step == 31_337 else 1.0) for step in range(50_000)])
    html = figure(spiky, shared_steps([spiky]))
    assert min(y for _, y in coordinates(html, "wm-shade")) == 0
    assert "max 50 at 31,337" in Parsed(html).content


def test_one_value_is_a_dot_and_a_constant_a_line_in_the_middle() -> None:
    one = drawn((17, 0.25))
    assert "one value, at step 17" in Parsed(one).content
    assert 'class="wm-dot"' in one
    constant = drawn(*((step, 0.1) for step in range(50)))
    assert {y for _, y in coordinates(constant, "wm-line")} == {HEIGHT / 2}
    assert "always 0.1" in Parsed(constant).content


def test_a_metric_without_a_finite_value_says_so_and_draws_nothing() -> None:
    html = drawn((0, math.nan), (1, -math.inf))
    assert "<svg" not in html
    assert "1 × NaN, 1 × −∞" in Parsed(html).content


def test_a_figure_has_a_name_for_those_who_do_not_see_it() -> None:
    html = drawn((0, 1.0), (1, 2.0))
    assert Parsed(html).named("svg")[0]["role"] == "img"
    assert "<title>k: 2 values, min 1 at 0 &#183; max 2 at 1</title>" in html


def test_metrics_share_their_steps_but_none_becomes_a_sliver() -> None:
    short, long = series("a", [(0, 1.0), (50, 2.0)]), series("b", [(0, 1.0), (10**9, 2.0)])
    shared = shared_steps([short, long])
    assert steps_of(long, shared) is shared
    assert steps_of(short, shared).high == 50
    assert range_in_words(short) == "min 1 at 0 · max 2 at 50"


# Scales.


@given(FINITE, FINITE)
def test_ticks_rise_differ_and_enclose_what_they_scale(one: float, other: float) -> None:
    low, high = sorted((one, other))
    scale = value_scale(low, high)
    assert scale.low <= low <= high <= scale.high
    shares, labels = [tick.share for tick in scale.ticks], [tick.label for tick in scale.ticks]
    assert 1 <= len(labels) <= 7
    assert shares == sorted(set(shares))
    assert len(set(labels)) == len(labels)
    assert all(0 <= share <= 1 for share in shares)
    assert max(map(len, labels)) <= 24


@given(st.integers(0, 2**62), st.integers(0, 2**62))
def test_ticks_of_steps_are_whole_and_few(one: int, other: int) -> None:
    low, high = sorted((one, other))
    scale = step_scale(low, high)
    assert (scale.low, scale.high) == (float(low), float(high))
    assert 1 <= len(scale.ticks) <= 6
    assert not [tick.label for tick in scale.ticks if low < 1000 and high < 10_000 and "." in tick.label]


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 1, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]), (0.012, 2.31, ["0", "0.5", "1.0", "1.5", "2.0", "2.5"]),
        (-5, 3, ["−6", "−4", "−2", "0", "2", "4"]), (0, 49_000, ["0", "10k", "20k", "30k", "40k", "50k"]),
        (1e-7, 3e-6, ["0", "1e−6", "2e−6", "3e−6"]), (0.1, 0.1, ["0.1"]),
        (1e16, 1e16 + 2, ["1e16", "1.0000000000000002e16"]), (5e-324, 1e-323, ["4.9407e−324", "9.8813e−324"]),
        (-sys.float_info.max, sys.float_info.max, ["−1e308", "0", "1e308"]),
    ],
)  # fmt: skip
def test_ticks_are_the_numbers_that_people_would_write(low: float, high: float, labels: list[str]) -> None:
    assert [tick.label for tick in value_scale(low, high).ticks] == labels


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"), (-0.0, "0"), (12, "12"), (1234567, "1,234,567"), (12345.678, "12,346"), (1 / 3, "0.33333"),
        (-2.5, "−2.5"), (1.5e-7, "1.5e−7"), (1e300, "1e300"), (math.nan, "NaN"), (-math.inf, "−∞"),
    ],
)  # fmt: skip
def test_a_number_has_the_digits_that_people_read(value: float, shown: str) -> None:
    assert number(value) == shown


# The page as a whole.


def test_the_page_of_a_hostile_run_stays_small() -> None:
    assert len(page_document(hostile_page())) < 180_000


def test_twenty_four_charts_of_a_long_run_stay_small() -> None:
    page = plain_page()
    noisy = long_run()[0]
    group = msgspec.structs.replace(page.groups[0], series=(noisy,) * CHARTS_MOST)
    assert len(page_html(msgspec.structs.replace(page, groups=(group,)))) < 300_000


def test_metrics_stand_in_the_order_of_their_groups_and_none_has_one_for_itself() -> None:
    keys = ["system/gpu", "system/cpu", "val/loss", "loss", "Train/loss", "Train/acc", "only/one", "/odd", "val/acc"]
    spans = [
        KeySpan(key=key, points=1, first_step=0, last_step=0, first=0.0, last=0.0, low=0.0, high=0.0) for key in keys
    ]
    assert [(title, span.key) for title, span in in_groups(spans)] == [
        ("", "/odd"), ("", "loss"), ("", "only/one"), ("Train", "Train/acc"), ("Train", "Train/loss"),
        ("val", "val/acc"), ("val", "val/loss"), ("system", "system/cpu"), ("system", "system/gpu"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0 s"), (59.6, "1 min"), (3661, "1 h 1 min"), (86400 * 400, "400 d"), (7200, "2 h")]
)
def test_a_duration_is_said_in_its_two_largest_units(seconds: float, shown: str) -> None:
    assert duration_in_words(seconds) == shown


# From a mirror.


def pulled(sandbox: Sandbox, mirror: Mirror, **run: Any) -> RunLook:
    """A run of the server, mirrored and opened."""
    sandbox.state.add_run("team", "proj", "r1", **run)
    mirror.pull()
    return RunLook(LocalMirror(mirror.home), RunPath("team", "proj", "r1"))


def test_a_run_is_shown_from_the_mirror_alone(sandbox: Sandbox, mirror: Mirror) -> None:
    rows = [{"_step": step, "loss": 1 / (step + 1), "val/acc": step / 30, "text": "no number"} for step in range(30)]
    run = pulled(
        sandbox, mirror, display_name=MARKUP, config={"lr": 0.1, "net": {"depth": 3}}, tags=["one"], notes="some",
        history=rows, created_at="2026-01-01T00:00:00Z", heartbeat_at="2026-01-01T02:03:04Z", group="g",
    )  # fmt: skip
    with sandbox.outage():
        html = run.to_html(local=True)
    parsed = Parsed(html)
    assert [attributes["href"] for attributes in parsed.named("a")] == [run.url]
    assert len(parsed.named("figure")) == 2
    for said in (MARKUP, "net.depth", "2 h 3 min", "Last step", "min 0.033333 at 29"):
        assert said in parsed.content
    assert (
        run._repr_html_()
        == html
        == RunLook(LocalMirror(mirror.home), RunPath("team", "proj", "r1")).to_html(local=True)
    )
    assert run.to_html(local=True, hidden=True) == f"<details><summary>Display W&amp;B run</summary>{html}</details>"
    assert page_html(hostile_page())[:20] == html[:20]
    assert run.page().startswith("<!doctype html>")


def test_what_is_not_mirrored_is_said(sandbox: Sandbox, mirror: Mirror) -> None:
    mirror.policy = {"history": False}
    run = pulled(sandbox, mirror, history=[{"_step": step, "loss": 1.0} for step in range(7)])
    content = Parsed(run.to_html(local=True)).content
    assert "its history of 7 rows; `wandb-mirror pull team/proj/r1` fetches it" in content


def test_what_is_queued_is_shown_as_if_it_had_happened_and_is_said(sandbox: Sandbox, mirror: Mirror) -> None:
    run = pulled(sandbox, mirror, display_name="before", config={"lr": 0.1})
    change = Edit(
        fields={"display_name": Change(base="before", value=f"after {MARKUP}")},
        config={"lr": Change(base=0.1, value=0.25)},
        summary={"best": Change(value=7)},
    )
    run._local.enqueue(RunPath("team", "proj", "r1"), run.storage_id, change)
    run._local.enqueue(RunPath("team", "proj", "r1"), run.storage_id, Stop())
    content = Parsed(RunLook(LocalMirror(mirror.home), RunPath("team", "proj", "r1")).to_html(local=True)).content
    assert f"after {MARKUP}" in content
    assert "lr0.25" in content
    assert "2 changes the server does not have yet" in content
    assert "UTC: change display name, config lr, summary best" in content
    assert "UTC: stop the run" in content


def test_without_local_it_is_the_sdks_frame_word_for_word(sandbox: Sandbox, mirror: Mirror) -> None:
    run = pulled(sandbox, mirror)
    src = f"{sandbox.url}/team/proj/runs/r1?jupyter=true"
    frame = f"<iframe src='{src}' style='border:none;width:100%;height:420px;'></iframe>"
    assert run.to_html() == frame
    assert run.to_html(height=99, hidden=True) == (
        "<button onClick=\"this.nextSibling.style.display='block';this.style.display='none';\">Display W&B run</button>"
        + frame.replace("420px;", "99px;display:none;")
    )


def test_a_run_that_is_not_held_has_no_page(sandbox: Sandbox, mirror: Mirror, home: Home) -> None:
    pulled(sandbox, mirror)
    with pytest.raises(RunNotFoundError):
        RunLook(LocalMirror(home), RunPath("team", "proj", "nope"))


def test_a_long_metric_over_its_step_metric_keeps_its_extremes_in_bounded_space(
    sandbox: Sandbox, mirror: Mirror
) -> None:
    rows = [{"_step": 0, "loss": 99.0}]  # before the step metric has a value, it has no place
    rows += [{"_step": 2 * step + 1, "loss": math.sin(step) + (50 if step == 777 else 0)} for step in range(1200)]
    rows += [{"_step": 100 * epoch, "epoch": epoch / 2} for epoch in range(1, 25)]
    own = {"value": {"m": [{"1": "epoch"}, {"1": "loss", "5": 1}]}}
    run = pulled(
        sandbox, mirror, config_text=json.dumps({"_wandb": own}), history=sorted(rows, key=lambda r: r["_step"])
    )
    reader = Reader(mirror.home)
    spans = [span for span in key_spans(reader, run._run_path) if span.key in ("loss", "epoch")]
    along = spans_over(reader, run._run_path, spans, step_metrics_of(json.dumps({"_wandb": own})))
    epoch, loss = metric_series(reader, run._run_path, along)
    assert (epoch.span.over, loss.span.over, epoch.is_exact) == (None, "epoch", True)
    assert (loss.span.first_step, loss.span.last_step) == (0.5, 11.5)
    assert (loss.span.points, loss.span.high, loss.high_step) == (1150, 50 + math.sin(777), 7.5)
    assert len(loss.stretches) == 23
    assert "over epoch" in range_in_words(loss)
    Parsed(figure(loss, shared_steps([epoch, loss])))
    reader.close()


def test_metrics_that_are_not_drawn_are_listed_with_what_they_came_to() -> None:
    page = page_document(hostile_page())
    assert "2,500 more metrics, not drawn" in page
    assert "NaN after 3 values, from 0 to 1" in page
    assert "2,200 more: `wandb-mirror show --html --key KEY`" in page
