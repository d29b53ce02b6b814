"""`edit` and `upload`: what is asked offline is queued whole, or refused with one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mirror import Api
from mirror.cli.delivery.queueing import NotingMirror, telling_if_cut_short
from mirror.errors import HomeUnusable
from mirror.layout import Home
from mirror.records.addresses import RunPath
from mirror.records.operations import Stop
from mirror.run.run import Run
from tests.cli.conftest import Cli, Editor


def test_an_edit_keeps_what_was_seen_beside_what_is_wanted(editor: Editor) -> None:
    with editor.sandbox.outage():
        wishes = {
            "--add-tag": ["good"], "--remove-tag": ["a"], "--notes": ["new"], "--name": ["best"], "--group": ["g"],
            "--job-type": ["train"], "--config": ["lr=0.2", "layers=[64, 10]", "opt=adam"], "--remove-config": ["big"],
            "--summary": ["loss=NaN"],
        }  # fmt: skip
        options = [text for flag, values in wishes.items() for value in values for text in (flag, value)]
        entry = editor.entry(editor.queue("edit", "r0", *options))
    assert entry["operation"] == {
        "kind": "edit",
        "fields": {
            "display_name": {"base": "run 0", "value": "best"},
            "notes": {"base": "old", "value": "new"},
            "group": {"base": None, "value": "g"},
            "job_type": {"base": None, "value": "train"},
            "tags": {"base": ["a"], "value": ["good"]},
        },
        "config": {
            "lr": {"base": 0.1, "value": 0.2},
            "big": {"base": 2**60 + 1},
            "layers": {"value": [64, 10]},
            "opt": {"value": "adam"},
        },
        "summary": {"loss": {"base": 1.5, "value": "NaN", "numbers": [""]}},
    }


def test_a_second_edit_sees_the_first_and_goes_with_it(editor: Editor) -> None:
    first = editor.queue("edit", "r0", "--add-tag", "b")
    said = editor("edit", "r0", "--remove-tag", "b", "--notes", "new")
    assert said.out == f"{first}  team/proj/r0  edit notes (together with the edit that waited)\n"
    assert said.err == "next: wandb-mirror replay\n"
    assert editor.entry(first)["operation"]["fields"] == {"notes": {"base": "old", "value": "new"}}


def test_what_is_so_already_queues_nothing(editor: Editor) -> None:
    said = editor("edit", "r0", "--notes", "old", "--add-tag", "a", "--remove-tag", "none", "--remove-config", "none")
    assert said.out == ""
    assert said.err.splitlines() == [
        "the run has no tag 'none'",
        "the config has no key 'none'",
        "nothing to change: the run is so already",
    ]
    assert editor("edit", "r0", "--notes", "old", "--json").json == {"entries": []}
    assert editor("outbox", "list", "--json").json == []


def test_a_state_is_queued_where_wandb_allows_it(editor: Editor) -> None:
    assert editor.entry(editor.queue("edit", "r0", "--state", "pending"))["wish"] == "state crashed → pending"
    assert editor.entry(editor.queue("edit", "r0", "--state", "failed"))["wish"] == "state pending → failed"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["r0", "--state", "finished"], "a run that is crashed cannot become 'finished'"),
        (["r0", "--state", "failed", "--notes", "x"], "a run that is crashed cannot become 'failed'"),
        (["r0", "--config", "lr"], "--config 'lr' is not K=V"),
        (["r0", "--config", "=1"], "--config '=1' is not K=V"),
        (["r0", "--summary", "loss"], "--summary 'loss' is not K=V"),
        (["r0", "--config", "a=1", "--config", "a=2"], "--config names 'a' twice"),
        (["r0", "--config", "a=1", "--remove-config", "a"], "config key 'a' is to be set and to be removed"),
        (["r0", "--add-tag", "t", "--remove-tag", "t"], "tag 't' is to be set and to be removed"),
        (["r0", "--config", "_wandb=1"], "'_wandb' is W&B's own key"),
        (["a//b/c/d", "--notes", "x"], "does not name a run"),
    ],
)
def test_an_edit_that_cannot_be_meant_is_refused_and_nothing_is_queued(
    editor: Editor, arguments: list[str], words: str
) -> None:
    assert words in editor.cli.fails(3, "edit", *arguments).error
    assert editor("outbox", "list", "--json").json == []


def test_a_run_that_is_not_mirrored_is_named_with_the_command_that_fetches_it(editor: Editor, cli: Cli) -> None:
    for command in (["edit", "team/proj/nope", "--notes", "x"], ["upload", "team/proj/nope", "mirror/mirror.toml"]):
        said = editor.cli.fails(5, *command)
        assert said.error == "error: run team/proj/nope is not in this mirror"
        assert "wandb-mirror pull team/proj/nope" in said.hint


def test_an_edit_of_nothing_shows_the_usage(editor: Editor) -> None:
    assert "say what to change" in editor("edit", "r0", code=2).err


def test_an_upload_keeps_the_bytes_of_that_moment(editor: Editor) -> None:
    folder = editor.cli.folder / "out"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"first")
    (folder / "deep" / "b.txt").write_bytes(b"b")
    said = editor("upload", "r2", "out/a.txt", str(folder / "deep" / "b.txt"), "--root", "out", "--json").json
    assert [entry["operation"]["name"] for entry in said["entries"]] == ["a.txt", "deep/b.txt"]
    (folder / "a.txt").write_bytes(b"second")
    editor("replay")
    assert sorted(editor.upstream("r2").files) == ["a.txt", "deep/b.txt", "model.pt"]
    editor("checkout", "r2", "back")
    assert (editor.cli.folder / "back" / "a.txt").read_bytes() == b"first"


def test_a_file_that_is_missing_or_outside_or_a_folder_is_refused_before_anything_is_queued(editor: Editor) -> None:
    (editor.cli.folder / "there").write_bytes(b"x")
    (editor.cli.folder / "folder").mkdir()
    os.mkfifo(editor.cli.folder / "pipe")
    for path, words in (
        ("gone", "gone cannot be read: No such file"),
        ("folder", "folder is a folder"),
        ("pipe", "pipe is no regular file"),
        ("./there", "are one file: there"),
        ("/etc/hostname", "/etc/hostname lies outside of ."),
    ):
        assert words in editor.cli.fails(3, "upload", "r0", "there", path).error
    assert editor("outbox", "list", "--json").json == []


def test_a_key_is_taken_out_of_the_summary(editor: Editor) -> None:
    entry = editor.entry(editor.queue("edit", "r0", "--remove-summary", "loss"))
    assert entry["operation"]["summary"] == {"loss": {"base": 1.5}}
    said = editor("edit", "r0", "--remove-summary", "loss")
    assert "the summary has no key 'loss'" in said.err
    assert "both" not in editor.cli.fails(3, "edit", "team/proj/r0", "--summary", "a=1", "--remove-summary", "a").error


def test_what_is_queued_is_shown_by_show_and_named(editor: Editor) -> None:
    queued = editor.queue("edit", "r0", "--notes", "new", "--config", "lr=0.5", "--add-tag", "good")
    shown = editor("show", "r0", "--json").json
    assert (shown["notes"], shown["config"]["lr"], shown["tags"]) == ("new", 0.5, ["a", "good"])
    assert [entry["id"] for entry in shown["pending"]] == [queued]
    said = editor("show", "r0").out
    assert "notes                new" in said
    assert f"waits: edit notes, tags, config.lr ({queued}" in said


def test_a_run_that_is_only_queued_to_be_made_can_be_shown_and_edited(editor: Editor, tmp_path: Path) -> None:
    api = Api(home=editor.cli.home)
    Run.create(api, run_id="born", project="proj", entity="team", state="pending")
    editor("edit", "born", "--notes", "hello", code=0)
    shown = editor("show", "born", "--json").json
    assert (shown["state"], shown["notes"], shown["synced_at"]) == ("pending", "hello", None)
    told = editor("status", "team/proj/born", "--json").json
    assert [entry["kind"] for entry in told["pending"]] == ["create", "edit"]
    assert "not made yet" in editor("status", "team/proj/born").out


def test_what_was_queued_before_an_error_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    local = NotingMirror(Home(tmp_path / "mirror"))
    entry = local.enqueue(RunPath("team", "proj", "r"), None, Stop())
    with pytest.raises(HomeUnusable), telling_if_cut_short(local):
        raise HomeUnusable("the disk is full")
    assert capsys.readouterr().err == f"queued before this error: {entry.id}  stop the run\n"


def test_what_is_queued_shows_wherever_a_run_is_told_of(editor: Editor) -> None:
    query = "SELECT state, notes, tags, config->'lr' AS lr FROM {} WHERE run_id = 'r0'"
    (before,) = editor("sql", query.format("runs"), "--json").json
    editor("edit", "r0", "--state", "pending", "--notes", "it's new", "--config", "lr=0.5", "--add-tag", "good")
    path = "team/proj/r0"
    columns = "path,state,notes,tags,config.lr"
    (listed,) = editor("runs", "--state", "pending", "--columns", columns, "--json").json
    assert listed == {"path": path, "state": "pending", "notes": "it's new", "tags": ["a", "good"], "config.lr": 0.5}
    (queued,) = editor("sql", query.format("runs"), "--json").json
    assert queued == {"state": "pending", "notes": "it's new", "tags": ["a", "good"], "lr": 0.5}
    (held,) = editor("sql", query.format("runs_upstream"), "--json").json
    assert held == before != queued
    shown = editor("show", "r0", "--json").json
    run = Api(home=editor.cli.home).run(path)
    assert shown["state"] == run.state == "pending"
    assert run.config["lr"] == 0.5


def test_a_run_that_is_still_to_be_made_is_listed(editor: Editor) -> None:
    made = Api(home=editor.cli.home).create_run(project="proj", entity="team")
    (listed,) = editor("runs", "--filter", f'{{"name": "{made.id}"}}', "--columns", "path,state", "--json").json
    assert listed["path"] == f"team/proj/{made.id}"
    assert editor("sql", f"SELECT count(*) AS n FROM runs_upstream WHERE run_id = '{made.id}'", "--json").json == [
        {"n": 0}
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--add-tag", ""], ["--remove-tag", " "], ["--remove-config", ""], ["--remove-summary", ""],
        ["--config", "=x"], ["--config", " =x"], ["--summary", "=1"],
    ],
)  # fmt: skip
def test_what_names_nothing_is_refused(editor: Editor, arguments: list[str]) -> None:
    assert arguments[0] in editor.cli.fails(3, "edit", "r1", *arguments).error
    assert arguments[0] in editor.cli.fails(3, "edit", "--filter", "{}", "--yes", *arguments).error
    assert editor("outbox", "list", "--json").json == []
