"""Processes that add and deliver a run that goes on are killed at random moments: nothing is lost, nothing doubled."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.cli.warm import WarmScript, module
from tests.mirroring import ENTITY, PROJECT
from tests.outbox.conftest import IN_MEMORY
from tests.replay.sync_forker import GROWS
from tests.replay.trainings import add
from tests.replaying import Sender

pytestmark = pytest.mark.crash


def test_a_run_is_upstream_once_whoever_is_killed(sandbox: Sandbox) -> None:
    kill_and_check(sandbox, rounds=3, first=0)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1, 4))
def test_it_is_after_many_more_kills(sandbox: Sandbox, seed: int) -> None:
    kill_and_check(sandbox, rounds=100, first=1000 * seed)


def kill_and_check(sandbox: Sandbox, *, rounds: int, first: int) -> None:
    """Kill a process a round, let the rest be delivered, compare."""
    sandbox.state.add_project(ENTITY, PROJECT)
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        sender = Sender(url=sandbox.url, api_key=sandbox.api_key, home=Home(Path(folder) / "home"))
        sender.replay()  # makes the lake
        trainings = Path(folder) / "wandb"
        forker = WarmScript(
            module("tests.replay.sync_forker"), str(sender.home.root), sandbox.url, sandbox.api_key, str(trainings)
        )
        kills = 0
        for number in range(first, first + rounds):
            forker.say(number)
            kills += int(forker.hear())
        forker.close()
        assert kills == rounds
        sender = sender.later(hours=2 * rounds + 2)
        add(sender, trainings)
        for hours in range(0, 6, 2):
            sender.later(hours=hours).replay()
        assert sender.counts() == {}, "something is still claimed, waits, or was put aside"
        run = sandbox.state.run(ENTITY, PROJECT, "r1")
        assert [row["_step"] for row in run.history] == list(range(GROWS * rounds))
        assert sorted(run.history_lines) == list(range(GROWS * rounds)), "a line was sent under two numbers"
        assert [line.line for line in run.console] == [f"round {number}" for number in range(first, first + rounds)]
        assert len(run.events) == rounds
        titles = [alert["title"] for alert in run.alerts]
        assert len(titles) == len(set(titles)), "an alert was sent twice"
        assert rounds - kills <= len(titles), "one that nobody was killed over is missing"
        assert run.state == "finished"
        assert len(sandbox.state.project(ENTITY, PROJECT).collections["model"].versions) == 1
