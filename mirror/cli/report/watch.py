"""`wandb-mirror status --watch`: the words of `status`, drawn anew every two seconds on the terminal's other screen.

A look costs little whatever the home's size: the lake is asked only after a commit, disk use comes from the daemon or
is counted once a minute, and after a look that took long the next one waits ten times as long.
"""

from __future__ import annotations

import datetime as dt
import os
import queue
import signal
import time
from collections.abc import Iterator
from typing import Any

import click
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from mirror.cli.report.status import LakeFigures, Status, head_lines, read_held, read_status
from mirror.cli.setting import Setting
from mirror.cli.terminal.output import ago
from mirror.cli.terminal.times import clock_text
from mirror.clock import utc_now
from mirror.daemon.status.status_file import read_daemon_status as read_daemon
from mirror.errors import MirrorError
from mirror.store.engine.connection import store_errors
from mirror.store.engine.storages import storage_of
from mirror.store.objects.disk import DiskUse, disk_use
from mirror.store.read.overview import ProjectOverview
from mirror.texts.amounts import plural
from mirror.texts.visible import visible

EVERY_S = 2.0
IDLE_SHARE = 10  # times as long as the lake took to answer, it is left alone
DISK_EVERY_S = 10.0  # without a daemon: the shortest time between two counts …
DISK_SHARE = 50  # … and so many times as long as one takes
STYLES = {"home": "bold", "LATE": "red", "error": "red", "conflict": "yellow", "refused": "yellow"}


def watch_status(setting: Setting) -> int:
    """Show how the mirror is until a signal comes.

    Returns:
        The exit status: 0 after Ctrl-C, which is how one leaves.

    Raises:
        MirrorError: the first look failed; later failures are shown.
    """
    console = Console()
    if not console.is_terminal or console.is_dumb_terminal:
        raise click.UsageError("--watch needs a terminal; elsewhere use `wandb-mirror status`, or its --json")
    eye = _Eye(setting)
    status, error = eye.look(), ""
    with _Signals() as signals, Live(console=console, screen=True, auto_refresh=False) as live:
        while signals.ended is None:
            if signals.is_paused:
                signals.pause(live)
            now = utc_now().replace(tzinfo=None)
            live.update(Clipped(view(status, now, error)), refresh=True)
            if signals.wait(EVERY_S):  # a resize: only drawn anew
                continue
            try:
                status, error = eye.look(), ""
            except MirrorError as failed:
                error = failed.message
    return 0 if signals.ended == signal.SIGINT else 128 + (signals.ended or 0)


class _Eye:
    """Looks at a mirror again and again; what costs much is looked at less often, in proportion."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._held: LakeFigures | None = None
        self._stamp: object = None
        self._ask_at = 0.0  # not before is the lake asked again
        self._used: DiskUse | None = None
        self._count_at = 0.0

    def look(self) -> Status:
        """Everything, as new as it is cheap."""
        return read_status(self._setting, held=self._lake(), used=self._disk())

    def _lake(self) -> LakeFigures:
        stamp, began = self._catalog(), time.monotonic()
        if self._held is None or (stamp != self._stamp and began >= self._ask_at):
            self._held, self._stamp = read_held(self._setting), stamp
            self._ask_at = time.monotonic() + IDLE_SHARE * (time.monotonic() - began)
        return self._held

    def _catalog(self) -> object:
        """What changes with each commit; where nothing tells, it is another one each time."""
        return storage_of(self._setting.home).stamp or time.monotonic()

    def _disk(self) -> DiskUse:
        daemon = read_daemon(self._setting.home)
        if daemon is not None and daemon.disk is not None:
            return daemon.disk
        began = time.monotonic()
        if self._used is None or began >= self._count_at:
            with store_errors(self._setting.home):
                self._used = disk_use(self._setting.home)
            self._count_at = time.monotonic() + max(DISK_EVERY_S, DISK_SHARE * (time.monotonic() - began))
        return self._used


class _Signals:
    """What a terminal and its user may send while something is drawn; a context manager."""

    def __init__(self) -> None:
        self.ended: signal.Signals | None = None  # by which it is to end
        self.is_paused = False
        self._news = queue.SimpleQueue[int]()  # what a handler may put into while the same thread waits
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> _Signals:
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGTSTP", "SIGWINCH"):
            if (number := getattr(signal, name, None)) is not None:
                self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _heard(self, number: int, _frame: object) -> None:
        name = signal.Signals(number).name
        if name == "SIGTSTP":
            self.is_paused = True
        elif name != "SIGWINCH":
            self.ended = signal.Signals(number)
        self._news.put(number)

    def wait(self, seconds: float) -> bool:
        """Wait, or until something was sent: True then."""
        try:
            self._news.get(timeout=seconds)
        except queue.Empty:
            return False
        while not self._news.empty():
            self._news.get_nowait()
        return True

    def pause(self, live: Live) -> None:
        """Ctrl-Z: give the terminal back, stand still, and draw again when the user comes back."""
        self.is_paused = False
        live.stop()
        os.kill(os.getpid(), signal.SIGSTOP)
        live.start()


def view(status: Status, now: dt.datetime, error: str = "") -> RenderableType:
    """Everything as one picture, what matters most on top.

    Args:
        status: what is known.
        now: UTC without a zone.
        error: why the last look failed; what is shown is older then.
    """
    head = Text(f"wandb-mirror  {clock_text(now)}  Ctrl-C ends", style="dim", no_wrap=True)
    failed = [Text(visible(f"error: {error}"), style="red")] if error else []
    lines = [_styled(line) for line in head_lines(status, now)]
    body: list[RenderableType] = [head, *failed, *lines, Text("")]
    body.append(_projects(status.projects, now) if status.projects else Text("nothing pulled yet"))
    if left := sum(project.failures for project in status.projects):
        body.append(Text(f"{plural(left, 'item')} left behind: `wandb-mirror status` lists them", style="yellow"))
    return Group(*body)


def _styled(text: str) -> Text:
    line = visible(text)
    if line.startswith("health"):
        return Text(line, style="bold green" if line.startswith("health  good") else "bold red")
    style = next((style for word, style in STYLES.items() if word in line[:60]), "")
    return Text(line, style=style, overflow="fold")


def _projects(projects: list[ProjectOverview], now: dt.datetime) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("project", overflow="ellipsis", no_wrap=True, min_width=12)
    for name in ("runs", "active", "files", "failed"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("last pull", no_wrap=True)
    recent = sorted(projects, key=lambda one: one.last_pass_at or dt.datetime.min, reverse=True)  # noqa: DTZ901
    for one in recent:
        figures = (one.runs, one.active, one.files, one.failures)
        table.add_row(
            Text(visible(f"{one.entity}/{one.project}")),
            *(f"{figure:,}" for figure in figures),
            ago(one.last_pass_at, now),
        )
    return table


class Clipped:
    """A picture cut to the height of the terminal, which says how much is below.

    Args:
        body: the picture.
    """

    def __init__(self, body: RenderableType) -> None:
        self._body = body

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw."""
        height = options.height or console.height
        lines = console.render_lines(self._body, options.update(height=None), pad=True)
        shown = lines if len(lines) <= height else lines[: max(0, height - 1)]
        yield from _rows(shown)
        if len(lines) > len(shown):
            yield Text(f"… {len(lines) - len(shown)} more lines", style="dim", no_wrap=True, end="")


def _rows(lines: list[list[Segment]]) -> Iterator[Segment]:
    for number, line in enumerate(lines):
        if number:
            yield Segment.line()
        yield from line
    if lines:
        yield Segment.line()
