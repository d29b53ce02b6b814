"""What counts as an attempt: an outage for no entry, and only what may have been sent makes a run our own."""

from __future__ import annotations

import dataclasses

import pytest

from mirror.records.operations import Change, Create, Edit
from mirror.replay.decide import MOST_UNCONFIRMED
from mirror.sandbox import Fault, Match, Sandbox
from mirror.sandbox.state.core import DEFAULT_FEATURES
from tests.mirroring import ENTITY, PROJECT
from tests.replaying import Sender


@pytest.fixture
def sender(sandbox: Sandbox, sender: Sender) -> Sender:
    """With a project upstream, and a server whose features are known."""
    sandbox.state.add_run(ENTITY, PROJECT, "other")
    return dataclasses.replace(sender, features=DEFAULT_FEATURES)


def made_by_somebody_else(sandbox: Sandbox, run_id: str) -> None:
    """A run of this id appears upstream."""
    sandbox.state.add_run(ENTITY, PROJECT, run_id, notes="theirs")


def test_a_creation_that_met_an_outage_takes_no_run_of_its_id_for_its_own(sandbox: Sandbox, sender: Sender) -> None:
    sender.put("mine", Create(state="pending"))
    with sandbox.outage():
        sender.replay()
    sandbox.faults.add(Fault.html(403, match=Match(operation="MirrorRun")))  # a proxy: the look fails, nothing is sent
    assert sender.replay().put_back == 1
    sandbox.faults.clear()
    made_by_somebody_else(sandbox, "mine")
    assert sender.later(hours=1).replay().held == 1
    assert sandbox.state.run(ENTITY, PROJECT, "mine").notes == "theirs"


def test_a_creation_that_was_refused_and_is_tried_again_is_not_the_run_that_somebody_made_since(
    sandbox: Sandbox, sender: Sender
) -> None:
    entry = sender.put("mine", Create(state="pending"))
    sandbox.faults.add(Fault.status(403, times=1, match=Match(operation="MirrorUpsertRun")))
    assert sender.replay().buried == 1
    made_by_somebody_else(sandbox, "mine")
    sender.outbox.retry(sender.outbox.get(entry.id).entry)
    assert sender.replay().held == 1


def test_outages_count_for_no_entry(sandbox: Sandbox, sender: Sender) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r")
    entry = sender.put("r", Edit(fields={"notes": Change(base=None, value="mine")}))
    for _ in range(MOST_UNCONFIRMED + 1):
        sandbox.faults.add(Fault.status(401))
        assert sender.replay().outage is not None
        sandbox.faults.clear()
    assert sender.outbox.get(entry.id).entry.attempts == 0
    taken = '{"data": {"upsertBucket": {"bucket": null}}}'  # says the server, and does nothing
    sandbox.faults.add(Fault.status(500, times=1, match=Match(operation="MirrorUpsertRun"), body=taken))
    assert sender.replay().put_back == 1
    waiting = sender.outbox.get(entry.id).entry
    assert waiting.not_before is not None
    assert (waiting.not_before - sender.now()).total_seconds() < 10, "the first failure waits as a first one"
    assert sender.later(hours=1).replay().applied == 1
