"""The page of one run: a value that says what is on it, and the HTML text that shows it.

The text needs nothing but itself: no script, no font, no image, no address but the run's own link. It stands in a
notebook's cell, where all of its style is bound to one class, and alone in a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mirror.run.page.charts import figure, shared_steps, steps_of
from mirror.run.page.scale import number
from mirror.run.page.style import STYLE
from mirror.run.page.tables import table
from mirror.run.page.text import element, shortened, text
from mirror.store.metrics.series import STRETCHES, KeySpan, MetricSeries
from mirror.texts.amounts import plural

NAME_MOST = 300  # characters
NOTES_MOST = 2000
TAG_MOST = 80
TAGS_MOST = 60
REST_MOST = 300  # metrics that are listed
LINES_MOST = 20  # lines of a notice


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something that must be said before the figures."""

    kind: str  # "pending", "missing" or "gone"
    title: str
    lines: tuple[str, ...] = ()


class ChartGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Metrics that belong together."""

    title: str  # what stands before the slash of their names; empty for names without one
    series: tuple[MetricSeries, ...]


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the page of a run says."""

    name: str
    path: tuple[str, str, str]  # entity, project, run id
    url: str | None  # of the run's page on the server
    state: str
    facts: tuple[tuple[str, str], ...]  # label and text, in the order in which they are read
    tags: tuple[str, ...] = ()
    notes: str = ""
    notices: tuple[Notice, ...] = ()
    groups: tuple[ChartGroup, ...] = ()
    rest: tuple[KeySpan, ...] = ()  # metrics that are not drawn
    config: Mapping[str, Any] = {}
    summary: Mapping[str, Any] = {}
    synced: str | None = None  # when the mirror took its last change, for people


def page_html(page: RunPage) -> str:
    """The page as one element with its style inside, for a notebook's cell or any other document."""
    body = [
        _header(page),
        *map(_notice, page.notices),
        _charts(page),
        element(
            "div",
            table("Config", page.config, none="No config."),
            table("Summary", page.summary, none="No summary."),
            class_="wm-tables",
        ),
        _footer(page),
    ]
    return element("div", element_of_style(), *body, class_="wm-run")


def page_document(page: RunPage) -> str:
    """The page as a whole document, for a file. Its policy forbids a browser to run or to fetch anything."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{text(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{text(shortened(page.name, 100))} \N{MIDDLE DOT} {text('/'.join(page.path[:2]))}</title>\n"
        '</head>\n<body class="wm-body">\n'
    ).encode("ascii", "xmlcharrefreplace").decode() + f"{page_html(page)}\n</body>\n</html>\n"


def element_of_style() -> str:
    """The style, which is ours alone and holds no text of a run."""
    return f"<style>{STYLE}</style>"


def _header(page: RunPage) -> str:
    where = [element("bdi", text(shortened(part, NAME_MOST))) for part in page.path]
    known = page.state if page.state in STATES else "other"
    parts = [
        element("p", element("span", "/", class_="wm-slash").join(where), class_="wm-where"),
        element(
            "div",
            element("h1", element("bdi", text(shortened(page.name, NAME_MOST)))),
            element("span", text(shortened(page.state, NAME_MOST)), class_=f"wm-state wm-{known}"),
            _link(page.url),
            class_="wm-title",
        ),
    ]
    if page.facts:
        parts.append(element("dl", *(_fact(label, value) for label, value in page.facts), class_="wm-facts"))
    if page.tags:
        shown = [element("li", element("bdi", text(shortened(tag, TAG_MOST)))) for tag in page.tags[:TAGS_MOST]]
        if len(page.tags) > TAGS_MOST:
            shown.append(element("li", text(f"{len(page.tags) - TAGS_MOST:,} more"), class_="wm-none"))
        parts.append(element("ul", *shown, class_="wm-tags", aria_label="Tags"))
    if page.notes:
        parts.append(element("p", text(shortened(page.notes, NOTES_MOST)), class_="wm-notes", dir="auto"))
    return element("header", *parts)


def _fact(label: str, value: str) -> str:
    shown = element("bdi", text(shortened(value, NAME_MOST)))
    return element("div", element("dt", text(label)), element("dd", shown))


STATES = frozenset({"running", "finished", "failed", "crashed", "killed", "pending", "preempting", "preempted"})


def _link(url: str | None) -> str:
    if url is None or not url.startswith(("https://", "http://")):
        return ""
    label = text("Open on the server \N{NORTH EAST ARROW}")
    return element("a", label, href=url, rel="noreferrer noopener", class_="wm-link")


def _notice(notice: Notice) -> str:
    lines = [element("li", text(shortened(line, NAME_MOST))) for line in notice.lines[:LINES_MOST]]
    if len(notice.lines) > LINES_MOST:
        lines.append(element("li", text(f"{len(notice.lines) - LINES_MOST:,} more")))
    listed = element("ul", *lines) if lines else ""
    return element(
        "aside", element("strong", text(notice.title)), listed, class_=f"wm-notice wm-is-{notice.kind}"
    )  # fmt: skip


def _charts(page: RunPage) -> str:
    if not page.groups:
        return _rest(page.rest)
    drawn = [series for group in page.groups for series in group.series]
    steps = shared_steps(drawn)
    parts = [_group(group, [figure(series, steps) for series in group.series]) for group in page.groups]
    return "".join([*parts, _rest(page.rest)])


def _rest(spans: Sequence[KeySpan]) -> str:
    """Metrics that are not drawn, folded: what each came to."""
    if not spans:
        return ""
    shown = [
        element(
            "div",
            element("dt", element("bdi", text(shortened(span.key, NAME_MOST)))),
            element("dd", text(_came_to(span))),
        )
        for span in spans[:REST_MOST]
    ]
    left = len(spans) - len(shown)
    more = (
        element(
            "p",
            text(f"{left:,} more: `wandb-mirror show --html --key KEY` draws those that are named."),
            class_="wm-none",
        )
        if left
        else ""
    )
    title = text(f"{plural(len(spans), 'more metric')}, not drawn")
    listed = element("div", element("dl", *shown), class_="wm-table")
    return element("details", element("summary", title), listed, more)


def _came_to(span: KeySpan) -> str:
    """The last value of a metric, and its range."""
    last = f"{number(span.last)} after {plural(span.points, 'value')}"
    return last if span.low is None or span.high is None else f"{last}, from {number(span.low)} to {number(span.high)}"


def _group(group: ChartGroup, figures: Sequence[str]) -> str:
    title = group.title or "Metrics"
    return element(
        "section",
        element("h2", element("bdi", text(shortened(title, NAME_MOST)))),
        element("div", *figures, class_="wm-grid-of-charts"),
    )


def _footer(page: RunPage) -> str:
    drawn = [series for group in page.groups for series in group.series]
    parts = []
    if drawn:
        shared = shared_steps(drawn)
        same = all(steps_of(series, shared) is shared for series in drawn)
        over = any(series.span.over is not None for series in drawn)
        but = ", or the metric that a chart is over" if over else ", the same for every chart" if same else ""
        parts.append(f"Horizontal: steps{but}.")
    if any(not series.is_exact for series in drawn):
        parts.append(
            f"Where a metric has more values than fit, the line is the mean of each of {STRETCHES} stretches"
            " and the shade reaches from their lowest value to their highest."
        )
    if any(stretch.nan or stretch.above or stretch.below for series in drawn for stretch in series.stretches):
        parts.append("A mark on an edge of a chart: values that are not finite.")
    if page.synced is not None:
        parts.append(f"Mirrored by wandb-mirror; last change here {page.synced}.")
    return element("footer", text(" ".join(parts))) if parts else ""
