"""A pass under way as one line of any width: how many runs are done, the rate and the time to go are on every one.

Pure: values in, a line out. What finds no room goes in this order: time so far, half of the bar, contents, phase, the
bar, errors, the beginning of the project's name.
"""

from __future__ import annotations

from mirror.cli.terminal.output import size
from mirror.pull import ProjectReport
from mirror.texts.amounts import plural
from mirror.texts.visible import visible

WIDE_BAR, NARROW_BAR = 20, 8  # characters
SHORTEST_NAME = 10
_GAP = "  "


def pass_line(report: ProjectReport, *, width: int, rate: float, elapsed_s: float) -> tuple[str, str, str]:
    """What stands before the bar, the bar, and what stands behind it; together no longer than `width`.

    Args:
        report: of the pass.
        width: characters that there are.
        rate: bytes a second.
        elapsed_s: since the pass began, seconds.
    """
    name, longest = visible(str(report.key)), max(SHORTEST_NAME, width // 4)
    name = f"…{name[1 - longest :]}" if len(name) > longest else name
    ends = [text for text in (f"{size(rate)}/s" if rate >= 1 else "", time_left(report, elapsed_s)) if text]
    parts = [runs_done(report)]
    room = width - len(_GAP.join([name, *parts, *ends]))
    bar = 0
    for text, columns in (
        (plural(len(report.failed), "error") if report.failed else "", 0),
        ("", NARROW_BAR),
        (report.phase, 0),
        (contents(report) if report.files or report.parts else "", 0),
        ("", WIDE_BAR),
        (clock(elapsed_s), 0),
    ):
        needed = len(_GAP) + len(text) if text else 0 if not columns else columns - bar + (0 if bar else len(_GAP))
        if needed > room:
            continue
        room -= needed
        parts += [text] if text else []
        bar = columns or bar
    drawn = _bar(report, bar)
    behind = _GAP.join([*parts, *ends])
    return (f"{name}{_GAP}", drawn, f"{_GAP if drawn else ''}{behind}"[: max(0, width - len(name) - 2 - len(drawn))])


def runs_done(report: ProjectReport) -> str:
    """How many runs are done, of how many."""
    of_all = expected_runs(report)
    return f"{done_runs(report):,}{f'/{of_all:,}' if of_all else ''} runs"


def done_runs(report: ProjectReport) -> int:
    """Runs that came with all that they contain; they are committed in batches, of which the first may take long."""
    return max(report.settled, min(report.fetched, report.listed))


def expected_runs(report: ProjectReport) -> int | None:
    """How many runs a pass will look at; None while that is not known."""
    if report.kind == "walk" and report.upstream is not None:
        return max(report.upstream, report.listed)
    return report.listed or None


def time_left(report: ProjectReport, elapsed_s: float) -> str:
    """How long the rest takes if it goes on as so far; empty before the first run is done."""
    of_all, done = expected_runs(report), done_runs(report)
    if of_all is None or not 0 < done < of_all:
        return ""
    return f"~{clock(elapsed_s * (of_all - done) / done)} left"


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02}"


def contents(report: ProjectReport) -> str:
    """What was fetched beside the metadata."""
    counts = [
        plural(count, one)
        for count, one in (
            (report.files, "file"),
            (report.parts, "export"),
            (report.rows, "row"),
            (report.artifacts, "artifact"),
        )
        if count
    ]
    return " ".join([" + ".join(counts), f"({size(report.bytes_fetched)})"])


def _bar(report: ProjectReport, columns: int) -> str:
    of_all = expected_runs(report)
    done = round(columns * min(1.0, done_runs(report) / of_all)) if of_all else 0
    return "━" * done + "─" * (columns - done)
