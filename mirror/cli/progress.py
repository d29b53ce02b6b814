"""How a pull shows itself: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mirror.cli.output import plural, say
from mirror.pull import ProjectReport

SECONDS_BETWEEN_LINES = 5.0


class Bars:
    """A watcher with one bar for each project under way."""

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("[cyan]{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
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
        self._tasks[id(report)] = self._progress.add_task(escape(str(report.key)), total=None, note="")

    def page_done(self, report: ProjectReport, expected: int | None) -> None:
        """Move the bar."""
        note = f"{report.written} new or changed"
        if report.failed:
            note += f", {len(report.failed)} failed"
        self._progress.update(self._tasks[id(report)], completed=report.listed, total=expected, note=note)

    def pass_ended(self, report: ProjectReport) -> None:
        """Take the bar away and leave its line."""
        self._progress.remove_task(self._tasks.pop(id(report)))
        self._progress.console.print(escape(describe(report)), highlight=False, soft_wrap=True)


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
            of_all = f" of {expected:,}" if expected else ""
            say(f"{report.key}: {report.listed:,}{of_all} runs listed, {report.written:,} new or changed")

    def pass_ended(self, report: ProjectReport) -> None:
        """What the project came to."""
        say(describe(report))


def describe(report: ProjectReport) -> str:
    """One project of a pull in one line."""
    if report.error is not None:
        return f"{report.key}: failed"  # the reason and what to do about it come at the end, once
    parts = [f"{report.written:,} new or changed"]
    if report.unchanged:
        parts.append(f"{report.unchanged:,} unchanged")
    if report.gone:
        parts.append(f"{report.gone:,} gone upstream")
    if report.failed:
        parts.append(f"{plural(len(report.failed), 'run')} left behind")
    how = {"walk": "all runs compared", "look": "what moved", "named": "named runs"}[report.kind]
    return f"{report.key}: {', '.join(parts)} ({how})"
