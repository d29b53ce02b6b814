"""What the runner makes of a session's outcomes. wandb's own tests need a checkout and do not run from here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from .processes import MARK, end_marked, marked
from .results import failure_list, markdown_table, read_outcomes


def line(test: str, phase: str, outcome: str, text: str = "") -> str:
    return json.dumps({"test": test, "phase": phase, "outcome": outcome, "text": text})


def test_outcomes_are_counted_as_pytest_counts_them() -> None:
    result = read_outcomes(
        "f.py",
        [
            line("f.py::good", "call", "passed"),
            line("f.py::bad", "call", "failed", "code\nE   AssertionError: no\nE   more"),
            line("f.py::fixture", "setup", "failed", "E   OSError: gone"),
            line("f.py::skipped", "setup", "skipped"),
            line("f.py::expected", "call", "skipped"),
            line("f.py", "collect", "failed", "E   ImportError: old"),
        ],
    )
    counts = {verdict: result.count(verdict) for verdict in ("passed", "failed", "error", "skipped")}
    assert counts == {"passed": 1, "failed": 1, "error": 2, "skipped": 2}
    assert result.reasons == {
        "f.py::bad": "AssertionError: no",
        "f.py::fixture": "OSError: gone",
        "f.py": "ImportError: old",
    }


def test_a_test_that_passed_and_broke_while_cleaning_up_is_an_error_and_a_failed_one_stays_failed() -> None:
    lines = [line("f::a", "call", "passed"), line("f::a", "teardown", "failed", "E   X")]
    lines += [line("f::b", "call", "failed", "E   first"), line("f::b", "teardown", "failed", "E   second")]
    result = read_outcomes("f", lines)
    assert result.verdicts == {"f::a": "error", "f::b": "failed"}
    assert result.reasons == {"f::a": "X", "f::b": "first"}


def test_the_table_has_a_row_a_file_and_a_group_of_columns_a_version() -> None:
    old = [read_outcomes("a.py", [line("a.py::x", "call", "passed")]), read_outcomes("b.py", [], timed_out=True)]
    new = [read_outcomes("a.py", [line("a.py::x", "call", "failed", "E  no")]), read_outcomes("b.py", [])]
    assert markdown_table({"1": old, "2": new}) == (
        "| file | passed (1) | failed (1) | errors (1) | skipped (1) | passed (2) | failed (2) | errors (2) "
        "| skipped (2) |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|\n"
        "| `a.py` | 1 | 0 | 0 | 0 | 0 | 1 | 0 | 0 |\n"
        "| `b.py` | 0 (time limit) | 0 | 0 | 0 | 0 | 0 | 0 | 0 |\n"
        "| **all** | 1 | 0 | 0 | 0 | 0 | 1 | 0 | 0 |\n"
    )
    assert "- `a.py::x`: failed: no" in failure_list({"1": old, "2": new})


def test_processes_of_a_run_are_known_by_their_mark_and_ended_by_their_ids() -> None:
    mark = f"test-{os.getpid()}"
    environment = {"PATH": os.environ["PATH"], MARK: mark}
    sleeper = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]
    started = subprocess.Popen(
        sleeper, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert started.stdout is not None
    assert started.stdin is not None
    try:
        assert started.stdout.readline() == b"up\n"
        if Path("/proc/self/environ").exists():
            assert marked(mark) == [started.pid]
            assert end_marked(mark) == 1
            assert started.wait(10) == -9
        assert marked("another") == []
    finally:
        started.stdin.close()
        started.stdout.close()
        started.kill()
        started.wait()
