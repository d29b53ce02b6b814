"""Each kind of operation reaches the server, once, and the mirror shows it at once."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from pathlib import Path

from mirror import Api
from mirror.clock import utc_now
from mirror.records.operations import (
    Change,
    Create,
    Delete,
    DeleteFile,
    Edit,
    Stop,
    UpdateState,
    UploadFile,
)
from mirror.sandbox import Sandbox
from mirror.sandbox.faults.fault import Fault, Match
from mirror.store.objects.objects import Objects
from mirror.store.objects.uploads import take_in
from tests.mirroring import ENTITY, PROJECT, Mirror
from tests.replaying import Sender


def _upload(mirror: Mirror, folder: Path, name: str, content: bytes) -> UploadFile:
    source = folder / "source"
    source.write_bytes(content)
    taken = take_in(Objects(mirror.home), source)
    return UploadFile(name=name, object=taken.object, size=taken.size, md5=taken.md5)


def test_an_edit_changes_its_keys_alone(sandbox: Sandbox, mirror: Mirror, sender: Sender) -> None:
    sandbox.state.add_run(
        ENTITY, PROJECT, "r", tags=["a"], config={"lr": 1, "_wandb": {"v": 1}}, summary={"best": 1, "other": 2}
    )
    mirror.pull()
    sandbox.state.edit_run(ENTITY, PROJECT, "r", tags=["a", "theirs"], config={"lr": 1, "new": 5})
    sender.put(
        "r",
        Edit(
            fields={"tags": Change(base=["a"], value=["a", "ours"]), "notes": Change(base=None, value="seen")},
            config={"lr": Change(base=1, value=2)},
            summary={"best": Change(base=1)},
        ),
    )
    assert sender.replay().applied == 1
    run = sandbox.state.run(ENTITY, PROJECT, "r")
    assert (run.tags, run.notes) == (["a", "theirs", "ours"], "seen")
    config = json.loads(run.config_text or "{}")
    assert {key: item["value"] for key, item in config.items() if key != "_wandb"} == {"lr": 2, "new": 5}
    assert json.loads(run.summary_text or "{}") == {"other": 2}
    held = mirror.run("r")
    assert (held["notes"], held["config"], held["summary"]) == ("seen", {"lr": 2, "new": 5}, {"other": 2})
    (receipt,) = mirror.ask("SELECT * FROM receipts")
    assert (receipt["outcome"], receipt["kind"], receipt["attempts"]) == ("applied", "edit", 1)
    assert sender.counts() == {}


def test_what_is_so_already_is_not_written_again(sandbox: Sandbox, mirror: Mirror, sender: Sender) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", notes="new")
    mirror.pull()
    sender.put("r", Edit(fields={"notes": Change(base="old", value="new")}))
    assert sender.replay().already_so == 1
    assert sandbox.requests.count("MirrorUpsertRun") == 0


def test_a_value_that_both_sides_changed_is_held_until_a_person_decides(
    sandbox: Sandbox, mirror: Mirror, sender: Sender
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", notes="old")
    mirror.pull()
    sandbox.state.edit_run(ENTITY, PROJECT, "r", notes="theirs")
    entry = sender.put("r", Edit(fields={"notes": Change(base="old", value="ours")}))
    assert sender.replay().held == 1
    (placed,) = sender.outbox.of_run(entry.run_path)
    assert placed.state == "conflict"
    assert "theirs" in (placed.entry.reason or "")
    sender.outbox.resolve(placed.entry, "ours")
    assert sender.replay().applied == 1
    assert sandbox.state.run(ENTITY, PROJECT, "r").notes == "ours"


def test_a_refused_state_is_buried_with_the_servers_words(sandbox: Sandbox, mirror: Mirror, sender: Sender) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", state="running")
    mirror.pull()
    sandbox.state.edit_run(ENTITY, PROJECT, "r", state="finished")
    entry = sender.put("r", UpdateState(state="failed", base="running"))
    assert sender.replay().buried == 1
    (placed,) = sender.outbox.of_run(entry.run_path)
    assert (placed.state, placed.entry.reason) == ("dead", "invalid state transition from finished to failed")
    (receipt,) = mirror.ask("SELECT outcome, answer FROM receipts")
    assert receipt == {"outcome": "buried", "answer": "invalid state transition from finished to failed"}


def test_an_uploaded_file_is_held_at_once_and_a_deleted_one_stays_held(
    sandbox: Sandbox, mirror: Mirror, sender: Sender, tmp_path: Path
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", files={"old.txt": b"old"})
    mirror.pull()
    sender.put("r", _upload(mirror, tmp_path, "new.txt", b"new"))
    sender.put("r", DeleteFile(name="old.txt", file_id=None, project_internal_id=None))
    assert sender.replay().applied == 2
    run = sandbox.state.run(ENTITY, PROJECT, "r")
    assert sorted(run.files) == ["new.txt"]
    rows = {row["name"]: row for row in mirror.ask("SELECT name, status, object FROM files")}
    assert (rows["new.txt"]["status"], rows["old.txt"]["status"]) == ("held", "gone")
    assert Objects(mirror.home).path(rows["old.txt"]["object"]).read_bytes() == b"old"
    assert mirror.pull().projects[0].files == 0  # the bytes that were uploaded are not fetched


def test_a_run_is_made_and_what_waited_for_it_follows_in_order(
    sandbox: Sandbox, mirror: Mirror, sender: Sender, tmp_path: Path
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "other")
    mirror.pull()
    sender.put("born", Create(state="pending"))
    sender.put("born", Edit(fields={"notes": Change(value="hello")}, config={"lr": Change(value=0.1)}))
    sender.put("born", _upload(mirror, tmp_path, "f.txt", b"bytes"))
    assert sender.replay().applied == 3
    run = sandbox.state.run(ENTITY, PROJECT, "born")
    assert (run.state, run.notes, sorted(run.files)) == ("pending", "hello", ["f.txt"])
    assert mirror.run("born")["config"] == {"lr": 0.1}


def test_stop_and_delete_reach_the_server_and_the_mirror_keeps_the_run(
    sandbox: Sandbox, mirror: Mirror, sender: Sender
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "runs", state="running")
    sandbox.state.add_run(ENTITY, PROJECT, "old")
    mirror.pull()
    sender.put("runs", Stop())
    sender.put("old", Delete(delete_artifacts=False))
    assert sender.replay().applied == 2
    assert sandbox.state.run(ENTITY, PROJECT, "runs").stop_requested
    assert "old" not in sandbox.state.project(ENTITY, PROJECT).runs
    assert mirror.run("old")["gone_at"] is not None


def test_an_answer_that_was_lost_leads_to_a_look_and_not_to_a_second_effect(
    sandbox: Sandbox, mirror: Mirror, sender: Sender
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", tags=["a"])
    mirror.pull()
    sender.put("r", Edit(fields={"tags": Change(base=["a"], value=["a", "b"])}))
    sandbox.faults.add(Fault.lost_answer(times=1, match=Match(operation="MirrorUpsertRun")))
    assert sender.replay().put_back == 1
    later = dataclasses.replace(sender, now=lambda: utc_now() + dt.timedelta(hours=1))
    assert later.replay().already_so == 1
    assert sandbox.requests.count("MirrorUpsertRun") == 1
    assert sandbox.state.run(ENTITY, PROJECT, "r").tags == ["a", "b"]


def test_a_run_that_is_made_here_and_named_afterwards_gets_its_name(
    sandbox: Sandbox, mirror: Mirror, sender: Sender
) -> None:
    sandbox.state.add_project(ENTITY, PROJECT)
    mirror.pull()
    run = Api(mirror.home).create_run(run_id="born", project=PROJECT, entity=ENTITY)
    assert run.name is None, "the server makes one up, and nobody has seen it"
    run.name, run.notes, run.tags = "mine", "some", ["a"]
    run.config["lr"] = 1
    run.update()
    untouched = Api(mirror.home).create_run(run_id="other", project=PROJECT, entity=ENTITY)
    untouched.notes = "some"
    untouched.update()
    report = sender.replay()
    assert (report.applied, report.held) == (4, 0)
    born, other = (sandbox.state.run(ENTITY, PROJECT, name) for name in ("born", "other"))
    assert (born.display_name, born.notes, born.tags) == ("mine", "some", ["a"])
    assert json.loads(born.config_text or "{}")["lr"]["value"] == 1
    assert other.display_name in {"bright-sand-1", "calm-sand-2"}, "made up by the server, whichever came first"
    assert other.notes == "some"
    named = Api(mirror.home).run(f"{ENTITY}/{PROJECT}/other")
    named.name = "other name"
    named.update()
    sandbox.state.edit_run(ENTITY, PROJECT, "other", display_name="theirs")
    assert sender.replay().held == 1, "this name was seen, and somebody else changed it"


def test_a_run_can_be_named_as_its_id(sandbox: Sandbox, mirror: Mirror, sender: Sender) -> None:
    sandbox.state.add_project(ENTITY, PROJECT)
    mirror.pull()
    run = Api(mirror.home).create_run(run_id="born", project=PROJECT, entity=ENTITY)
    run.name = "born"
    run.update()
    assert sender.replay().applied == 2
    assert sandbox.state.run(ENTITY, PROJECT, "born").display_name == "born"
