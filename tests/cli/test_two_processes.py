"""Two programs at once, and one that is interrupted."""

from __future__ import annotations

import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from mirror.sandbox import Fault, Match, Sandbox
from tests.cli.conftest import Cli
from tests.terminal import plain

SLOW = "[pull]\npage_size_start = 1\npage_size_max = 1\n"
PATIENCE_S = 30.0


def wait_until(happened: Callable[[], bool]) -> None:
    """Wait for something that another process does; what never happens fails."""
    end = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < end, "it never happened"
        select.select([], [], [], 0.02)


@pytest.fixture
def slow(cli: Cli, sandbox: Sandbox) -> Iterator[Cli]:
    """A mirror of a server that stops to think after the first pages."""
    for number in range(5):
        sandbox.state.add_run("team", "proj", f"r{number}", created_at=f"2026-01-0{number + 1}T00:00:00Z")
    sandbox.faults.add(Fault.latency(0.5, match=Match(kind="graphql")))
    yield cli.at(sandbox).configure("team/proj", more=SLOW)
    sandbox.faults.clear()


def test_a_second_pull_is_told_which_process_writes_and_readers_go_on(slow: Cli, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault.latency(2.0, match=Match(kind="graphql")))  # longer than another program takes to start
    with slow.start("pull", stderr=subprocess.DEVNULL) as first:
        wait_until(lambda: sandbox.requests.count("MirrorRuns") >= 2)
        said = slow.fails(8, "pull")
        assert f"PID {first.pid} " in said.error
        assert "wait until it is done" in said.hint
        writer = slow("status", "--json", code=0).json["writer"]
        assert writer is None or writer["pid"] == first.pid
        sandbox.faults.clear()
        assert first.wait(PATIENCE_S) == 0
    assert slow("status", "--json", code=0).json["runs"] == 5


def test_an_interrupted_pull_says_one_line_and_the_next_one_completes(slow: Cli, sandbox: Sandbox) -> None:
    with slow.start("pull", stderr=subprocess.PIPE) as process:
        wait_until(lambda: sandbox.requests.count("MirrorRuns") >= 3)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.read().decode()
        assert process.wait(PATIENCE_S) == 130
    *progress, last = said.splitlines()
    assert last == "interrupted; nothing is lost, the same command goes on where it stopped"
    assert not any("compared" in line for line in progress), "an interrupted pass is not reported as one that ended"
    held = slow("status", "--json", code=9).json
    assert 1 <= held["runs"] < 5
    assert held["projects"][0]["walk_under_way"]
    sandbox.faults.clear()
    slow("pull", code=0)
    assert slow("status", "--json", code=0).json["runs"] == 5


def test_a_terminal_sees_bars_and_then_the_summary(slow: Cli) -> None:
    with slow.at_terminal("pull") as terminal:
        assert "team/proj" in terminal.reads("━")
        assert re.search(r"[1-5]/5 runs", f"{terminal.reads('/5')} runs")
        assert terminal.ends() == 0
    assert "team/proj: 5 new or changed (all runs compared)" in plain(terminal.drawn)
    assert re.search(r"1 project, \d+ requests", plain(terminal.drawn))


def test_without_a_terminal_there_are_plain_lines(cli: Cli, server: Sandbox) -> None:
    cli = cli.at(server).configure("team/proj")
    said = cli("pull", code=0)
    assert said.out == ""
    assert said.err.splitlines()[0] == "team/proj: 3 new or changed (all runs compared)"
    assert "\x1b" not in said.err
    assert cli("pull", "--quiet", code=0).err == ""
