"""Alerts of runs that were trained offline are sent at most once, in order, whatever is lost or repeated."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mirror.layout import Home
from mirror.sandbox import Fault, Match, Sandbox
from tests.mirroring import ENTITY, PROJECT, SERVER
from tests.replay.trainings import Training, add
from tests.replaying import Sender

ALERT = Match(operation="MirrorSendAlert")


@pytest.fixture(autouse=True)
def _project(sandbox: Sandbox) -> None:
    sandbox.state.add_project(ENTITY, PROJECT)


def alerts(sandbox: Sandbox) -> list[Any]:
    """Titles of those that the server sent."""
    return [alert["title"] for alert in sandbox.state.run(ENTITY, PROJECT, "r1").alerts]


def alarming(tmp_path: Path) -> Training:
    """A run with an alert before its rows, among them, and behind them."""
    training = Training(tmp_path / "wandb")
    training.alert("begins", text="now", level="WARN", wait_duration=60_000)
    training.log(3)
    training.alert("goes on")
    training.log(3)
    training.alert("ends", level="unheard of")
    return training


def test_alerts_are_sent_once_also_by_another_home(sandbox: Sandbox, sender: Sender, tmp_path: Path) -> None:
    alarming(tmp_path).finish()
    add(sender, tmp_path)
    assert sender.replay().applied == 1
    first, second, third = sandbox.state.run(ENTITY, PROJECT, "r1").alerts
    assert first == {"title": "begins", "text": "now", "severity": "WARN", "waitDuration": 60_000}
    assert (second["title"], third["title"], third["severity"]) == ("goes on", "ends", None)
    other = dataclasses.replace(sender, home=Home(tmp_path / "other"))
    other.replay()  # makes the lake
    add(other, tmp_path / "wandb")
    assert other.replay().applied == 1
    assert alerts(sandbox) == ["begins", "goes on", "ends"]


def test_a_run_that_goes_on_sends_those_that_are_new(sandbox: Sandbox, sender: Sender, tmp_path: Path) -> None:
    training = alarming(tmp_path)
    now = dt.datetime.now(dt.UTC)
    sender = dataclasses.replace(sender, now=lambda: now)
    for number in range(3):
        add(sender, tmp_path)
        sender.later(minutes=number).replay()
        sender.later(minutes=number, seconds=30).replay()
        training.alert(f"more {number}")
    silent = sender.later(hours=1)
    add(silent, tmp_path)
    assert silent.replay().applied == 1  # it counts as broken off
    training.alert("after all")
    training.log(1)
    training.finish()
    add(silent, tmp_path)
    assert silent.later(hours=1).replay().applied == 1
    assert alerts(sandbox) == ["begins", "goes on", "ends", "more 0", "more 1", "more 2", "after all"]


def test_one_whose_answer_is_lost_is_not_sent_again(sandbox: Sandbox, sender: Sender, tmp_path: Path) -> None:
    alarming(tmp_path).finish()
    add(sender, tmp_path)
    sandbox.faults.add(Fault.lost_answer(times=1, match=ALERT))
    assert sender.replay().applied == 1
    assert alerts(sandbox) == ["begins", "goes on", "ends"]


def test_one_that_the_server_did_not_hear_of_is_sent_later(sandbox: Sandbox, sender: Sender, tmp_path: Path) -> None:
    alarming(tmp_path).finish()
    add(sender, tmp_path)
    sandbox.faults.add(Fault.status(429, match=ALERT))
    sender.server = msgspec.structs.replace(SERVER, rate_limit_patience_minutes=0.2 / 60)
    assert (sender.replay().put_back, alerts(sandbox)) == (1, [])
    sandbox.faults.clear()
    assert sender.later(hours=1).replay().applied == 1
    assert alerts(sandbox) == ["begins", "goes on", "ends"]


def test_a_server_that_takes_none_gets_the_run_and_that_is_said(tmp_path: Path, home: Home) -> None:
    with Sandbox.start() as server:
        server.state.add_project(ENTITY, PROJECT)
        sender = Sender(url=server.url, api_key=server.api_key, home=home)
        sender.replay()
        server.faults.add(Fault.graphql_error("no alerts here", status=400, match=ALERT))
        alarming(tmp_path).finish()
        add(sender, tmp_path)
        assert sender.replay().applied == 1
        run = server.state.run(ENTITY, PROJECT, "r1")
        assert (len(run.history), run.state, run.alerts) == (6, "finished", [])
        (receipt,) = sender.receipts()
        assert "the alert 'begins': " in receipt["answer"]
        assert "no alerts here" in receipt["answer"]
