"""Processes that queue and replay are killed at random moments: what was acknowledged takes effect exactly once."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest

from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.cli.warm import WarmScript, module
from tests.mirroring import ENTITY, PROJECT
from tests.outbox.conftest import IN_MEMORY
from tests.replay.forker import KILLS_A_ROUND, RUNS
from tests.replay.histories import assert_never_back, config, written_values
from tests.replaying import Sender

pytestmark = pytest.mark.crash

ROUNDS = 4


def test_what_was_acknowledged_takes_effect_once_whoever_is_killed(sandbox: Sandbox) -> None:
    kill_and_check(sandbox, rounds=ROUNDS, first=0)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1, 6))
def test_it_does_after_many_more_kills(sandbox: Sandbox, seed: int) -> None:
    kill_and_check(sandbox, rounds=300, first=1000 * seed)


def kill_and_check(sandbox: Sandbox, *, rounds: int, first: int) -> None:
    """Kill three processes a round, let the rest be delivered, compare."""
    for number in range(RUNS):
        sandbox.state.add_run(ENTITY, PROJECT, f"r{number}", config={"theirs": number})
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        sender = Sender(url=sandbox.url, api_key=sandbox.api_key, home=Home(Path(folder) / "home"))
        sender.replay()  # makes the lake
        log = Path(folder) / "log"
        forker = WarmScript(
            module("tests.replay.forker"), str(sender.home.root), sandbox.url, sandbox.api_key, str(log)
        )
        kills = 0
        for number in range(first, first + rounds):
            forker.say(number)
            kills += int(forker.hear())
        forker.close()
        assert kills == rounds * KILLS_A_ROUND
        for hours in range(0, 6, 2):
            sender.later(hours=hours).replay()
        assert sender.counts() == {}, "something is still claimed, waits, or was put aside"
        check(sandbox, sender, log)


def check(sandbox: Sandbox, sender: Sender, log: Path) -> None:
    """Every acknowledged operation took effect once, in order, and has one receipt."""
    begun: dict[tuple[str, str], int] = {}
    done: dict[tuple[str, str], int] = {}
    ids = set()
    for word, run_id, key, number, entry_id in (line.split() for line in log.read_text().splitlines()):
        (begun if word == "begun" else done)[run_id, key] = int(number)
        if word == "done":
            ids.add(entry_id)
    receipts = sender.receipts()
    times = Counter(one["id"] for one in receipts)
    assert set(times.values()) == {1}, "an operation has two receipts"
    assert ids <= set(times) | {folded for one in receipts for folded in one["folded"]}, "an operation has no receipt"
    # Whether a replay died between its write and its receipt is chance here; `test_crash_steps` sees to it.
    assert {one["outcome"] for one in receipts} <= {"applied", "already_so"}
    assert any(one["attempts"] > 1 for one in receipts), "no replay was killed at work"
    for (run_id, key), last in begun.items():
        there = config(sandbox, run_id).get(key, 0)
        assert done.get((run_id, key), 0) <= there <= last
        assert_never_back(written_values(sandbox, sandbox.state.run(ENTITY, PROJECT, run_id).id, key))
    uploads = [one for one in receipts if one["kind"] == "upload_file"]
    for one in uploads:
        name = one["operation"]["name"]
        assert sandbox.state.run(ENTITY, PROJECT, one["run_id"]).files[name].listed
    for which in range(RUNS):
        assert config(sandbox, f"r{which}")["theirs"] == which
