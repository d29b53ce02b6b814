"""A pytest plugin of ours that runs inside wandb's test session: one line of JSON for every phase of a test.

Lines are written as they come, so that a session which is ended by its time limit still tells what it did. The file is
named by UPSTREAM_OUTCOMES; its neighbour with the ending .finished says that all tests were told.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    # setup and teardown that passed say nothing; what is skipped in setup, or fails in any phase, does.
    if report.when == "call" or report.outcome != "passed":
        _write(report.nodeid, str(report.when), report.outcome, report.longreprtext)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.outcome == "failed":
        _write(report.nodeid, "collect", report.outcome, report.longreprtext)


def pytest_sessionfinish() -> None:
    Path(os.environ["UPSTREAM_OUTCOMES"]).with_suffix(".finished").touch()


def _write(test: str, phase: str, outcome: str, text: str) -> None:
    line = json.dumps({"test": test, "phase": phase, "outcome": outcome, "text": text})
    with Path(os.environ["UPSTREAM_OUTCOMES"]).open("a", encoding="utf-8") as file:
        file.write(line + "\n")
