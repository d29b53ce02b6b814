"""What a server does not tell, or cannot tell just now, is neither taken to be empty nor written over."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from mirror.layout import Home
from mirror.outbox import OutboxReader
from mirror.records.operations import (
    Change,
    Create,
    Delete,
    DeleteFile,
    Edit,
    LogArtifact,
    Operation,
    Stop,
    UpdateState,
    UseArtifact,
)
from mirror.sandbox import Fault, Match, Sandbox
from mirror.sandbox.state.records import RunRecord
from tests.mirroring import ENTITY, PROJECT, Mirror
from tests.replaying import Sender
from tests.soaking import thin

LOOK = Match(operation="MirrorRun")
NOTES = Edit(fields={"notes": Change(base="old", value="new")})
CONFIG = Edit(config={"lr": Change(value=2)})
SUMMARY = Edit(summary={"best": Change(value=2)})
TAGS = Edit(fields={"tags": Change(base=[], value=["new"])})
PENDING = UpdateState(state="pending", base="failed")
CHANGES = (
    "MirrorUpsertRun", "MirrorUpdateState", "MirrorStopRun", "MirrorDeleteRun", "MirrorCreateFiles",
    "MirrorDeleteFiles", "MirrorAttachArtifact", "MirrorUseArtifact",
)  # fmt: skip


def pair_of(server: Sandbox, home: Home) -> tuple[Mirror, Sender]:
    mirror = Mirror(url=server.url, api_key=server.api_key, home=home)
    return mirror, Sender(url=server.url, api_key=server.api_key, home=home)


def dead(home: Home) -> list[str]:
    """Why entries were refused; each is still in the outbox."""
    return [placed.entry.reason or "" for placed in OutboxReader(home).entries("dead")]


def changes(server: Sandbox) -> int:
    """How many mutations the server got."""
    return sum(request.operation in CHANGES for request in server.requests)


def a_run(server: Sandbox, name: str = "r") -> RunRecord:
    return server.state.add_run(
        ENTITY, PROJECT, name, state="failed", tags=["a", "b"], notes="old", group="g",
        config={"a": 1, "b": 2}, summary={"a": 1, "b": 2},
    )  # fmt: skip


def upstream(server: Sandbox, name: str = "r") -> tuple[Any, ...]:
    run = server.state.run(ENTITY, PROJECT, name)
    return run.state, tuple(run.tags), run.notes, run.group, run.config_text, run.summary_text


HIDDEN: dict[str, Operation] = {
    "config": CONFIG,
    "summaryMetrics": SUMMARY,
    "tags": TAGS,
    "notes": NOTES,
    "group": Edit(fields={"group": Change(base="g", value="h")}),
    "displayName": Edit(fields={"display_name": Change(base="r", value="x")}),
    "state": PENDING,
}


@pytest.mark.parametrize(
    ("introspection", "policy"),
    thin([(True, "hold"), (True, "ours"), (False, "ours")], keep=[(True, "hold"), (False, "ours")]),
)
def test_a_field_that_the_server_hides_is_not_edited(introspection: bool, policy: Any, home: Home) -> None:
    with Sandbox.start(hide=[f"Run.{name}" for name in HIDDEN], introspection=introspection) as server:
        mirror, sender = pair_of(server, home)
        sender.policy = policy
        for name, operation in HIDDEN.items():
            a_run(server, name)
            sender.put(name, operation)
        before = [upstream(server, name) for name in HIDDEN]
        mirror.pull()
        assert sender.replay().buried == len(HIDDEN)
        for name in HIDDEN:
            assert any(f"without {name} of the run" in reason for reason in dead(home)), name
        assert ([upstream(server, name) for name in HIDDEN], changes(server)) == (before, 0)


@pytest.mark.parametrize("hidden", [["Run.config", "Run.systemMetrics"], ["Run.tags", "Run.createdAt", "Run.id"]])
def test_an_edit_of_what_is_told_goes_through_and_keeps_what_is_held_of_the_rest(hidden: list[str], home: Home) -> None:
    with Sandbox.start() as server:
        a_run(server)
        mirror, sender = pair_of(server, home)
        mirror.pull()
        held = mirror.run("r")
        sender.put("r", NOTES)
    with Sandbox.start(hide=hidden, port=server.port) as lesser:  # the same server, after a downgrade
        run = a_run(lesser)
        run.created_at = server.state.run(ENTITY, PROJECT, "r").created_at
        assert dataclasses.replace(sender, api_key=lesser.api_key).replay().applied == 1
        now = mirror.run("r")
        assert now["notes"] == "new"
        for name in ("config", "summary", "tags", "system_metrics", "created_at", "state"):
            assert now[name] == held[name], name


def test_a_stop_is_sent_where_the_server_tells_no_state(home: Home) -> None:
    with Sandbox.start(hide=["Run.state"]) as server:
        server.state.add_run(ENTITY, PROJECT, "r", state="running")
        mirror, sender = pair_of(server, home)
        mirror.pull()
        sender.put("r", Stop())
        assert sender.replay().applied == 1
        assert server.state.run(ENTITY, PROJECT, "r").stop_requested
        assert changes(server) == 1


def null(*names: str) -> Callable[[Any], None]:
    def lie(answer: Any) -> None:
        run = answer["data"]["project"]["run"]
        if run:
            run |= dict.fromkeys(names)

    return lie


DOCUMENTS = [("config", CONFIG), ("summaryMetrics", SUMMARY), ("tags", TAGS)]


@pytest.mark.parametrize(
    ("name", "operation"), thin([*DOCUMENTS, ("state", PENDING)], keep=[DOCUMENTS[1], ("state", PENDING)])
)
def test_null_where_this_mirror_holds_something_is_not_taken_for_nothing(
    name: str, operation: Operation, sandbox: Sandbox, mirror: Mirror, sender: Sender
) -> None:
    a_run(sandbox)
    before = upstream(sandbox)
    mirror.pull()
    sandbox.faults.add(Fault.lie(null(name), times=2, match=LOOK))
    sender.put("r", operation)
    for _ in range(2):
        assert sender.replay().put_back == 1
        assert (upstream(sandbox), changes(sandbox)) == (before, 0)
        sender = sender.later(hours=2)
    assert sender.replay().applied == 1
    run = sandbox.state.run(ENTITY, PROJECT, "r")
    assert {"a", "b"} <= json.loads(run.config_text or "{}").keys()
    assert {"a", "b"} <= json.loads(run.summary_text or "{}").keys()
    assert {"a", "b"} <= set(run.tags)


@pytest.mark.parametrize(("name", "operation"), thin(DOCUMENTS, keep=[DOCUMENTS[0]]))
def test_it_is_not_after_another_operation_of_the_run_either(
    name: str, operation: Operation, sandbox: Sandbox, mirror: Mirror, sender: Sender
) -> None:
    a_run(sandbox)
    mirror.pull()
    sandbox.faults.add(Fault.lie(null(name), match=LOOK))
    sender.put("r", NOTES)
    assert sender.replay().applied == 1
    sender.put("r", operation)
    assert sender.replay().put_back == 1
    sandbox.faults.clear()
    assert sender.later(hours=2).replay().applied == 1
    run = sandbox.state.run(ENTITY, PROJECT, "r")
    assert {"a", "b"} <= json.loads(run.config_text or "{}").keys()
    assert {"a", "b"} <= json.loads(run.summary_text or "{}").keys()


def test_null_where_nothing_is_held_takes_a_first_key(sandbox: Sandbox, mirror: Mirror, sender: Sender) -> None:
    run = sandbox.state.add_run(ENTITY, PROJECT, "r")
    run.summary_text = None
    mirror.pull()
    sender.put("r", SUMMARY)
    assert sender.replay().applied == 1
    assert json.loads(sandbox.state.run(ENTITY, PROJECT, "r").summary_text or "{}") == {"best": 2}


READS = [
    ("Run.notes", "MirrorRun", NOTES, 200),
    ("Run.config", "MirrorRun", CONFIG, 200),
    ("Run.state", "MirrorRun", PENDING, 200),
    ("Run.state", "MirrorRun", Stop(), 200),
    ("Run.id", "MirrorRun", Delete(delete_artifacts=False), 200),
    ("Project.run", "MirrorRun", NOTES, 200),
    ("Run.files", "MirrorFilesByName", DeleteFile(name="f.txt", file_id=None, project_internal_id=None), 200),
    ("File.md5", "MirrorFilesByName", DeleteFile(name="f.txt", file_id=None, project_internal_id=None), 200),
    ("Run.notes", "MirrorRun", NOTES, 400),
    ("Run.notes", "MirrorRun", NOTES, 500),
]


@pytest.mark.parametrize(
    ("field", "document", "operation", "status"), thin(READS, keep=[READS[1], READS[2], READS[5], READS[7], READS[8]])
)
def test_a_passing_error_of_a_read_that_counts_puts_back_and_buries_nothing(
    field: str, document: str, operation: Operation, status: int, sandbox: Sandbox, mirror: Mirror, sender: Sender
) -> None:
    sandbox.state.add_run(
        ENTITY, PROJECT, "r", state="running" if isinstance(operation, Stop) else "failed", notes="old",
        files={"f.txt": b"bytes"}, config={"a": 1},
    )  # fmt: skip
    mirror.pull()
    sender.put("r", operation)
    sender.server = msgspec.structs.replace(sender.server, retry_attempts=1)
    match = Match(operation=document)
    sandbox.faults.add(Fault.field_error(field, message="it broke", status=status, times=1, match=match))
    assert (sender.replay().put_back, dead(mirror.home)) == (1, [])
    assert changes(sandbox) == 0
    assert sender.later(hours=2).replay().applied == 1
    assert changes(sandbox) == 1


@pytest.mark.parametrize("field", thin(["Run.systemMetrics", "User.username", "Run.createdAt"], keep=["User.username"]))
def test_an_error_of_a_field_that_does_not_count_is_nobodys_concern(
    field: str, sandbox: Sandbox, mirror: Mirror, sender: Sender
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", state="running", notes="old", config={"a": 1})
    mirror.pull()
    held = mirror.run("r")
    sandbox.faults.add(Fault.field_error(field, message="it broke"))
    sender.put("r", NOTES)
    sender.put("r", CONFIG)
    sender.put("r", sender.upload("a.txt", b"bytes"))
    sender.put("r", Stop())
    assert sender.replay().applied == 3  # the edits are one
    assert changes(sandbox) == 3
    now = mirror.run("r")
    for name in ("system_metrics", "user", "created_at", "history_keys"):
        assert now[name] == held[name], name


@pytest.mark.parametrize(
    ("hidden", "introspection"),
    thin(
        [(hidden, told) for hidden in ("Run.files", "FileEdge.node", "File.name") for told in (True, False)],
        keep=[("Run.files", True), ("File.name", False)],
    ),
)
def test_a_file_is_neither_removed_nor_replaced_where_files_are_not_listed(
    hidden: str, introspection: bool, home: Home
) -> None:
    with Sandbox.start(hide=[hidden], introspection=introspection) as server:
        server.state.add_run(ENTITY, PROJECT, "r", files={"f.txt": b"bytes"})
        mirror, sender = pair_of(server, home)
        mirror.pull()
        sender.put("r", DeleteFile(name="f.txt", file_id=None, project_internal_id=None))
        sender.put("r", sender.upload("f.txt", b"other bytes"))
        assert sender.replay().buried == 2
        assert all("it has no files" in reason or "File" in reason for reason in dead(home)), dead(home)
        assert changes(server) == 0


def test_a_file_is_found_where_files_cannot_be_asked_for_by_name(home: Home) -> None:
    with Sandbox.start(hide=["Run.files(names)"]) as server:
        files = {f"{number:04}.txt": b"bytes" for number in range(600)}
        run = server.state.add_run(ENTITY, PROJECT, "r", files=files)
        mirror, sender = pair_of(server, home)
        mirror.pull()
        sender.put("r", DeleteFile(name="0599.txt", file_id=None, project_internal_id=None))
        assert sender.replay().applied == 1
        assert "0599.txt" not in run.files


@pytest.mark.parametrize("what", thin(["files", "edges", "node"], keep=["files", "node"]))
def test_a_list_of_files_that_is_null_does_not_say_that_one_is_gone(
    what: str, sandbox: Sandbox, mirror: Mirror, sender: Sender
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", files={"f.txt": b"bytes"})
    mirror.pull()

    def lie(answer: Any) -> None:
        run = answer["data"]["project"]["run"]
        match what:
            case "files":
                run["files"] = None
            case "edges":
                run["files"]["edges"] = None
            case _:
                run["files"]["edges"][0]["node"] = None

    sandbox.faults.add(Fault.lie(lie, times=1, match=Match(operation="MirrorFilesByName")))
    sender.put("r", DeleteFile(name="f.txt", file_id=None, project_internal_id=None))
    assert sender.replay().put_back == 1
    assert changes(sandbox) == 0
    assert sender.later(hours=2).replay().applied == 1


def link(server: Sandbox, *, direction: str, aliases: tuple[str, ...] = ()) -> Operation:
    artifact = server.state.add_artifact(ENTITY, PROJECT, "set", files={"a.txt": b"an artifact"})
    name = f"{ENTITY}/{PROJECT}/set:v0"
    if direction == "used":
        return UseArtifact(artifact_id=artifact.id, name=name)
    return LogArtifact(
        artifact_id=artifact.id,
        name=name,
        collection="set",
        type="dataset",
        digest=artifact.digest,
        aliases=aliases,
    )


LINKS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("logged", "Run.outputArtifacts", ()),
    ("used", "Run.inputArtifacts", ()),
    ("logged", "Artifact.aliases", ("best",)),
)


@pytest.mark.parametrize(
    ("direction", "hidden", "aliases", "introspection"),
    thin(
        [(*link, introspection) for link in LINKS for introspection in (True, False)],
        keep=[(*link, number != 1) for number, link in enumerate(LINKS)],
    ),
)
def test_an_artifact_is_not_linked_where_links_are_not_listed(
    direction: str, hidden: str, aliases: tuple[str, ...], introspection: bool, home: Home
) -> None:
    with Sandbox.start(hide=[hidden], introspection=introspection) as server:
        server.state.add_run(ENTITY, PROJECT, "r")
        mirror, sender = pair_of(server, home)
        operation = link(server, direction=direction, aliases=aliases)
        mirror.pull()
        sender.put("r", operation)
        assert sender.replay().buried == 1
        assert "cannot do this" in dead(home)[0]
        assert changes(server) == 0


@pytest.mark.parametrize("hidden", [["CreateArtifactPayload.artifact"], ["Artifact.state"]])
def test_an_artifact_is_linked_once_where_the_answer_does_not_tell(hidden: list[str], home: Home) -> None:
    with Sandbox.start(hide=hidden) as server:
        server.state.add_run(ENTITY, PROJECT, "r")
        mirror, sender = pair_of(server, home)
        operation = link(server, direction="logged")
        mirror.pull()
        sender.put("r", operation)
        assert (sender.replay().applied, dead(home)) == (1, [])
        assert changes(server) == 1


def test_a_run_that_cannot_be_read_is_not_made_a_second_time(sandbox: Sandbox, mirror: Mirror, sender: Sender) -> None:
    a_run(sandbox)
    before = upstream(sandbox)

    def lie(answer: Any) -> None:
        answer["data"]["project"]["run"]["name"] = 7

    sandbox.faults.add(Fault.lie(lie, match=LOOK))
    sender.put("r", Create(state="running", display_name="mine"))
    assert sender.replay().held == 1
    assert (upstream(sandbox), changes(sandbox)) == (before, 0)


def test_a_deletion_is_not_done_with_where_runs_cannot_be_asked_for_by_name(home: Home) -> None:
    with Sandbox.start(hide=["Project.run", "Project.bucket"]) as server:
        a_run(server)
        mirror, sender = pair_of(server, home)
        mirror.pull()
        sender.put("r", Delete(delete_artifacts=False))
        sender.put("other", Create(state="running"))
        assert sender.replay().buried == 2
        assert mirror.run("r")["gone_at"] is None
        assert changes(server) == 0
