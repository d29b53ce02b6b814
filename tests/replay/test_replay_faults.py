"""What goes wrong on the way: nothing is sent twice, refusals are buried with their words, the rest waits in order."""

from __future__ import annotations

import dataclasses
import resource
import sys
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest

from mirror.errors import AuthError, NotWandb, StoreError, Unreachable
from mirror.records.addresses import RunPath
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
from mirror.replay import cycle
from mirror.sandbox import Fault, Match, Sandbox
from mirror.sandbox.state.core import DEFAULT_FEATURES
from mirror.store.objects.objects import Objects
from tests.mirroring import ENTITY, PROJECT
from tests.replaying import LOSSES, Sender


@pytest.fixture
def sender(sandbox: Sandbox, sender: Sender) -> Sender:
    """With runs upstream, and a server whose features are known."""
    for name in ("r", "other"):
        sandbox.state.add_run(ENTITY, PROJECT, name, state="running", notes="old", config={"k": 1}, files={"old": b"o"})
    sandbox.state.add_artifact(ENTITY, PROJECT, "data", files={"f": b"f"}, run="other")
    return dataclasses.replace(sender, features=DEFAULT_FEATURES)


def artifact(sandbox: Sandbox, kind: type[LogArtifact | UseArtifact]) -> Operation:
    """An operation on the one version there is."""
    (version,) = sandbox.state.project(ENTITY, PROJECT).collections["data"].versions
    name = f"{ENTITY}/{PROJECT}/data:v0"
    if kind is UseArtifact:
        return UseArtifact(artifact_id=version.id, name=name)
    return LogArtifact(
        artifact_id=version.id, name=name, collection="data", type="dataset", digest=version.digest, aliases=("best",)
    )


NOTES = Edit(fields={"notes": Change(base="old", value="new")})
MUTATIONS = {  # by the run that each is asked of
    "edit": "MirrorUpsertRun",
    "create": "MirrorUpsertRun",
    "update_state": "MirrorUpdateState",
    "stop": "MirrorStopRun",
    "delete": "MirrorDeleteRun",
    "delete_file": "MirrorDeleteFiles",
    "upload_slots": "MirrorCreateFiles",
    "upload_mark": "MirrorMarkFiles",
    "log_artifact": "MirrorAttachArtifact",
    "use_artifact": "MirrorUseArtifact",
}
REPEATABLE = {"stop", "upload_slots"}  # to ask for an end, or for an address, twice does nothing more


def every_kind(sandbox: Sandbox, sender: Sender) -> dict[str, Operation]:
    """One operation of each kind, by the run that it is for; those runs are made."""
    for name in MUTATIONS:
        if name != "create":
            sandbox.state.add_run(ENTITY, PROJECT, name, state="running", notes="old", files={"old": b"o"})
    return {
        "edit": NOTES,
        "create": Create(state="pending"),
        "update_state": UpdateState(state="pending", base="running"),
        "stop": Stop(),
        "delete": Delete(delete_artifacts=False),
        "delete_file": DeleteFile(name="old", file_id=None, project_internal_id=None),
        "upload_slots": sender.upload("new", b"new"),
        "upload_mark": sender.upload("new", b"new"),
        "log_artifact": artifact(sandbox, LogArtifact),
        "use_artifact": artifact(sandbox, UseArtifact),
    }


def asking(name: str) -> Match:
    """The one mutation of `MUTATIONS` for this run. An upload takes two: one loses the first, the other the last."""

    def is_it(given: Mapping[str, Any]) -> bool:
        if name in {"edit", "create"}:
            return ("name" in given["input"]) == (name == "create")
        return given["input"].get("runName") == name or "upload" not in name

    return Match(operation=MUTATIONS[name], variables=is_it)


def effect(sandbox: Sandbox, run_id: str) -> Any:
    """What the server has of a run."""
    run = sandbox.state.project(ENTITY, PROJECT).runs.get(run_id)
    if run is None:
        return None
    files = {name: file.md5 for name, file in run.files.items() if file.listed}
    return run.state, run.notes, run.config_text, files, run.stop_requested, len(run.logged), len(run.used)


@pytest.mark.parametrize("how", LOSSES)
def test_a_lost_answer_leads_to_a_look_and_not_to_a_second_effect(sandbox: Sandbox, sender: Sender, how: str) -> None:
    operations = every_kind(sandbox, sender)
    sandbox.state.files_register_on_put = False
    entries = {name: sender.put(name, operation) for name, operation in operations.items()}
    is_lost = how != "answered 500"
    sandbox.faults.add(*(LOSSES[how](asking(name)) for name in MUTATIONS))
    before = {name: effect(sandbox, name) for name in operations}
    first = sender.replay()
    seen = 2 if "nothing" in how else 0  # an edit and a creation are looked for at once
    assert (first.put_back, first.applied, first.outage) == (10 - seen, seen, None), sender.receipts()
    acted = {name: effect(sandbox, name) for name in operations}
    assert sender.replay().waiting == 10 - seen, "they back off"
    sent = {name: sandbox.requests.count(name) for name in MUTATIONS.values()}
    assert sender.later(hours=2).replay().put_back == 0
    assert sender.counts() == {}
    for name, mutation in MUTATIONS.items():
        again = sandbox.requests.count(mutation) - sent[mutation]
        if is_lost and name not in REPEATABLE and "upload" not in name:
            assert again == 0, f"{name} was sent twice"
            assert effect(sandbox, name) == acted[name]
        if not is_lost:
            assert again >= 1
        assert effect(sandbox, name) != before[name], f"{name} was lost"
    receipts = {one["id"]: one for one in sender.receipts()}
    assert len(receipts) == len(sender.receipts()) == 10
    assert {receipts[entry.id]["kind"] for entry in entries.values()} == {entry.kind for entry in entries.values()}


def test_bytes_whose_answer_was_lost_are_looked_for_first(sandbox: Sandbox, sender: Sender) -> None:
    sender.put("r", sender.upload("new", b"new"))
    sandbox.faults.add(Fault.lost_answer(times=1, match=Match(method="PUT")))
    assert sender.replay().put_back == 1
    assert sender.later(hours=1).replay().already_so == 1
    assert len([one for one in sandbox.requests.select(kind="storage") if one.method == "PUT"]) == 1


def test_what_the_key_may_not_do_is_buried_with_the_servers_words(sandbox: Sandbox, sender: Sender) -> None:
    guest = sandbox.state.add_user("guest")
    as_guest = dataclasses.replace(sender, api_key=guest.api_key)
    entries = [
        sender.put("r", NOTES),
        sender.put("other", UpdateState(state="pending", base="running")),
        sender.put("other", sender.upload("new", b"new")),
        sender.put("other", DeleteFile(name="old", file_id=None, project_internal_id=None)),
    ]
    report = as_guest.replay()
    assert (report.buried, report.outage) == (4, None)
    reasons = [sender.outbox.get(entry.id).entry.reason or "" for entry in entries]
    assert "permission denied" in reasons[0]
    assert "permission denied" in reasons[1]
    assert "lets this key upload nothing" in reasons[2]
    assert "permission denied" in reasons[3]
    assert [one["answer"] for one in sender.receipts()] == reasons
    assert sender.counts() == {"dead": 4}


def test_what_is_asked_of_a_run_that_is_gone_is_buried(sandbox: Sandbox, sender: Sender) -> None:
    operations = every_kind(sandbox, sender)
    entries = [sender.put(name, one) for name, one in operations.items() if name not in {"create", "delete"}]
    for name in sorted(sandbox.state.project(ENTITY, PROJECT).runs):
        sandbox.state.delete_run(ENTITY, PROJECT, name)
    assert sender.replay().buried == len(entries)
    for entry in entries:
        assert f"no run team/proj/{entry.run_id}" in (sender.outbox.get(entry.id).entry.reason or "")
    assert all(sandbox.requests.count(mutation) == 0 for mutation in MUTATIONS.values())


def test_a_deletion_counts_as_done_only_when_the_server_shows_the_project_without_the_run(
    sandbox: Sandbox, sender: Sender
) -> None:
    delete = Delete(delete_artifacts=False)
    sender.put("never", delete)
    assert sender.replay().already_so == 1
    hidden = sender.outbox.put(RunPath(ENTITY, "hidden", "r"), None, delete)
    strange = sender.put("r", delete)
    lie = Fault.lie(
        lambda answer: answer["data"]["project"]["run"].update(tags=7), times=1, match=Match(operation="MirrorRun")
    )
    sandbox.faults.add(dataclasses.replace(lie, match=Match(operation="MirrorRun", contains_run="r")))
    report = sender.replay()
    assert (report.buried, report.applied) == (1, 1)
    assert "hides it from this key" in (sender.outbox.get(hidden.id).entry.reason or "")
    assert "r" not in sandbox.state.project(ENTITY, PROJECT).runs, f"{strange.id} was not delivered"


def test_an_expired_address_is_asked_for_again_and_the_storages_refusal_is_believed_at_last(
    sandbox: Sandbox, sender: Sender
) -> None:
    sender.put("r", sender.upload("new", b"new"))
    sandbox.faults.add(Fault.expired_urls(times=2))
    assert sender.replay().applied == 1
    assert sandbox.requests.count("MirrorCreateFiles") == 3
    entry = sender.put("r", sender.upload("newer", b"newer"))
    sandbox.faults.add(Fault.expired_urls())
    assert sender.replay().buried == 1
    assert "may have expired" in (sender.outbox.get(entry.id).entry.reason or "")


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault.status(413, times=1, match=Match(method="PUT")), "buried"),
        (Fault.status(405, times=1, match=Match(method="PUT")), "buried"),
        (Fault.status(429, times=1, match=Match(method="PUT")), "put_back"),
        (Fault.status(522, times=1, match=Match(method="PUT")), "put_back"),
        (Fault.status(302, times=1, match=Match(method="PUT")), "put_back"),
    ],
    ids=lambda one: one if isinstance(one, str) else one.label,
)
def test_a_storage_that_refuses_a_file_is_believed_and_one_that_is_busy_is_asked_later(
    sandbox: Sandbox, sender: Sender, fault: Fault, outcome: str
) -> None:
    sender.put("r", sender.upload("new", b"new"))
    sandbox.faults.add(fault)
    assert getattr(sender.replay(), outcome) == 1
    if outcome == "put_back":
        assert sender.later(hours=1).replay().applied == 1


def test_a_file_that_the_server_does_not_list_is_looked_for_again_and_buried_at_last(
    sandbox: Sandbox, sender: Sender
) -> None:
    sandbox.state.files_register_on_put = False
    taken = '{"data": {"markRunFilesUploaded": {"success": true}}}'  # says the server, and does nothing
    sandbox.faults.add(Fault.status(200, body=taken, match=Match(operation="MirrorMarkFiles")))
    entry = sender.put("r", sender.upload("new", b"new"))
    for attempt in range(1, 5):
        sender = sender.later(hours=2)
        assert sender.replay().put_back == 1, attempt
    assert sender.later(hours=2).replay().buried == 1
    reason = sender.outbox.get(entry.id).entry.reason or ""
    assert "does not list these bytes" in reason
    assert "after 5 looks" in reason


def test_what_happens_to_a_source_file_after_it_was_queued_does_not_matter_but_rot_is_not_sent(
    sandbox: Sandbox, sender: Sender
) -> None:
    rotten, lost = (
        sender.put("r", sender.upload("rotten", b"good")),
        sender.put("other", sender.upload("lost", b"lost")),
    )
    objects = Objects(sender.home)
    for entry, content in ((rotten, b"evil"), (lost, None)):
        path = objects.path(entry.operation.object)  # type: ignore[union-attr]
        path.chmod(0o644)
        path.unlink()
        if content is not None:
            path.write_bytes(content)
    assert sender.replay().buried == 2
    assert "damaged" in (sender.outbox.get(rotten.id).entry.reason or "")
    assert "no longer in this mirror" in (sender.outbox.get(lost.id).entry.reason or "")
    assert [one for one in sandbox.requests.select(kind="storage") if one.method == "PUT"] == []


def test_a_server_that_registers_files_by_itself_is_not_asked_to(sandbox: Sandbox, sender: Sender) -> None:
    sandbox.state.features.discard("MARK_RUN_FILES_UPLOADED")
    sender = dataclasses.replace(sender, features=None)
    sender.put("r", sender.upload("new", b"new"))
    assert sender.replay().applied == 1
    assert sandbox.requests.count("MirrorMarkFiles") == 0
    sandbox.state.files_register_on_put = False
    sender.put("r", sender.upload("later", b"later"))
    assert sender.replay().applied == 1
    assert "registers them by itself" in sender.receipts()[-1]["answer"]


def test_an_old_server_is_written_as_well(home: Any) -> None:
    with Sandbox.start(legacy=True) as old:
        old.state.add_run(ENTITY, PROJECT, "r", notes="old")
        sender = Sender(url=old.url, api_key=old.api_key, home=home)
        sender.put("r", NOTES)
        sender.put("r", sender.upload("new", b"new"))
        assert sender.replay().applied == 2
        assert old.state.run(ENTITY, PROJECT, "r").notes == "new"


def test_what_waited_for_a_run_that_was_refused_is_buried_and_says_so(sandbox: Sandbox, sender: Sender) -> None:
    creation = sender.put("born", Create(state="running"))
    edit = sender.put("born", Edit(fields={"notes": Change(value="new")}))
    upload = sender.put("born", sender.upload("f", b"f"))
    sandbox.faults.add(Fault.status(403, times=1, match=Match(operation="MirrorUpsertRun")))
    assert sender.replay().buried == 3
    for entry in (edit, upload):
        reason = sender.outbox.get(entry.id).entry.reason or ""
        assert creation.id in reason
        assert "never made" in reason
        assert "sandbox fault 403" in reason
    for placed in list(sender.outbox.entries("dead")):
        sender.outbox.retry(placed.entry)
    assert sender.replay().applied == 3
    assert [one["outcome"] for one in sender.receipts()] == ["buried", "applied"] * 3


def test_what_waits_for_a_run_never_reaches_a_run_that_somebody_else_made_under_its_id(
    sandbox: Sandbox, sender: Sender
) -> None:
    creation = sender.put("born", Create(state="running"))
    sender.put("born", Edit(fields={"notes": Change(value="ours")}))
    sandbox.state.add_run(ENTITY, PROJECT, "born")
    assert sender.replay().held == 1
    assert sender.replay().waiting == 1
    assert sandbox.state.run(ENTITY, PROJECT, "born").notes is None
    sender.outbox.resolve(sender.outbox.get(creation.id).entry, "ours")
    assert sender.replay().already_so == 1
    assert sandbox.state.run(ENTITY, PROJECT, "born").notes == "ours"


def test_a_run_whose_entry_backs_off_keeps_its_order_while_others_go_on(sandbox: Sandbox, sender: Sender) -> None:
    sender.put("r", UpdateState(state="pending", base="running"))
    sender.put("r", UpdateState(state="failed", base="pending"))
    sender.put("other", NOTES)
    sandbox.faults.add(Fault.status(500, times=1, match=Match(operation="MirrorUpdateState")))
    report = sender.replay()
    assert (report.put_back, report.waiting, report.applied, report.outage) == (1, 1, 1, None)
    sender.put("other", sender.upload("f", b"f"))
    report = sender.replay()
    assert (report.waiting, report.applied) == (2, 1)
    assert sandbox.state.run(ENTITY, PROJECT, "r").state == "running"
    assert sender.later(hours=1).replay().applied == 2
    assert [
        one.variables["input"]["state"] for one in sandbox.requests.select("MirrorUpdateState") if one.status == 200
    ] == [
        "pending",
        "failed",
    ]


RUNS = 3 * cycle.DELIVERED_AT_ONCE  # each that is under way may notice it by itself, with a try and a small question

AWAY: dict[str, tuple[list[Fault], type[Exception]]] = {
    "connections are dropped": ([Fault.drop()], Unreachable),
    "503": ([Fault.status(503)], Unreachable),
    "429": ([Fault.status(429, retry_after=1000)], Unreachable),
    "a captive portal": ([Fault.html(200)], NotWandb),
    "a login page": ([Fault.status(302, body="")], NotWandb),
    "the key is refused": ([Fault.status(401)], AuthError),
}


def test_an_outage_ends_the_round_and_nothing_counts_as_refused(sandbox: Sandbox, sender: Sender) -> None:
    for number in range(RUNS):
        sandbox.state.add_run(ENTITY, PROJECT, f"n{number}", notes="old")
        sender.put(f"n{number}", NOTES)
    for how, (faults, error) in AWAY.items():
        sandbox.faults.add(*faults)
        sandbox.requests.clear()
        report = sender.replay()
        assert isinstance(report.outage, error), how
        assert (report.buried, report.held, report.applied) == (0, 0, 0)
        assert sender.counts() == {"new": RUNS}
        assert len(sandbox.requests) < RUNS, f"the round went on: {how}"
        assert all(placed.entry.not_before is None for placed in sender.outbox.entries()), "they wait for nothing else"
        sandbox.faults.clear()
    assert sender.replay().applied == RUNS


def test_a_server_that_is_not_there_ends_the_round(sandbox: Sandbox, sender: Sender) -> None:
    sender.put("r", NOTES)
    with sandbox.outage():
        report = sender.replay()
    assert isinstance(report.outage, Unreachable)
    assert sender.replay().applied == 1


def test_one_operation_that_a_proxy_refuses_does_not_pass_for_an_outage(sandbox: Sandbox, sender: Sender) -> None:
    sender.put("r", NOTES)
    sender.put("other", NOTES)
    wall = Match(operation="MirrorUpsertRun", variables=lambda given: given["input"]["id"] == stuck)
    stuck = sandbox.state.run(ENTITY, PROJECT, "r").id
    sandbox.faults.add(Fault.html(403, match=wall))
    report = sender.replay()
    assert (report.put_back, report.applied, report.outage) == (1, 1, None)


ROOM = 36 * 1024  # bytes that a file may have: enough to open the lake and for entries, not for a commit


def test_a_full_disk_leaves_delivered_entries_claimed_and_the_next_replay_settles_them(
    sandbox: Sandbox, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # Python would leave a torn file where others read it
    assert sender.replay().applied == 0  # makes the lake
    for number in range(5):
        sandbox.state.add_run(ENTITY, PROJECT, f"n{number}", notes="old")
        sender.put(f"n{number}", NOTES)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, before[1]))
    try:
        with pytest.raises(StoreError):
            sender.replay()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    counts = sender.counts()
    assert counts.get("claimed", 0) >= 1
    assert sum(counts.values()) == 5
    written = sandbox.requests.count("MirrorUpsertRun")
    report = sender.replay()
    assert report.already_so == written
    assert report.applied == 5 - written
    assert sandbox.requests.count("MirrorUpsertRun") == 5
    assert sender.counts() == {}
    assert len(sender.receipts()) == 5


@pytest.mark.parametrize("kind", [LogArtifact, UseArtifact])
@pytest.mark.parametrize("how", ["deleted", "never"])
def test_a_version_that_is_gone_is_not_linked_and_no_new_one_begun(
    sandbox: Sandbox, sender: Sender, kind: Any, how: str
) -> None:
    operation = artifact(sandbox, kind)
    (version,) = sandbox.state.project(ENTITY, PROJECT).collections["data"].versions
    if how == "deleted":
        version.state = "DELETED"
    else:
        sandbox.state.artifacts_by_id.pop(version.id)
    entry = sender.put("r", operation)
    versions = len(sandbox.state.artifacts_by_id)
    assert sender.replay().buried == 1
    assert "data:v0" in (sender.outbox.get(entry.id).entry.reason or "")
    assert len(sandbox.state.artifacts_by_id) == versions
    assert effect(sandbox, "r")[-2:] == (0, 0)


def test_a_version_is_linked_once_and_the_mirror_shows_it(sandbox: Sandbox, sender: Sender) -> None:
    for kind in (LogArtifact, UseArtifact, UseArtifact):
        sender.put("r", artifact(sandbox, kind))
    report = sender.replay()
    assert (report.applied, report.already_so) == (2, 1)
    run = sandbox.state.run(ENTITY, PROJECT, "r")
    assert len(run.logged) == len(run.used) == 1


def test_waits_grow_and_end_at_an_hour(sandbox: Sandbox, sender: Sender) -> None:
    entry = sender.put("r", NOTES)
    sandbox.faults.add(Fault.status(500, match=Match(operation="MirrorUpsertRun")))
    waits = []
    for _ in range(14):
        now = sender.now()
        assert sender.replay().put_back == 1
        until = sender.outbox.get(entry.id).entry.not_before
        assert until is not None
        waits.append((until - now).total_seconds())
        sender = sender.later(hours=2)
    assert 5 <= waits[0] < 10
    assert all(later > earlier * 1.3 for earlier, later in pairwise(waits[:9]))
    assert 3600 <= waits[-1] < 3600 * 1.3
