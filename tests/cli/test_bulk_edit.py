"""`edit --filter`: what would change is said before it is asked; typed how often ever, each edit is queued once."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mirror.cli.delivery.queueing import NotingMirror
from mirror.layout import Home
from mirror.records.addresses import RunPath
from mirror.records.operations import Stop
from mirror.sandbox import Sandbox
from tests.cli.conftest import Cli, Editor
from tests.terminal import CTRL_C

MANY = 250
CRASHED = '{"state": "crashed"}'


def queued_runs(editor: Editor) -> list[str]:
    return sorted(entry["run_id"] for entry in editor("outbox", "list", "--json").json)


def test_nobody_who_could_agree_means_nothing_is_queued(editor: Editor) -> None:
    said = editor.cli.fails(10, "edit", "--filter", CRASHED, "--add-tag", "x", "--config", "lr=0.1", "--notes", "n")
    assert said.err.splitlines() == [
        "6 of 6 runs that fit would change",
        '  notes  6 runs  → "n"',
        "  tags   6 runs  +x",
        "error: nothing was queued: nobody agreed to change these runs",
        "hint: agree with --yes",
    ]
    dry = editor("edit", "--filter", CRASHED, "--add-tag", "x", "--dry-run")
    assert (dry.out, dry.err.splitlines()[0]) == ("", "6 of 6 runs that fit would change")
    assert queued_runs(editor) == []


def test_each_run_is_queued_once_however_often_it_is_typed_and_delivered(editor: Editor) -> None:
    editor("edit", "r0", "--add-tag", "x", "--config", "seen=[1]")
    typed = ("edit", "--filter", '{"name": {"$in": ["r0", "r2", "r4"]}}', "--add-tag", "x", "--config", "seen=[1]")
    said = editor(*typed, "--yes", "--json")
    assert [entry["run_id"] for entry in said.json["entries"]] == ["r2", "r4"]
    assert "2 of 3 runs that fit would change" in said.err
    assert "1 run is so already" in said.err
    assert editor(*typed, "--yes", "--json").json == {"entries": []}
    assert queued_runs(editor) == ["r0", "r2", "r4"]
    editor("replay")
    for run_id in ("r0", "r2", "r4"):
        assert editor.upstream(run_id).tags == ["a", "x"]
        assert editor.upstream(run_id).config["seen"]["value"] == [1]
    assert editor.upstream("r6").tags == ["a"]


def test_a_person_is_asked_and_may_say_no(editor: Editor) -> None:
    command = ["edit", "--project", "team/p*", "--filter", CRASHED, "--remove-tag", "a"]
    for answer, entries in (("n", 0), ("y", 6)):
        with editor.cli.at_terminal(*command) as terminal:
            assert "tags  6 runs  -a" in terminal.reads("change 6 runs? [y/N]:")
            terminal.types(f"{answer}\n")
            terminal.reads("next: wandb-mirror replay" if entries else "nothing was queued")
            assert terminal.ends() == 0
        assert len(queued_runs(editor)) == entries


def test_runs_that_do_not_take_it_are_left_out_and_named(editor: Editor) -> None:
    said = editor("edit", "--filter", "{}", "--state", "failed", "--yes", "--json", code=9)
    assert [entry["wish"] for entry in said.json["entries"]] == ["state running → failed"] * 6
    assert "left out: team/proj/r0: invalid state transition: a run that is crashed cannot become 'failed'" in said.err
    assert "left out: 3 more" in said.err


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["r0", "--filter", "{}", "--add-tag", "x"], 2, "name one RUN, or --filter"),
        (["--add-tag", "x"], 2, "name one RUN, or --filter"),
        (["r0", "--yes", "--add-tag", "x"], 2, "go with --filter"),
        (["--filter", "{", "--add-tag", "x"], 3, "--filter is not JSON"),
        (["--filter", '{"nope": 1}', "--add-tag", "x"], 3, "'nope' is not a known filter field"),
        (["--filter", "{}"], 2, "say what to change"),
    ],
)
def test_what_cannot_be_meant_is_refused(editor: Editor, arguments: list[str], status: int, words: str) -> None:
    assert words in editor("edit", *arguments, code=status).err
    assert queued_runs(editor) == []


def test_a_filter_that_keeps_nothing_changes_nothing(editor: Editor) -> None:
    said = editor("edit", "--filter", '{"state": "none"}', "--project", "team/proj", "--notes", "x", "--yes")
    assert (said.out, said.err) == ("", "no run fits\n")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A mirror of more runs than are queued in a moment."""
    with Sandbox.start() as sandbox:
        for number in range(MANY):
            sandbox.state.add_run("team", "proj", f"r{number:03}")
        cli = Cli(folder=tmp_path_factory.mktemp("many")).at(sandbox).configure("team/proj")
        cli("pull", code=0)
        yield cli


def waiting(home: Path) -> int:
    folder = home / "outbox" / "new"
    return sum(1 for _ in folder.iterdir()) if folder.exists() else 0


def test_a_bulk_edit_that_is_interrupted_goes_on_when_it_is_typed_again(many: Cli) -> None:
    typed = ("edit", "--filter", "{}", "--notes", "bulk", "--yes")
    with many.start(*typed, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while waiting(many.home) < 3:
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"")
    (told,) = [line for line in err.decode().splitlines() if line.startswith("queued before this")]
    first = waiting(many.home)
    assert f"the changes of {first} of {MANY} runs" in told
    assert first < MANY
    said = many(*typed, code=0)
    assert f"{MANY - first} of {MANY} runs that fit would change" in said.err
    entries = many("outbox", "list", "--json", code=0).json
    assert sorted(entry["run_id"] for entry in entries) == [f"r{number:03}" for number in range(MANY)]
    assert {json.dumps(entry["operation"]["fields"]["notes"]["value"]) for entry in entries} == {'"bulk"'}


def test_ctrl_c_comes_before_a_change_is_queued_or_after_it_is_counted(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = NotingMirror(home)

    def interrupted(_: Path) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("mirror.durable.sync_folder", interrupted)  # the entry has its name
    with pytest.raises(KeyboardInterrupt):
        local.enqueue(RunPath("team", "proj", "r1"), None, Stop())
    monkeypatch.undo()
    assert [entry.run_id for entry, _ in local.queued] == ["r1"]
    assert waiting(home.root) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_at_the_question_queues_nothing_and_ends_its_line(many: Cli) -> None:
    before = many("outbox", "list", "--json", code=0).json
    with many.at_terminal("edit", "--filter", '{"state": "finished"}', "--notes", "never") as terminal:
        terminal.reads("[y/N]: ")
        terminal.types_until(CTRL_C, "interrupted; ")
        assert terminal.ends() == 130
    assert "\ninterrupted; " in terminal.drawn.replace("\r", "")
    assert many("outbox", "list", "--json", code=0).json == before
