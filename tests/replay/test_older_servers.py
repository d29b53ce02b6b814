"""Deliveries to servers that lack what a current one has: the older way, or a clear refusal, kept in the outbox."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mirror.layout import Home
from mirror.outbox import OutboxReader
from mirror.records.operations import Change, Create, Delete, DeleteFile, Edit, Operation, Stop, UpdateState
from mirror.sandbox import Fault, Match, Sandbox
from tests.mirroring import ENTITY, PROJECT, Mirror
from tests.replaying import Sender
from tests.soaking import thin


def pair_of(server: Sandbox, home: Home) -> tuple[Mirror, Sender]:
    mirror = Mirror(url=server.url, api_key=server.api_key, home=home)
    return mirror, Sender(url=server.url, api_key=server.api_key, home=home)


def dead(home: Home) -> list[str]:
    """Why entries were refused; each is still in the outbox."""
    return [placed.entry.reason or "" for placed in OutboxReader(home).entries("dead")]


@pytest.mark.parametrize(
    ("age", "introspection"),
    thin(
        [(age, introspection) for age in ("2024", "2023", "2021") for introspection in (True, False)],
        keep=[("2024", False), ("2023", True), ("2021", True), ("2021", False)],
    ),
)
def test_an_older_server_takes_edits_states_uploads_and_deletions(age: Any, introspection: bool, home: Home) -> None:
    with Sandbox.start(age=age, introspection=introspection) as server:
        state = server.state
        for name in ("edited", "failed", "stopped", "deleted"):
            state.add_run(ENTITY, PROJECT, name, state="running" if name == "stopped" else "failed")
        mirror, sender = pair_of(server, home)
        mirror.pull()
        sender.put("edited", Edit(fields={"notes": Change(base=None, value="seen")}, config={"lr": Change(value=2)}))
        sender.put("edited", sender.upload("notes/a.txt", b"the bytes"))
        sender.put("failed", UpdateState(state="pending", base="failed"))
        sender.put("stopped", Stop())
        sender.put("deleted", Delete(delete_artifacts=False))
        sender.put("made", Create(state="running", display_name="made here"))
        report = sender.replay()
        assert (report.applied, report.buried, report.put_back) == (6, 0, 0), dead(home)
        edited = state.run(ENTITY, PROJECT, "edited")
        assert edited.notes == "seen"
        assert json.loads(edited.config_text or "{}")["lr"]["value"] == 2
        assert state.bucket.get(edited.files["notes/a.txt"].object_key) == b"the bytes"
        assert state.run(ENTITY, PROJECT, "failed").state == "pending"
        assert state.run(ENTITY, PROJECT, "stopped").stop_requested
        assert "deleted" not in state.project(ENTITY, PROJECT).runs
        assert state.run(ENTITY, PROJECT, "made").display_name == "made here"


UNABLE = {
    "Mutation.upsertBucket": "editing runs",
    "UpsertBucketInput.notes": "takes no notes",
    "Mutation.stopRun": "stopping runs",
    "Mutation.deleteRun": "deleting runs",
}


@pytest.mark.parametrize(
    ("hidden", "words", "introspection"),
    thin(
        [(hidden, words, introspection) for hidden, words in UNABLE.items() for introspection in (True, False)],
        keep=[
            *((hidden, words, True) for hidden, words in UNABLE.items()),
            ("UpsertBucketInput.notes", "takes no notes", False),
        ],
    ),
)
def test_what_a_server_cannot_do_is_refused_in_clear_words_and_kept(
    hidden: str, words: str, introspection: bool, home: Home
) -> None:
    with Sandbox.start(hide=[hidden], introspection=introspection) as server:
        server.state.add_run(ENTITY, PROJECT, "r", state="running")
        mirror, sender = pair_of(server, home)
        mirror.pull()
        operations: dict[str, Operation] = {
            "Mutation.stopRun": Stop(),
            "Mutation.deleteRun": Delete(delete_artifacts=False),
        }
        sender.put("r", operations.get(hidden, Edit(fields={"notes": Change(base=None, value="seen")})))
        assert sender.replay().buried == 1
        (reason,) = dead(home)
        assert words in reason
        assert server.state.run(ENTITY, PROJECT, "r").notes is None


def test_nothing_is_written_to_a_run_that_cannot_be_read_whole(
    sandbox: Sandbox, mirror: Mirror, sender: Sender
) -> None:

    sandbox.state.add_run(ENTITY, PROJECT, "r", tags=["a"])
    mirror.pull()

    def lie(answer: Any) -> None:
        run = (answer.get("data") or {}).get("project", {}).get("run")
        if run:
            run["tags"] = 7

    sandbox.faults.add(Fault.lie(lie))
    sender.put("r", Edit(fields={"tags": Change(base=["a"], value=["a", "b"])}))
    assert sender.replay().buried == 1
    assert "cannot show the run whole: tags" in dead(mirror.home)[0]
    assert sandbox.state.run(ENTITY, PROJECT, "r").tags == ["a"]


def test_an_address_that_is_answered_for_any_name_is_no_file(home: Home) -> None:
    """Older servers answer an entry without size, digest and time for a name that no file has."""

    def add_address(body: dict[str, Any]) -> None:
        files = body["data"]["project"]["run"]["files"]
        if not files["edges"]:
            empty = {"id": "RmlsZTo=", "name": "old.txt", "sizeBytes": 0, "md5": None, "updatedAt": None}
            node = {**empty, "mimetype": None, "directUrl": f"{server.url}/upload"}
            files["edges"] = [{"cursor": "c", "node": node}]

    with Sandbox.start() as server:
        server.state.add_run(ENTITY, PROJECT, "r", files={"old.txt": b"old"})
        mirror, sender = pair_of(server, home)
        mirror.pull()
        server.faults.add(Fault.lie(add_address, match=Match(operation="MirrorFilesByName")))
        sender.put("r", DeleteFile(name="old.txt", file_id=None, project_internal_id=None))
        sender.put("r", Edit(fields={"notes": Change(base=None, value="behind it")}))
        report = sender.replay()
        assert (report.applied, report.put_back) == (2, 0)
        assert server.state.run(ENTITY, PROJECT, "r").notes == "behind it"
        assert len(server.requests.select("MirrorDeleteFiles")) == 1
