"""How a pull shows itself: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import deque
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TaskID
from rich.table import Column
from rich.text import Text

from mirror.cli.terminal.output import say
from mirror.cli.terminal.pass_line import contents, pass_line, runs_done
from mirror.pull import ProjectReport
from mirror.records.passes import SWEEPS_OF
from mirror.texts.amounts import plural
from mirror.texts.visible import visible

SECONDS_BETWEEN_LINES = 5.0
SPINNER = 2  # columns that it takes, with a blank behind it
RATE_SECONDS = 5.0  # the rate shown is that of so many last seconds


class Bars:
    """A watcher with one bar for each project under way: phase, runs, files, bytes, rate, errors, time to go."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._progress = Progress(SpinnerColumn(), _PassColumn(console), console=console, transient=True)
        self._tasks: dict[int, TaskID] = {}

    def __enter__(self) -> Bars:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear the bars; the summary says what came of them."""
        self._progress.stop()

    def pass_started(self, report: ProjectReport) -> None:
        """A new bar."""
        self._tasks[id(report)] = self._progress.add_task("", total=None, report=report, rate=Rate())

    def page_done(self, report: ProjectReport, expected: int | None) -> None:
        """Nothing: what is drawn looks at the report itself."""

    def pass_ended(self, report: ProjectReport) -> None:
        """Take the bar away and leave its line."""
        self._progress.remove_task(self._tasks.pop(id(report)))
        self._progress.console.print(escape(visible(project_line(report))), highlight=False, soft_wrap=True)


class _PassColumn(ProgressColumn):
    """A line that reads its report whenever it is drawn: files and bytes come between the pages."""

    def __init__(self, console: Console) -> None:
        super().__init__(table_column=Column(no_wrap=True, overflow="ellipsis"))
        self._console = console

    def render(self, task: Task) -> Text:
        """The line as it is now."""
        report: ProjectReport = task.fields["report"]
        before, bar, behind = pass_line(
            report,
            width=self._console.width - SPINNER,
            rate=task.fields["rate"].after(report.bytes_fetched),
            elapsed_s=task.elapsed or 0.0,
        )
        return Text.assemble(before, (bar, "magenta"), behind)


class Rate:
    """Bytes a second, over the last few seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def after(self, count: int) -> float:
        """The rate, now that so many bytes have come."""
        now = time.monotonic()
        self._seen.append((now, count))
        while now - self._seen[0][0] > RATE_SECONDS:
            self._seen.popleft()
        (start, first), span = self._seen[0], now - self._seen[0][0]
        return (count - first) / span if span > 0.2 and start < now else 0.0


class Lines:
    """A watcher that writes a line when a project is done, and now and then while it is under way."""

    def __init__(self) -> None:
        self._last_line = time.monotonic()

    def __enter__(self) -> Lines:
        """Nothing to start."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to stop."""

    def pass_started(self, report: ProjectReport) -> None:
        """Nothing yet."""

    def page_done(self, report: ProjectReport, expected: int | None) -> None:
        """Now and then, how far it is."""
        if time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            say(f"{report.key}: {note(report)}, {report.written:,} new or changed")

    def pass_ended(self, report: ProjectReport) -> None:
        """What the project came to."""
        say(project_line(report))


def note(report: ProjectReport) -> str:
    """How far a pass is, in a few words."""
    parts = [report.phase, runs_done(report)]
    if report.files or report.parts:
        parts.append(contents(report))
    if report.failed:
        parts.append(plural(len(report.failed), "error"))
    return ", ".join(parts)


def project_line(report: ProjectReport) -> str:
    """One project of a pull in one line."""
    if report.error is not None:
        return f"{report.key}: failed"  # the reason and what to do about it come at the end, once
    parts = [f"{report.written:,} new or changed"]
    if report.unchanged:
        parts.append(f"{report.unchanged:,} unchanged")
    if report.gone:
        parts.append(f"{report.gone:,} gone upstream")
    if report.files or report.parts or report.rows or report.artifacts:
        parts.append(contents(report))
    if report.failed:
        parts.append(left_behind_text(report))
    how = {"walk": "all runs compared", "look": "what moved", "named": "named runs"}[report.kind]
    return f"{report.key}: {', '.join(parts)} ({how})"


def left_behind_text(report: ProjectReport) -> str:
    """Runs, parts of runs, and sweeps that could not be taken."""
    whole = sum(not failure.item for failure in report.failed)
    sweeps = sum(failure.run_id == SWEEPS_OF for failure in report.failed)
    parts = len(report.failed) - whole - sweeps
    named = [plural(whole, "run")] * bool(whole) + [plural(parts, "part of a run", "parts of runs")] * bool(parts)
    named += ["sweeps"] * bool(sweeps)
    return f"{' and '.join(named)} left behind"
