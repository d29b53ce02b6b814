"""What a delivery learns on its way is not lost: the mirror shows why something was refused, and what is so now."""

from __future__ import annotations

import pytest

from mirror import Api
from mirror.errors import CommError
from mirror.records.operations import Change, Edit, UpdateState
from mirror.replay.decide import MOST_UNCONFIRMED
from mirror.sandbox import Fault, Match, Sandbox
from tests.mirroring import ENTITY, PROJECT, SOURCE, Mirror
from tests.replaying import Sender

NOTES = Edit(fields={"notes": Change(base="old", value="new")})


def test_a_refused_state_change_shows_the_state_that_refused_it(
    sandbox: Sandbox, mirror: Mirror, sender: Sender
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", state="running")
    mirror.pull()
    sender.put("r", UpdateState(state="failed", base="running"))
    sandbox.state.run(ENTITY, PROJECT, "r").state = "finished"
    assert sender.replay().buried == 1
    assert mirror.run("r")["state"] == "finished"
    with pytest.raises(CommError, match="finished"):
        Api(mirror.home).run(f"{SOURCE}/r").update_state("pending")


def test_an_edit_of_a_run_that_is_gone_marks_it_as_gone_if_the_server_shows_its_project(
    sandbox: Sandbox, mirror: Mirror, sender: Sender
) -> None:
    for name in ("r", "stays"):
        sandbox.state.add_run(ENTITY, PROJECT, name, notes="old")
    mirror.pull()
    sandbox.state.delete_run(ENTITY, PROJECT, "r")
    sender.put("r", NOTES)
    assert sender.replay().buried == 1
    assert mirror.run("r")["gone_at"] is not None
    assert mirror.run("stays")["gone_at"] is None


def test_a_run_of_a_project_that_is_hidden_from_the_key_is_not_marked_as_gone(
    sandbox: Sandbox, mirror: Mirror, sender: Sender
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", notes="old")
    mirror.pull()
    sender.put("r", NOTES)
    sandbox.state.projects.pop((ENTITY, PROJECT))
    assert sender.replay().buried == 1
    assert mirror.run("r")["gone_at"] is None


def test_a_write_that_met_another_one_is_tried_again_a_few_times(sandbox: Sandbox, sender: Sender) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", notes="old")
    sandbox.state.add_run(ENTITY, PROJECT, "other", notes="old")
    entry = sender.put("r", NOTES)
    write = Match(operation="MirrorUpsertRun")
    sandbox.faults.add(Fault.status(409, times=2, match=write))
    for _ in range(2):
        assert sender.replay().put_back == 1
        sender = sender.later(hours=1)
    assert sender.replay().applied == 1
    entry = sender.put("other", NOTES)
    sandbox.faults.add(Fault.status(409, match=write))
    for _ in range(MOST_UNCONFIRMED - 1):
        assert sender.replay().put_back == 1
        sender = sender.later(hours=1)
    assert sender.replay().buried == 1
    assert "409" in (sender.outbox.get(entry.id).entry.reason or "")


def test_a_text_with_a_nul_that_nobody_touched_is_no_conflict(sandbox: Sandbox, mirror: Mirror, sender: Sender) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", notes="a\0b")
    mirror.pull()
    run = Api(mirror.home).run(f"{SOURCE}/r")
    run.notes = "without"
    run.update()
    assert sender.replay().applied == 1
    assert sandbox.state.run(ENTITY, PROJECT, "r").notes == "without"


def test_a_summary_is_that_of_the_run_also_after_it_was_read_anew(sandbox: Sandbox, mirror: Mirror) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", summary={"best": {"loss": 1.0}})
    mirror.pull()
    run = Api(mirror.home).run(f"{SOURCE}/r")
    kept = run.summary
    nested = kept["best"]
    run.load(force=True)
    kept["one"] = 1
    nested["loss"] = 0.5
    run.summary.update({"two": 2})
    (pending,) = run.pending
    assert isinstance(pending.operation, Edit)
    assert {key: change.value for key, change in pending.operation.summary.items()} == {
        "one": 1, "two": 2, "best": {"loss": 0.5},
    }  # fmt: skip
    run.load_full_data(force=True)
    run.summary.update({"late": 9})
    assert run.summary_metrics["late"] == Api(mirror.home).run(f"{SOURCE}/r").summary["late"] == 9


def test_wandbs_own_keys_of_a_config_cannot_be_edited(sandbox: Sandbox, mirror: Mirror) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", config={"lr": 1})
    mirror.pull()
    run = Api(mirror.home).run(f"{SOURCE}/r")
    run.config["_wandb"] = {"x": 1}
    with pytest.raises(CommError, match="W&B's own key"):
        run.update()
    assert run.pending == []
