"""What was asked of a run is not done to another one, which somebody made under its id since."""

from __future__ import annotations

from typing import Any

import pytest

from mirror import Api
from mirror.outbox import OutboxReader
from mirror.records.operations import Change, Create, Edit
from mirror.replay.identity import ANOTHER_RUN
from mirror.sandbox import Fault, Match, Sandbox
from tests.mirroring import ENTITY, PROJECT, SOURCE, Mirror
from tests.replaying import Sender

CASES = {
    f"{'the same id' if same else 'another id'}, {'pulled since' if pulled else 'not pulled since'}": (same, pulled)
    for same in (False, True)
    for pulled in (False, True)
}


def make_again(sandbox: Sandbox, name: str, *, same_storage_id: bool) -> None:
    old = sandbox.state.run(ENTITY, PROJECT, name)
    sandbox.state.delete_run(ENTITY, PROJECT, name)
    new = sandbox.state.add_run(ENTITY, PROJECT, name, notes="of somebody else", state="finished")
    if same_storage_id:  # as W&B makes it of the run's path
        with sandbox.state.lock:
            sandbox.state.runs_by_id.pop(new.id)
            new.id = old.id
            sandbox.state.runs_by_id[new.id] = new


@pytest.mark.parametrize(("same_storage_id", "is_pulled"), CASES.values(), ids=CASES)
def test_it_is_held_and_a_person_may_want_it_all_the_same(
    same_storage_id: bool, is_pulled: bool, sandbox: Sandbox, mirror: Mirror, sender: Sender
) -> None:
    names = ("deleted", "edited", "filled")
    for name in (*names, "stays"):
        sandbox.state.add_run(ENTITY, PROJECT, name, notes="mine", state="finished")
    mirror.pull()
    runs = {name: Api(mirror.home).run(f"{SOURCE}/{name}") for name in names}
    runs["edited"].notes = "changed"
    runs["edited"].update()
    runs["deleted"].delete()
    (mirror.home.root / "f.txt").write_bytes(b"mine")
    runs["filled"].upload_file(str(mirror.home.root / "f.txt"), root=str(mirror.home.root))
    sandbox.clock.advance(60)
    for name in names:
        make_again(sandbox, name, same_storage_id=same_storage_id)
    if is_pulled:
        mirror.pull(force_walk=True)
    assert [forecast.outcome for forecast in sender.foresee()] == ["held"] * 3
    replayed = sender.replay()
    assert (replayed.held, replayed.applied, replayed.buried) == (3, 0, 0)
    assert {placed.entry.reason for placed in OutboxReader(mirror.home).entries("conflict")} == {ANOTHER_RUN}
    for name in names:
        run = sandbox.state.run(ENTITY, PROJECT, name)
        assert (run.notes, [*run.files]) == ("of somebody else", [])
    for placed in OutboxReader(mirror.home).entries("conflict"):
        sender.outbox.resolve(placed.entry, "theirs" if placed.entry.run_id == "filled" else "ours")
    sender.replay()
    assert sum(request.operation == "MirrorDeleteRun" for request in sandbox.requests) == 1
    assert sandbox.state.run(ENTITY, PROJECT, "edited").notes == "changed"
    assert [*sandbox.state.run(ENTITY, PROJECT, "filled").files] == []


def test_a_run_that_was_made_and_changed_here_is_its_own(sandbox: Sandbox, mirror: Mirror, sender: Sender) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "again", notes="old")
    sandbox.state.add_run(ENTITY, PROJECT, "stays")
    mirror.pull()
    sandbox.clock.advance(60)
    sandbox.state.delete_run(ENTITY, PROJECT, "again")
    mirror.pull(force_walk=True)
    sender.put("again", Create(state="running"))
    sender.put("again", Edit(fields={"notes": Change(base=None, value="new")}))
    assert sender.replay().applied == 2
    assert sandbox.state.run(ENTITY, PROJECT, "again").notes == "new"


def test_a_look_that_is_answered_with_another_run_changes_neither(
    sandbox: Sandbox, mirror: Mirror, sender: Sender
) -> None:
    for name in ("asked", "other"):
        sandbox.state.add_run(ENTITY, PROJECT, name, notes="old")
    mirror.pull()
    other = sandbox.state.run(ENTITY, PROJECT, "other")

    def swapped(answer: Any) -> None:
        answer["data"]["project"]["run"] |= {"name": "other", "id": other.id}

    sandbox.faults.add(Fault.lie(swapped, match=Match(operation="MirrorRun")))
    sender.put("asked", Edit(fields={"notes": Change(base="old", value="new")}))
    replayed = sender.replay()
    assert (replayed.applied, replayed.buried) == (0, 1)
    assert [sandbox.state.run(ENTITY, PROJECT, name).notes for name in ("asked", "other")] == ["old", "old"]
