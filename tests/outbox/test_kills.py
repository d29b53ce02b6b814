"""Processes that queue, fold and claim are killed at random moments: what was acknowledged is there exactly once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mirror.layout import Home
from mirror.outbox import Aside, Outbox
from tests.cli.warm import WarmScript, module
from tests.outbox.forker import KILLS_A_ROUND
from tests.outbox.operations import RUNS, marks

pytestmark = pytest.mark.crash

ROUNDS = 17


@pytest.mark.parametrize("where", ["fast_path", "tmp_path"])  # killed while it computes, killed while it flushes
def test_what_a_killed_process_was_told_is_queued_is_there_once_and_in_order(
    where: str, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(where)
    home, log = Home(folder / "home"), folder / "acknowledged"
    forker, kills = WarmScript(module("tests.outbox.forker"), str(home.root), str(log)), 0
    for number in range(ROUNDS):
        forker.say(number)
        kills += int(forker.hear())
        check(home, log)
    forker.close()
    assert kills == ROUNDS * KILLS_A_ROUND > 50


def check(home: Home, log: Path) -> None:
    """Everything acknowledged is in one entry; what was only begun is in one, or in none."""
    told: list[Aside] = []
    outbox = Outbox(home, told.append)
    with outbox.replaying():
        found = [(mark, placed) for placed in outbox.entries() for mark in marks(placed.entry.operation)]
        assert not list((home.outbox / "tmp").iterdir())
        assert outbox.counts()["claimed"] == 0
    assert not told
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    begun = {mark for word, mark in lines if word == "begun"}
    done = {mark for word, mark in lines if word == "done"}
    times = Counter(mark for mark, _ in found)
    assert set(times.values()) <= {1}
    assert done <= set(times) <= begun
    for run in RUNS:
        by_writer: dict[str, list[str]] = {}
        for placed in outbox.of_run(run):
            for mark in sorted(marks(placed.entry.operation)):
                by_writer.setdefault(mark.split(".")[0], []).append(mark)
        for asked in by_writer.values():
            assert asked == sorted(asked)
