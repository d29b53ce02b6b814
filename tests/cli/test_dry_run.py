"""`replay --dry-run` and `outbox diff` tell what a replay does, also behind what a person has to settle."""

from __future__ import annotations

from typing import Any

from mirror import Api
from mirror.run.run import Run
from tests.cli.conftest import Editor


def told(editor: Editor, *command: str) -> list[tuple[str, str]]:
    """Kind and outcome of each operation."""
    said: dict[str, Any] = editor(*command, "--json").json
    return [(one["kind"], one["outcome"]) for one in said["operations"]]


def test_what_waits_for_a_run_that_somebody_else_made_is_told_as_it_will_be(editor: Editor) -> None:
    Run.create(Api(home=editor.cli.home), run_id="made", project="proj", entity="team", state="pending")
    editor.queue("edit", "made", "--notes", "mine")
    (editor.cli.folder / "a.txt").write_bytes(b"a")
    editor.queue("upload", "made", "a.txt")
    editor.sandbox.state.add_run("team", "proj", "made", notes="theirs")
    waiting = [("edit", "waiting"), ("upload_file", "waiting")]
    assert told(editor, "replay", "--dry-run") == [("create", "held"), *waiting]
    editor("replay", code=9)
    assert told(editor, "replay", "--dry-run") == waiting
    assert told(editor, "outbox", "diff") == [("create", "held"), *waiting]
    (create,) = [entry for entry in editor("outbox", "list", "--json").json if entry["kind"] == "create"]
    editor("outbox", "resolve", create["id"], "--theirs")
    buried = [("edit", "buried"), ("upload_file", "buried")]
    assert told(editor, "replay", "--dry-run") == [("create", "theirs"), *buried]
    editor("replay", code=9)
    assert editor.upstream("made").notes == "theirs"
    assert editor.upstream("made").files == {}
    assert [entry["state"] for entry in editor("outbox", "list", "--json").json] == ["dead", "dead"]


def test_what_is_behind_a_conflict_about_the_same_waits_and_the_rest_goes(editor: Editor) -> None:
    editor.queue("edit", "r2", "--notes", "mine")
    editor.sandbox.state.edit_run("team", "proj", "r2", notes="theirs")
    editor("replay", code=9)
    editor.queue("edit", "r2", "--notes", "mine again")
    assert told(editor, "replay", "--dry-run") == [("edit", "waiting")]
    assert told(editor, "outbox", "diff") == [("edit", "held"), ("edit", "waiting")]
