"""Homes that were copied, restored or fell behind: what was queued there is delivered once, and never lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import mirror as wandb_mirror
from mirror.sandbox import Sandbox
from mirror.store.objects.objects import Objects
from tests.cluster.group import Member
from tests.cluster.servers import Place
from tests.cluster.test_care_of_a_group import put_upload


def deliver(lead: Member) -> int:
    """One round of the leader's; how many operations it applied."""
    with lead.leading() as leader:
        leader.share()
        leader.fulfil()
        return leader.replay().applied


@pytest.mark.parametrize("is_delivered", [False, True])
def test_what_was_added_in_a_copy_of_a_home_is_delivered_beside_what_the_first_one_handed_over(
    group: list[Member], sandbox: Sandbox, is_delivered: bool
) -> None:
    lead, ann, ben = group
    ann.note("one", "first")
    shutil.copytree(ann.home.outbox, ben.home.outbox)
    ann.share()
    if is_delivered:
        assert deliver(lead) == 1
    ben.note("one", "second", before="first")
    ben.share()
    deliver(lead)
    assert sandbox.state.run("team", "proj", "one").notes == "second"
    for member in (ann, ben):
        member.share()
        assert member.seen() == []


def test_two_copies_of_a_home_deliver_what_both_have_once(group: list[Member], sandbox: Sandbox) -> None:
    lead, ann, ben = group
    ann.note("one", "first")
    ann.note("one", "first and a half", before="first")
    shutil.copytree(ann.home.outbox, ben.home.outbox)
    assert (ann.share().handed_over, ben.share().handed_over) == (1, 0)
    assert deliver(lead) == 1
    sandbox.state.run("team", "proj", "one").notes = "changed since"
    ben.share()
    assert deliver(lead) == 0
    assert sandbox.state.run("team", "proj", "one").notes == "changed since"


def test_what_is_given_up_before_its_bytes_reach_the_bucket_is_never_delivered(
    group: list[Member], place: Place, sandbox: Sandbox, tmp_path: Path
) -> None:
    lead, ann, _ = group
    put_upload(ann, tmp_path)
    settings = ann.home.config.read_text()
    ann.home.config.write_text(settings.replace(place.servers.endpoint, "http://127.0.0.1:1"))
    with pytest.raises(wandb_mirror.StoreError):
        ann.share()
    (placed,) = ann.outbox.entries()
    assert ann.outbox.give_up(placed.entry)
    assert deliver(lead) == 0
    ann.home.config.write_text(settings)
    ann.share()
    assert deliver(lead) == 0
    assert "model.pt" not in sandbox.state.run("team", "proj", "one").files
    ann.share()
    assert ann.seen() == []


def test_an_upload_whose_bytes_are_lost_keeps_nothing_else_from_the_group(
    group: list[Member], sandbox: Sandbox, tmp_path: Path
) -> None:
    lead, ann, ben = group
    digest = put_upload(ann, tmp_path)
    Objects(ann.home).path(digest).unlink()
    ann.note("two", "from ann")
    ben.note("one", "from ben")
    ben.share()
    ann.share()
    assert len(ann.seen()) == 3
    assert deliver(lead) == 2
    ben.share()
    assert ben.seen() == [("dead", "one")]


def test_a_home_shows_what_waits_in_a_database_that_was_set_back(group: list[Member], place: Place) -> None:
    _, ann, ben = group
    for number in range(3):
        ann.note("one", f"note {number}")
        ann.share()
    ben.share()
    with place.connected() as database:
        database.execute("UPDATE wandb_mirror.changes SET number = 1")
        database.execute("DELETE FROM wandb_mirror.outbox")
    ann.note("two", "after the restore")
    ann.share()
    ben.share()
    assert ("new", "two") in ben.seen()
    assert len(ben.seen()) == 4
