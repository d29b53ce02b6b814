"""`wandb sync` and the mirror take over from one another, wherever the other one was killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mirror.layout import Home
from mirror.sandbox import Fault, Match, Sandbox
from tests.bench.measuring import COMMAND_LINE, write_config
from tests.contract.test_offline_runs import environment
from tests.mirroring import ENTITY, PROJECT
from tests.offline.logs import exit_record as end_record
from tests.offline.logs import line_record, offline_log, row_record, run_record, stats_record, write_log
from tests.replay.trainings import add
from tests.replaying import Sender

ROWS = 10_000
NOTE = "x" * 2_000  # of each row: together they are more than one request has
LINES = Match(kind="file_stream")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a run logged offline."""
    rows = (row_record(step, {"loss": step % 97 / 7, "note": NOTE}) for step in range(ROWS))
    printed = (line_record(f"line {number}\n") for number in range(20))
    measured = (stats_record(number) for number in range(20))
    records = [run_record("r1", config={"lr": 0.1}), *printed, *measured, *rows, end_record()]
    return write_log(offline_log(tmp_path, "r1"), records).parent


@pytest.fixture
def server(sandbox: Sandbox) -> Sandbox:
    """With the project."""
    sandbox.state.add_project(ENTITY, PROJECT)
    return sandbox


def test_the_mirror_goes_on_where_wandb_sync_was_killed(server: Sandbox, folder: Path, tmp_path: Path) -> None:
    """Nothing that it began stands in the way."""
    process = subprocess.Popen(sync(folder), env=environment(server), stdout=subprocess.DEVNULL, cwd=tmp_path)
    killed_half_way(server, process)
    sender = Sender(url=server.url, api_key=server.api_key, home=Home(tmp_path / "home"))
    add(sender, folder)
    assert sender.replay().applied == 1
    assert is_whole(server)


def test_wandb_sync_goes_on_where_the_mirror_was_killed(server: Sandbox, folder: Path, tmp_path: Path) -> None:
    """What was begun here is ended there; the mirror then finds that nothing is left to do."""
    home = Home(tmp_path / "home")
    sender = Sender(url=server.url, api_key=server.api_key, home=home)
    add(sender, folder)
    write_config(home.root, server.url)
    replay = [sys.executable, "-c", COMMAND_LINE, "--home", str(home.root), "replay"]
    process = subprocess.Popen(replay, env=environment(server), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    killed_half_way(server, process)
    subprocess.run(sync(folder), env=environment(server), check=True, cwd=tmp_path, capture_output=True)
    assert is_whole(server)
    server.requests.clear()
    assert sender.later(hours=1).replay().applied == 1
    assert is_whole(server)
    assert sum(sent.bytes_in for sent in server.requests.select(kind="file_stream")) < 2_000  # a summary, and the end


def sync(folder: Path) -> list[str]:
    """W&B's own command."""
    return [str(Path(sys.executable).with_name("wandb")), "sync", str(folder)]


def killed_half_way(server: Sandbox, process: subprocess.Popen[bytes]) -> None:
    """Kill a process, and those that it started, when the server has some rows."""
    waited(lambda: rows_of(server) > 0)
    server.faults.add(Fault.status(500, match=LINES))
    for pid in [*children_of(process.pid), process.pid]:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.5)  # requests that were on their way
    server.faults.clear()
    assert 0 < rows_of(server) < ROWS


def children_of(pid: int) -> list[int]:
    """The processes that one has started, and those that these have."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it ended meanwhile
            continue
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def rows_of(server: Sandbox) -> int:
    """Rows of it that the server has."""
    with contextlib.suppress(LookupError):
        return len(server.state.run(ENTITY, PROJECT, "r1").history)
    return 0


def is_whole(server: Sandbox) -> bool:
    """Whether the server has all of the run, once."""
    run = server.state.run(ENTITY, PROJECT, "r1")
    assert [row["_step"] for row in run.history] == list(range(ROWS))
    assert [line.line for line in run.console] == [f"line {number}" for number in range(20)]
    assert len(run.events) == 20
    return run.state == "finished"


def waited(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.002)
