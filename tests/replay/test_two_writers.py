"""Two people, or two processes, who edit one run of one mirror: neither loses what they asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirror import Api, CommError
from mirror.records.operations import Change, Create, Edit
from mirror.sandbox import Sandbox
from tests.mirroring import ENTITY, PROJECT, SOURCE, Mirror
from tests.replaying import Sender


def test_tags_that_two_writers_add_from_the_same_base_both_arrive(
    sandbox: Sandbox, mirror: Mirror, sender: Sender
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", tags=["t0"])
    mirror.pull()
    one, two = (Api(mirror.home).run(f"{SOURCE}/r") for _ in range(2))
    one.tags.append("one")
    one.update()
    two.tags.append("two")
    two.update()
    assert set(Api(mirror.home).run(f"{SOURCE}/r").tags) == {"t0", "one", "two"}
    sender.replay()
    assert set(sandbox.state.run(ENTITY, PROJECT, "r").tags) == {"t0", "one", "two"}


def test_a_value_that_two_writers_change_from_the_same_base_is_held_and_not_overwritten(
    sandbox: Sandbox, mirror: Mirror, sender: Sender
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", config={"lr": 0.5})
    mirror.pull()
    one, two = (Api(mirror.home).run(f"{SOURCE}/r") for _ in range(2))
    one.config["lr"] = 0.1
    one.update()
    two.config["lr"] = 0.2
    two.update()
    report = sender.replay()
    assert (report.applied, report.held) == (1, 1)
    assert Api(mirror.home).run(f"{SOURCE}/r").pending[0].state == "conflict"


def test_what_is_asked_after_a_held_edit_of_the_same_value_waits_for_it_and_the_rest_goes(
    sandbox: Sandbox, mirror: Mirror, sender: Sender
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", notes=None, config={"lr": 0.5})
    mirror.pull()
    sandbox.state.edit_run(ENTITY, PROJECT, "r", config={"lr": 0.9})
    first = sender.put("r", Edit(fields={"notes": Change(value="A")}, config={"lr": Change(base=0.5, value=0.1)}))
    assert sender.replay().held == 1
    sender.put("r", Edit(fields={"notes": Change(base="A", value="last word")}))
    sender.put("r", Edit(summary={"best": Change(value=1)}))
    report = sender.replay()
    assert (report.applied, report.waiting) == (0, 1)  # folded into one entry, which is about the notes, too
    (conflict,) = sender.outbox.of_run(first.run_path, "conflict")
    sender.outbox.resolve(conflict.entry, "ours")
    assert sender.replay().applied == 2
    assert sandbox.state.run(ENTITY, PROJECT, "r").notes == "last word"


def test_what_was_queued_for_a_run_that_was_given_up_is_not_written_into_somebody_elses(
    sandbox: Sandbox, mirror: Mirror, sender: Sender
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r")
    mirror.pull()
    entry = sender.put("n", Create(state="running"))
    sender.put("n", Edit(fields={"notes": Change(value="mine")}))
    sandbox.state.add_run(ENTITY, PROJECT, "n", notes="a stranger's")
    assert sender.replay().held == 1
    (conflict,) = sender.outbox.of_run(entry.run_path, "conflict")
    sender.outbox.resolve(conflict.entry, "theirs")
    report = sender.replay()
    assert (report.theirs, report.buried) == (1, 1)
    assert sandbox.state.run(ENTITY, PROJECT, "n").notes == "a stranger's"


def test_values_of_a_wrong_type_are_refused_before_they_are_queued(sandbox: Sandbox, mirror: Mirror) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", tags=["a"])
    mirror.pull()
    run = Api(mirror.home).run(f"{SOURCE}/r")
    run.tags.append(3)  # type: ignore[arg-type]  # what a script without types does
    with pytest.raises(CommError, match="tags are texts"):
        run.update()
    other = Api(mirror.home).run(f"{SOURCE}/r")
    other.notes = 5  # type: ignore[assignment]  # the same
    with pytest.raises(CommError, match="notes is a text"):
        other.update()
    assert other.pending == []


def test_a_run_can_be_made_in_a_home_where_nothing_was_mirrored_yet(tmp_path: Path) -> None:
    api = Api(tmp_path / "home", overrides={"entity": "e", "project": "p"})
    made = api.create_run(run_id="born")
    assert (made.state, [item.kind for item in made.pending]) == ("running", ["create"])
    assert api.create_run(run_id="born").id == "born"
    assert len(made.pending) == 1


def test_a_run_that_is_gone_upstream_takes_no_edits(sandbox: Sandbox, mirror: Mirror) -> None:
    for name in ("r", "stays", "stays2", "stays3", "stays4", "stays5"):
        sandbox.state.add_run(ENTITY, PROJECT, name)
    mirror.pull()
    sandbox.state.delete_run(ENTITY, PROJECT, "r")
    mirror.pull(force_walk=True)
    run = Api(mirror.home).run(f"{SOURCE}/r")
    run.notes = "too late"
    with pytest.raises(CommError, match="deleted upstream"):
        run.update()
    assert run.pending == []
