"""`status` says whether a person need do something: in words, in JSON, in its exit status, and live with `--watch`."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest
from rich.console import Console

from mirror.cli.report.status import read_status
from mirror.cli.report.watch import Clipped, view
from mirror.cli.setting import Setting
from mirror.config import load_config
from mirror.daemon.status.status_file import write_status
from mirror.layout import Home
from mirror.sandbox import Fault, Match, Sandbox
from tests.cli.conftest import Cli, Editor
from tests.daemon.test_health import WELL

PATIENCE_S = 180.0  # a look at the lake is followed by ten times as long without one, on a busy machine too
OTHER_SCREEN, BACK = b"\x1b[?1049h", b"\x1b[?1049l"
SHOW_CURSOR = b"\x1b[?25h"


def names(editor: Editor, code: int = 9) -> list[str]:
    said = editor("status", "--json", code=code).json
    assert said["healthy"] == (code == 0) == (not said["findings"])
    return [finding["name"] for finding in said["findings"]]


def allow(editor: Editor, settings: str) -> None:
    """Put settings into `[health]`."""
    config = editor.cli.config
    config.write_text(f"[health]\n{settings}\n{config.read_text(encoding='utf-8')}", encoding="utf-8")


def test_a_mirror_that_was_pulled_by_hand_is_healthy_and_tells_each_thing(editor: Editor) -> None:
    assert names(editor, code=0) == []
    said = editor("status").out
    assert "health  good: nothing waits for you" in said
    assert re.search(r"^disk    tables .*, files and exports .*; .* free$", said, re.MULTILINE)
    assert re.search(r"^source  team/proj: lag \d+ (s|min), runs under way$", said, re.MULTILINE)
    editor.queue("edit", "r0", "--notes", "x")
    waiting = editor("status").out
    assert re.search(r"^outbox  1 waiting; the oldest was asked \d+ s ago$", waiting, re.MULTILINE)
    assert "`wandb-mirror replay` delivers what waits" in waiting
    (lag,) = editor("status", "--json").json["lags"]
    assert (lag["late"], lag["last_error"], lag["due_at"]) == (False, None, None)
    assert 0 <= lag["lag_s"] < 3600


def test_what_is_refused_or_in_conflict_is_a_finding_with_what_to_type(editor: Editor) -> None:
    editor.queue("edit", "r1", "--state", "failed")
    editor.sandbox.state.edit_run("team", "proj", "r1", state="finished")
    editor.queue("edit", "r2", "--notes", "ours")
    editor.sandbox.state.edit_run("team", "proj", "r2", notes="theirs")
    editor("replay", code=9)
    assert names(editor) == ["conflicts", "refused"]
    said = editor("status", code=9).out
    assert "health  2 things to look at" in said
    assert "conflicts: operations in conflict, since somebody else changed the same: 1" in said
    assert "`wandb-mirror outbox diff` shows both sides" in said


def test_what_waits_too_long_is_a_finding_by_the_ages_that_are_configured(editor: Editor) -> None:
    editor.queue("edit", "r0", "--notes", "x")
    allow(editor, "backlog_after_hours = 0.000001\nlate_after_hours = 0.000001\npull_within_hours = 0.000001")
    assert names(editor) == ["source_late", "backlog_old"]
    assert re.search(r"^source  team/proj: LATE, lag ", editor("status", code=9).out, re.MULTILINE)


def test_a_disk_with_too_little_room_is_a_finding(editor: Editor) -> None:
    allow(editor, "disk_free_min_gb = 1e6")
    assert names(editor) == ["disk_nearly_full"]


def test_a_daemon_that_ended_unasked_is_a_finding_and_one_that_was_stopped_is_none(editor: Editor) -> None:
    home = Home(editor.cli.home)
    write_status(home, WELL)
    assert names(editor) == ["daemon_ended"]
    write_status(home, msgspec.structs.replace(WELL, state="stopped"))
    assert names(editor, code=0) == []


def test_help_names_the_exit_status_and_watch_goes_with_no_run(editor: Editor) -> None:
    assert "waits for a person" in editor("status", "--help").out
    assert "goes with neither RUN nor --json" in editor("status", "r1", "--watch", code=2).err
    assert "goes with neither RUN nor --json" in editor("status", "--json", "--watch", code=2).err


def test_watch_without_a_terminal_is_refused_with_what_to_use_instead(editor: Editor) -> None:
    said = editor("status", "--watch", code=2)
    assert said.out == ""
    assert "--watch needs a terminal; elsewhere use `wandb-mirror status`" in said.err


class Terminal:
    """`status --watch` in a terminal of its own."""

    def __init__(self, cli: Cli) -> None:
        self._mine, theirs = pty.openpty()
        env = {**cli.env, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
        started = replace(cli, env=env).start("status", "--watch", stdin=theirs, stdout=theirs, stderr=theirs)
        self.process: subprocess.Popen[bytes] = started
        os.close(theirs)
        self.came = b""

    def until(self, words: bytes, count: int = 1) -> None:
        """Read until these were drawn so often."""
        until = time.monotonic() + PATIENCE_S
        while self.came.count(words) < count:
            assert time.monotonic() < until, self.came
            assert self._read(1.0), self.came

    def end(self, number: int) -> int:
        """Send a signal; the exit status, with everything read that came before."""
        self.process.send_signal(number)
        until = time.monotonic() + PATIENCE_S
        while self._read(1.0):
            assert time.monotonic() < until, "it goes on"
        return self.process.wait(PATIENCE_S)

    def _read(self, seconds: float) -> bool:
        """Whether the other side is still there."""
        if select.select([self._mine], [], [], seconds)[0]:
            try:
                self.came += (more := os.read(self._mine, 65536))
            except OSError:  # Linux says so when the last one closed the other end
                return False
            return bool(more)
        return True

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE_S)
        os.close(self._mine)


@contextlib.contextmanager
def watching(cli: Cli) -> Iterator[Terminal]:
    terminal = Terminal(cli)
    try:
        yield terminal
    finally:
        terminal.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_watch_draws_on_another_screen_and_leaves_the_terminal_as_it_was(
    editor: Editor, number: int, code: int
) -> None:
    with watching(editor.cli) as terminal:
        terminal.until(b"nothing waits for you")
        assert terminal.came.count(OTHER_SCREEN) == 1
        assert BACK not in terminal.came
        editor.queue("edit", "r0", "--notes", "x")
        terminal.until(b"1 waiting")
        assert terminal.end(number) == code, terminal.came
        assert terminal.came.rindex(BACK) > terminal.came.rindex(b"waiting")
        assert SHOW_CURSOR in terminal.came[terminal.came.rindex(b"waiting") :]
        assert b"Traceback" not in terminal.came


def test_watch_comes_to_another_size_at_once_and_survives_a_home_that_cannot_be_read(editor: Editor) -> None:
    with watching(editor.cli) as terminal:
        terminal.until(b"nothing waits for you")
        terminal.process.send_signal(signal.SIGWINCH)
        terminal.until(b"nothing waits for you", 2)
        catalog = Home(editor.cli.home).catalog
        catalog.rename(catalog.with_name("away"))
        catalog.write_bytes(b"no database")
        terminal.until(b"error: ")
        catalog.unlink()
        catalog.with_name("away").rename(catalog)
        drawn = terminal.came.count(b"nothing waits for you")
        terminal.until(b"nothing waits for you", drawn + 3)
        assert terminal.end(signal.SIGINT) == 0


SIGNALS = """
import os, signal, subprocess, sys
from mirror.cli.report.watch import _Signals

SEND = "import os, signal, sys, time; pid = int(sys.argv[1]);" \\
    "[(os.kill(pid, signal.SIGWINCH), time.sleep(n % 50 / 1e6)) for n in range(20_000)]; os.kill(pid, signal.SIGINT)"

with _Signals() as signals:
    sender = subprocess.Popen([sys.executable, "-c", SEND, str(os.getpid())])
    while signals.ended is None:
        signals.wait(10)
sender.wait()
print("ended")
"""


def test_watch_hears_a_signal_at_whatever_moment_it_comes() -> None:
    """A handler runs between any two steps of the thread that waits, also while that one holds a lock."""
    ended = subprocess.run([sys.executable, "-c", SIGNALS], capture_output=True, text=True, timeout=PATIENCE_S)
    assert ended.stdout == "ended\n", ended.stderr


def test_a_picture_fits_the_terminal_and_says_what_is_below(editor: Editor) -> None:
    setting = Setting(
        home=Home(editor.cli.home), config=load_config(editor.cli.config, env={}), config_path=editor.cli.config
    )
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    picture = view(read_status(setting), now, error="the disk [bold]failed[/bold]")
    for width, height in ((20, 6), (40, 12), (100, 60)):
        out = io.StringIO()
        console = Console(file=out, width=width, height=height, force_terminal=False)
        console.print(Clipped(picture))
        drawn = out.getvalue().rstrip("\n").splitlines()
        assert len(drawn) <= height
        assert max(map(len, drawn)) <= width
        assert drawn[-1].endswith("more lines") == (height < 60)
    assert any("the disk [bold]failed[/bold]" in line for line in drawn)


@pytest.mark.parametrize(
    "place",
    [
        Match(kind="storage"),
        Match(contains_run="r1", operation="MirrorRuns"),
    ],
    ids=["export", "run"],
)
def test_a_run_whose_history_could_not_be_read_is_counted_as_incomplete(
    cli: Cli, sandbox: Sandbox, place: Match
) -> None:
    sandbox.state.add_run("team", "proj", "r0")
    sandbox.state.add_run("team", "proj", "r1", history=[{"_step": n, "x": n} for n in range(5)])
    at = cli.at(sandbox).configure("team/proj")
    sandbox.faults.add(Fault.status(503, match=place))
    at("pull", code=9)
    (project,) = at("status", "--json").json["projects"]
    assert project["incomplete"] == 1
    sandbox.faults.clear()
    at("pull", "--retry-quarantined", "--reconcile", code=0)
    (project,) = at("status", "--json").json["projects"]
    assert (project["incomplete"], project["failures"]) == (0, 0)
