"""Whether a change was made is read from its payload: nothing is sent twice, and nothing made is called refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mirror.api.fitting.passing import is_passing
from mirror.errors import Reported
from mirror.layout import Home
from mirror.outbox import OutboxReader
from mirror.records.operations import Change, Create, Delete, DeleteFile, Edit, Operation, Stop, UpdateState
from mirror.sandbox import Fault, Match, Sandbox
from tests.mirroring import ENTITY, PROJECT, Mirror
from tests.replaying import Sender
from tests.soaking import thin

NOTES = Edit(fields={"notes": Change(base="old", value="new")})
PENDING = UpdateState(state="pending", base="failed")
UNHEARD_OF = 'Cannot query field "zzz" on type "Run".'
NULL = "null"
FORM = 'Cannot query field "host" on type "Run".'


def dead(home: Home) -> list[str]:
    """Why entries were refused; each is still in the outbox."""
    return [placed.entry.reason or "" for placed in OutboxReader(home).entries("dead")]


def sent(server: Sandbox, operation: str) -> int:
    """How often the server got a mutation."""
    return sum(request.operation == operation for request in server.requests)


def error(*path: str | int, message: str = FORM, code: str = "GRAPHQL_VALIDATION_FAILED") -> dict[str, Any]:
    found: dict[str, Any] = {"message": message}
    return found | {"path": list(path), "extensions": {"code": code}} if path else found


def beside(*errors: dict[str, Any]) -> Callable[[Any], None]:
    """The payload stays, with errors beside it."""

    def lie(answer: Any) -> None:
        answer["errors"] = list(errors)

    return lie


def in_place(payload: Any, *errors: dict[str, Any]) -> Callable[[Any], None]:
    """Another payload, with errors beside it."""

    def lie(answer: Any) -> None:
        answer["data"] = None if payload is None else dict.fromkeys(answer["data"], payload)
        answer["errors"] = list(errors)

    return lie


def without_a_word(payload: Any) -> Callable[[Any], None]:
    """Another payload, and no errors."""

    def lie(answer: Any) -> None:
        answer["data"] = dict.fromkeys(answer["data"], payload)

    return lie


def of_another_run(answer: Any) -> None:
    """The payload shows another run than was changed."""
    answer["data"]["upsertBucket"]["bucket"] |= {"name": "other", "id": "another id"}


ANSWERS = {
    "no run, and no word": (NOTES, "MirrorUpsertRun", without_a_word({"bucket": None})),
    "nothing, and no word": (NOTES, "MirrorUpsertRun", without_a_word(None)),
    "nothing of a creation, and no word": (Create(state="running"), "MirrorUpsertRun", without_a_word(None)),
    "another run": (NOTES, "MirrorUpsertRun", of_another_run),
    "a field of the run failed": (NOTES, "MirrorUpsertRun", beside(error("upsertBucket", "bucket", "host"))),
    "words about form, of nothing": (NOTES, "MirrorUpsertRun", beside(error())),
    "the run failed": (NOTES, "MirrorUpsertRun", in_place({"bucket": None}, error("upsertBucket", "bucket", "id"))),
    "a stop with words about form": (Stop(), "MirrorStopRun", beside(error())),
    "a state with words about form": (PENDING, "MirrorUpdateState", beside(error())),
    "a deletion with words about form": (
        Delete(delete_artifacts=False), "MirrorDeleteRun", beside(error("deleteRun", "clientMutationId")),
    ),
    "a file's deletion with words about form": (
        DeleteFile(name="f.txt", file_id=None, project_internal_id=None), "MirrorDeleteFiles", beside(error()),
    ),
    "a creation that cannot be shown": (
        Create(state="running"), "MirrorUpsertRun", in_place({"bucket": None}, error("upsertBucket", "bucket", "id")),
    ),
}  # fmt: skip


def put(server: Sandbox, sender: Sender, operation: Operation) -> None:
    state = "running" if isinstance(operation, Stop) else "failed"
    if not isinstance(operation, Create):
        server.state.add_run(ENTITY, PROJECT, "r", state=state, notes="old", files={"f.txt": b"bytes"})
    sender.put("r", operation)


@pytest.mark.parametrize(("operation", "document", "lie"), ANSWERS.values(), ids=ANSWERS)
def test_a_change_with_a_payload_was_made_whatever_stands_beside(
    operation: Operation, document: str, lie: Callable[[Any], None], sandbox: Sandbox, sender: Sender
) -> None:
    put(sandbox, sender, operation)
    sandbox.faults.add(Fault.lie(lie, match=Match(operation=document)))
    assert sender.replay().applied == 1
    assert sent(sandbox, document) == 1


LOST = {
    "nothing, and no word": (PENDING, "MirrorUpdateState", without_a_word(None)),
    "nothing of a deletion, and no word": (
        Delete(delete_artifacts=False), "MirrorDeleteRun", without_a_word(None),
    ),
    "the payload fell with the run": (NOTES, "MirrorUpsertRun", in_place(None, error("upsertBucket", "bucket", "id"))),
    "the payload fell with a field": (
        PENDING, "MirrorUpdateState", in_place(None, error("updateRunState", "success", message="it broke")),
    ),
    "whether it was made failed": (
        PENDING, "MirrorUpdateState", in_place({"success": None}, error("updateRunState", "success")),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("operation", "document", "lie"), LOST.values(), ids=LOST)
def test_a_change_whose_payload_was_lost_is_looked_for_before_it_is_sent_again(
    operation: Operation, document: str, lie: Callable[[Any], None], sandbox: Sandbox, sender: Sender
) -> None:
    put(sandbox, sender, operation)
    sandbox.faults.add(Fault.lie(lie, match=Match(operation=document)))
    assert (sender.replay().put_back, dead(sender.home)) == (1, [])
    assert sender.later(hours=2).replay().already_so == 1
    assert sent(sandbox, document) == 1


def test_an_edit_that_is_answered_and_not_kept_is_sent_again(sandbox: Sandbox, sender: Sender) -> None:
    put(sandbox, sender, NOTES)

    def forgotten(_: Any) -> None:
        sandbox.state.run(ENTITY, PROJECT, "r").notes = "old"

    sandbox.faults.add(Fault.lie(forgotten, times=1, match=Match(operation="MirrorUpsertRun")))
    assert (sender.replay().put_back, dead(sender.home)) == (1, [])
    assert sender.later(hours=2).replay().applied == 1
    assert sandbox.state.run(ENTITY, PROJECT, "r").notes == "new"


def test_an_answer_that_names_another_run_changes_nothing_of_that_one(
    sandbox: Sandbox, mirror: Mirror, sender: Sender
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "other", notes="its own")
    sandbox.state.add_run(ENTITY, PROJECT, "r", notes="old")
    mirror.pull()
    sender.put("r", NOTES)
    sandbox.faults.add(Fault.lie(of_another_run, match=Match(operation="MirrorUpsertRun")))
    assert sender.replay().applied == 1
    assert (mirror.run("other")["notes"], mirror.run("r")["notes"]) == ("its own", "new")


def test_a_document_that_comes_garbled_behind_an_edit_replaces_none_that_is_held(
    sandbox: Sandbox, mirror: Mirror, sender: Sender
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", notes="old", config={"lr": 0.1}, summary={"loss": 1})
    mirror.pull()

    def cut(answer: Any) -> None:
        run = answer["data"]["upsertBucket"]["bucket"]
        run |= {"config": run["config"][:-1], "heartbeatAt": "soon"}

    sandbox.faults.add(Fault.lie(cut, match=Match(operation="MirrorUpsertRun")))
    sender.put("r", NOTES)
    held = mirror.run("r")
    assert sender.replay().applied == 1
    moved = {"notes", "fingerprint", "synced_at", "updated_at", "updated_at_text"}
    assert mirror.run("r") == held | {name: mirror.run("r")[name] for name in moved}
    assert mirror.run("r")["notes"] == "new"


def test_an_answer_that_is_too_long_may_be_that_of_a_change_that_was_made(sandbox: Sandbox, sender: Sender) -> None:
    put(sandbox, sender, NOTES)

    def lie(answer: Any) -> None:
        answer["data"]["upsertBucket"]["bucket"]["config"] = "x" * 2_000_000

    sandbox.faults.add(Fault.lie(lie, match=Match(operation="MirrorUpsertRun")))
    sender.server = type(sender.server)(answer_max_mb=1)
    assert (sender.replay().put_back, dead(sender.home)) == (1, [])
    assert sender.later(hours=2).replay().already_so == 1
    assert sent(sandbox, "MirrorUpsertRun") == 1


REFUSED = {
    "null, at the mutation": in_place(None, error("upsertBucket", message="no", code="NO")),
    "null in data": lambda answer: answer.update(
        data={"upsertBucket": None}, errors=[error("upsertBucket", message="no")]
    ),
    "null, of no place": in_place(None, error(message="no")),
    "no run, and words": in_place({"bucket": None}, error(message="no")),
    "a form that teaches nothing": in_place(None, error(message=UNHEARD_OF)),
}


@pytest.mark.parametrize("lie", REFUSED.values(), ids=REFUSED)
def test_a_change_that_is_refused_is_sent_once_and_kept_with_the_words(
    lie: Callable[[Any], None], sandbox: Sandbox, sender: Sender
) -> None:
    put(sandbox, sender, NOTES)
    sandbox.faults.add(Fault.lie(lie, match=Match(operation="MirrorUpsertRun")))
    assert sender.replay().buried == 1
    assert dead(sender.home)[0] in {"no", UNHEARD_OF}
    assert sent(sandbox, "MirrorUpsertRun") == 1


CLEARED: dict[str, Operation] = {
    "UpsertBucketInput.notes": Edit(fields={"notes": Change(base="old", value="")}),
    "UpsertBucketInput.tags": Edit(fields={"tags": Change(base=["a"], value=[])}),
    "UpsertBucketInput.groupName": Edit(fields={"group": Change(base="g", value=None)}),
}


@pytest.mark.parametrize(
    ("hidden", "introspection"),
    thin(
        [(hidden, introspection) for hidden in CLEARED for introspection in (True, False)],
        keep=[(hidden, hidden != "UpsertBucketInput.tags") for hidden in CLEARED],
    ),
)
def test_to_clear_a_field_that_the_input_lacks_is_refused_in_clear_words(
    hidden: str, introspection: bool, home: Home
) -> None:
    with Sandbox.start(hide=[hidden], introspection=introspection) as server:
        server.state.add_run(ENTITY, PROJECT, "r", notes="old", tags=["a"], group="g")
        Mirror(url=server.url, api_key=server.api_key, home=home).pull()
        sender = Sender(url=server.url, api_key=server.api_key, home=home)
        sender.put("r", CLEARED[hidden])
        assert sender.replay().buried == 1
        assert f"takes no {hidden.partition('.')[2]}" in dead(home)[0]
        run = server.state.run(ENTITY, PROJECT, "r")
        assert (run.notes, run.tags, run.group) == ("old", ["a"], "g")
        assert sent(server, "MirrorUpsertRun") == (0 if introspection else 1)


def test_a_deletion_that_keeps_artifacts_does_without_the_field_that_says_so(home: Home) -> None:
    with Sandbox.start(hide=["DeleteRunInput.deleteArtifacts"]) as server:
        sender = Sender(url=server.url, api_key=server.api_key, home=home)
        for name, delete_artifacts in (("r", False), ("s", True)):
            server.state.add_run(ENTITY, PROJECT, name)
            sender.put(name, Delete(delete_artifacts=delete_artifacts))
        report = sender.replay()
        assert (report.applied, report.buried) == (1, 1)
        assert "takes no deleteArtifacts" in dead(home)[0]
        assert set(server.state.project(ENTITY, PROJECT).runs) == {"s"}


PASSING = [
    ("Error 1213: Deadlock found when trying to get lock; try restarting transaction", None),
    ("deadlock detected", None),
    ("context deadline exceeded", None),
    ("the request timed out", None),
    ("failed to update run", "DEADLINE_EXCEEDED"),
    ("pq: could not serialize access due to concurrent update", None),
    ("it broke", "SERVICE_UNAVAILABLE"),
    ("Lock wait timeout exceeded", None),
    ("internal system error", None),
]
FINAL = [
    ("invalid state transition from pending to pending", None),
    ("permission denied", "PERMISSION_ERROR"),
    ("notes are too long", "BAD_USER_INPUT"),
    ("project timeout_study is locked", None),
]


def test_errors_of_the_moment_are_told_from_a_no() -> None:
    for message, code in PASSING:
        assert is_passing([Reported(message=message, code=code)]), message
    for message, code in FINAL:
        assert not is_passing([Reported(message=message, code=code)]), message
    assert not is_passing([])
    assert not is_passing([Reported(message=PASSING[0][0]), Reported(message=FINAL[0][0])])


OPERATIONS: dict[str, Operation] = {
    "MirrorUpsertRun": NOTES,
    "MirrorUpdateState": PENDING,
    "MirrorStopRun": Stop(),
    "MirrorDeleteRun": Delete(delete_artifacts=False),
    "MirrorDeleteFiles": DeleteFile(name="f.txt", file_id=None, project_internal_id=None),
}


@pytest.mark.parametrize("document", OPERATIONS)
def test_a_change_that_failed_for_the_moment_is_tried_again(document: str, sandbox: Sandbox, sender: Sender) -> None:
    put(sandbox, sender, OPERATIONS[document])
    fault = Fault.graphql_error(PASSING[0][0], times=1, match=Match(operation=document))
    sandbox.faults.add(fault)
    assert (sender.replay().put_back, dead(sender.home)) == (1, [])
    assert sender.later(hours=2).replay().applied == 1
    assert sent(sandbox, document) == 2


@pytest.mark.parametrize("document", ["MirrorUpdateState", "MirrorDeleteFiles"])
def test_a_change_that_met_another_one_is_tried_again_whatever_its_kind(
    document: str, sandbox: Sandbox, sender: Sender
) -> None:
    put(sandbox, sender, OPERATIONS[document])
    sandbox.faults.add(Fault.status(409, times=1, match=Match(operation=document)))
    assert (sender.replay().put_back, dead(sender.home)) == (1, [])
    assert sender.later(hours=2).replay().applied == 1
