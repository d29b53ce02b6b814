"""Kill -9 at any instant: the next pull goes on by itself and ends equal to the server's truth."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time

from mirror.errors import NotMirrored, StoreError
from mirror.sandbox import Sandbox
from tests.mirroring import ENTITY, PROJECT, Mirror

RUNS = 120
PAGE = 4
KILLS = 10


def start_worker(mirror: Mirror) -> subprocess.Popen[str]:
    """A pull in another process, past its imports."""
    command = [sys.executable, "-m", "tests.pull.worker", mirror.url, mirror.api_key, str(mirror.home.root), str(PAGE)]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    return worker


def test_a_killed_pull_goes_on_where_it_stopped_and_holds_no_run_twice(sandbox: Sandbox, mirror: Mirror) -> None:
    for number in range(RUNS):
        when = f"2024-01-01T00:{number // 60:02}:{number % 60:02}"
        sandbox.state.add_run(ENTITY, PROJECT, f"r{number:04}", created_at=when, config={"n": number})
    chance = random.Random(20240101)
    killed = 0
    held = 0
    for _ in range(KILLS):
        worker = start_worker(mirror)
        assert worker.stdout is not None
        killer = threading.Timer(chance.uniform(0.0, 1.0), os.kill, (worker.pid, signal.SIGKILL))
        killer.start()
        worker.stdout.read()
        killer.cancel()
        killed += worker.wait() == -signal.SIGKILL
        worker.stdout.close()
        try:
            ids = mirror.run_ids("true")
        except (NotMirrored, StoreError):  # killed while it made the tables
            assert held == 0
            continue
        assert len(ids) == len(set(ids))
        assert len(ids) >= held
        assert len(ids) % PAGE == 0, "half a page was committed"
        held = len(ids)
    assert killed >= 5
    started = time.monotonic()
    report = mirror.using(page_size_start=50).pull()
    assert report.errors == []
    assert mirror.run_ids("true") == [f"r{number:04}" for number in range(RUNS)]
    assert {row["run_id"]: row["config"] for row in mirror.ask("SELECT run_id, config FROM runs")} == {
        f"r{number:04}": {"n": number} for number in range(RUNS)
    }
    assert mirror.run_ids("gone_at IS NOT NULL") == []
    assert time.monotonic() - started < 60
