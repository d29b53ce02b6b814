"""Runs go side by side, also beside one that has far more entries than may be in memory, and each in its order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from mirror.records.operations import Change, Edit, Stop
from mirror.replay import cycle
from mirror.sandbox import Sandbox
from tests.mirroring import ENTITY, PROJECT
from tests.replaying import Sender

EDITS = 12


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few entries in memory, of which one run could take all but one."""
    monkeypatch.setattr(cycle, "OF_A_RUN", 4)
    monkeypatch.setattr(cycle, "AT_ONCE", 5)


def test_a_run_with_a_long_backlog_is_delivered_in_order_and_keeps_no_other_waiting(
    sandbox: Sandbox, sender: Sender
) -> None:
    for name in ("long", "short"):
        sandbox.state.add_run(ENTITY, PROJECT, name, state="finished", config={"n": 0})
    for number in range(EDITS):
        sender.put("long", Edit(config={"n": Change(base=number, value=number + 1)}))
        sender.put("long", Stop())  # keeps the edits apart
    sender.put("short", Edit(config={"n": Change(base=0, value=1)}))
    report = sender.replay()
    assert (report.applied, report.already_so, report.waiting) == (EDITS + 1, EDITS, 0)
    assert sender.counts() == {}
    values = [given["input"]["config"] for given in writes(sandbox, "long")]
    assert [f'"value": {number}' in value for number, value in enumerate(values, 1)] == [True] * EDITS
    order = [record.variables["input"]["id"] for record in sandbox.requests.select("MirrorUpsertRun")]
    assert order.index(sandbox.state.run(ENTITY, PROJECT, "short").id) <= cycle.OF_A_RUN


def writes(sandbox: Sandbox, run_id: str) -> list[Mapping[str, Any]]:
    """What was sent for a run, in order."""
    storage_id = sandbox.state.run(ENTITY, PROJECT, run_id).id
    asked = [record.variables for record in sandbox.requests.select("MirrorUpsertRun")]
    return [given for given in asked if given["input"]["id"] == storage_id]


def test_what_waits_behind_a_held_edit_does_not_keep_a_round_from_ending(sandbox: Sandbox, sender: Sender) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", state="finished", config={"n": 5})
    for number in range(EDITS):
        sender.put("r", Edit(config={"n": Change(base=number, value=number + 1)}))
        sender.put("r", Stop())
    report = sender.replay()
    assert (report.held, report.already_so, report.waiting) == (1, EDITS, EDITS - 1)
