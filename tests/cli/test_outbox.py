"""`outbox`: what waits is seen, compared and decided; nothing leaves without a trace."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace

import pytest

from mirror.layout import Home
from mirror.run.api import Api
from mirror.store.engine.lake import Lake
from tests.cli.conftest import Editor


def conflict(editor: Editor, run_id: str) -> str:
    """An entry in conflict over the notes of a run."""
    entry = editor.queue("edit", run_id, "--notes", "ours", "--add-tag", "b")
    editor.sandbox.state.edit_run("team", "proj", run_id, notes="theirs")
    editor("replay", code=9)
    assert editor.entry(entry)["state"] == "conflict"
    return entry


def refused(editor: Editor, run_id: str) -> str:
    """A state that the server refused."""
    entry = editor.queue("edit", run_id, "--state", "failed")
    editor.sandbox.state.edit_run("team", "proj", run_id, state="finished")
    editor("replay", code=9)
    assert editor.entry(entry)["state"] == "dead"
    return entry


def test_a_state_that_the_server_refuses_is_visible_everywhere_with_its_words(editor: Editor) -> None:
    words = "invalid state transition from finished to failed"
    entry = refused(editor, "r1")
    status = editor("status", code=9)
    assert re.search(rf"^refused: {entry} team/proj/r1: state running → failed: {words}$", status.out, re.MULTILINE)
    said = editor("status", "--json", code=9).json["outbox"]
    assert (said["dead"], said["troubles"][0]["reason"]) == (1, words)
    assert words in editor("status", "r1", code=9).out
    assert words in editor("outbox", "list").out
    (listed,) = editor("outbox", "list", "--state", "dead", "--json").json
    assert (listed["id"], listed["reason"]) == (entry, words)
    (pending,) = Api(Home(editor.cli.home)).run("team/proj/r1").pending
    assert (pending.id, pending.state, pending.reason) == (entry, "dead", words)


def test_a_diff_shows_base_upstream_and_wish_against_the_server_else_against_the_mirror(editor: Editor) -> None:
    editor.queue("edit", "r2", "--notes", "ours", "--add-tag", "b", "--config", "lr=0.2", "--config", "new=1")
    editor.sandbox.state.edit_run("team", "proj", "r2", notes="theirs", tags=["a", "c"])
    online = editor("outbox", "diff")
    _, fate, *changes = online.out.splitlines()
    assert fate.endswith("; would be held as a conflict")
    assert [" ".join(line.split()) for line in changes] == [
        'notes "theirs" → "ours" (was "old" when asked) CONFLICT',
        'tags ["a","c"] → ["a","c","b"] (was ["a"] when asked)',
        "config.lr 0.1 → 0.2",
        "config.new absent → 1",
    ]
    assert "compared with the server" in online.err
    with editor.sandbox.outage():
        offline = editor("outbox", "diff", "--json").json
    assert offline["against"] == "mirror"
    assert "refused" in offline["why"]
    (operation,) = offline["operations"]
    assert operation["outcome"] == "applied"
    assert operation["changes"][0] == {
        "item": "notes",
        "base": {"value": "old"},
        "upstream": {"value": "old"},
        "wanted": {"value": "ours"},
        "action": "write",
    }
    assert editor.upstream("r2").notes == "theirs", "a diff changes nothing"


def test_a_diff_of_one_entry_stands_behind_those_before_it(editor: Editor) -> None:
    editor.queue("edit", "r4", "--config", "lr=0.5")
    editor.queue("edit", "r4", "--state", "pending")
    last = editor.queue("edit", "r4", "--config", "lr=0.7")
    (operation,) = editor("outbox", "diff", last, "--json").json["operations"]
    (change,) = operation["changes"]
    assert (change["base"], change["upstream"], change["wanted"]) == ({"value": 0.5}, {"value": 0.5}, {"value": 0.7})


@pytest.mark.parametrize(("how", "notes"), [("ours", "ours"), ("theirs", "theirs")])
def test_a_conflict_is_resolved_by_a_person(editor: Editor, how: str, notes: str) -> None:
    run_id = {"ours": "r6", "theirs": "r8"}[how]
    entry = conflict(editor, run_id)
    said = editor("outbox", "resolve", entry[:18], f"--{how}")
    assert said.out.endswith(f": resolved as {how}\n")
    editor("replay")
    assert (editor.upstream(run_id).notes, editor.upstream(run_id).tags) == (notes, ["a", "b"])
    shown = editor("outbox", "show", entry, "--json").json
    assert shown["entry"] is None
    assert shown["receipts"][-1]["outcome"] == "applied"


def test_a_refused_entry_is_retried_when_asked(editor: Editor) -> None:
    entry = refused(editor, "r3")
    editor("replay", code=9)
    assert editor.entry(entry)["attempts"] == 1, "a replay leaves it alone"
    editor.sandbox.state.edit_run("team", "proj", "r3", state="running")
    assert editor("outbox", "retry", "--all").out.endswith(": will be tried again\n")
    editor("replay")
    assert editor.upstream("r3").state == "failed"
    assert editor("outbox", "retry", "--all").err == "there is nothing to be tried again\n"


def test_a_dropped_entry_leaves_a_receipt_and_is_never_sent(editor: Editor) -> None:
    in_conflict, new = conflict(editor, "r9"), editor.queue("edit", "r10", "--config", "lr=9")
    before = editor.upstream("r10").config_text
    for entry in (new, in_conflict):
        assert editor("outbox", "drop", entry, "--yes").out.startswith(f"dropped {entry}: edit ")
        shown = editor("outbox", "show", entry[:30], "--json").json
        assert shown["entry"] is None
        assert shown["receipts"][-1]["outcome"] == "dropped"
    assert editor("replay", "--json").json["applied"] == 0
    assert editor.upstream("r10").config_text == before


def test_nothing_is_dropped_while_the_lake_is_written(editor: Editor) -> None:
    entry = editor.queue("edit", "r0", "--notes", "x")
    deployment = editor("status", "--json").json["deployment"]
    with Lake(Home(editor.cli.home), deployment=deployment):
        said = editor.cli.fails(8, "outbox", "drop", entry, "--yes")
        assert "another process is writing" in said.error
        assert "another process is writing" in editor.cli.fails(8, "replay").error
    assert editor.entry(entry)["state"] == "new"


def test_a_drop_asks_on_a_terminal_and_is_refused_elsewhere(editor: Editor) -> None:
    entry = editor.queue("edit", "r0", "--notes", "x")
    assert editor.cli.fails(10, "outbox", "drop", entry).hint.strip() == "agree with --yes"
    for answer, said in (("n", "kept"), ("y", "dropped")):
        with editor.cli.at_terminal("outbox", "drop", entry) as terminal:
            terminal.reads("give up edit notes of team/proj/r0? [y/N]")
            terminal.types(f"{answer}\n")
            terminal.reads(said)
            assert terminal.ends() == 0
    assert editor.entry(entry) is None


def test_an_id_that_is_unknown_or_not_whole_enough_is_said(editor: Editor) -> None:
    editor.queue("edit", "r0", "--notes", "x")
    editor.queue("edit", "r1", "--notes", "x")
    for command in (["show"], ["diff"], ["retry"], ["resolve", "--ours"], ["drop", "--yes"]):
        name, *more = command
        assert "the outbox has no entry 'ffffffff'" in editor.cli.fails(5, "outbox", name, "ffffffff", *more).error
        assert "several entries" in editor.cli.fails(2, "outbox", name, "0", *more).error


def test_what_a_state_does_not_allow_is_said_with_what_it_does(editor: Editor) -> None:
    waiting = editor.queue("edit", "r0", "--notes", "x")
    said = editor.cli.fails(3, "outbox", "resolve", waiting, "--ours")
    assert said.error == f"error: entry {waiting} is new, not in conflict"
    folder = editor.cli.home / "outbox"
    (file,) = (folder / "new").iterdir()
    file.rename(folder / "claimed" / file.name)
    for command in (["retry", waiting], ["drop", waiting, "--yes"]):
        said = editor.cli.fails(3, "outbox", *command)
        assert said.error == f"error: entry {waiting} is claimed: a replay is at it"
    with editor.sandbox.outage():
        editor("replay", code=6)
    assert editor.entry(waiting)["state"] == "new", "what a killed replay left waits again, also offline"


def test_wrong_command_lines_show_the_usage(editor: Editor) -> None:
    for arguments, words in (
        (["list", "--state", "old"], "is not one of"),
        (["retry"], "give either ID or --all"),
        (["retry", "0", "--all"], "give either ID or --all"),
        (["resolve", "0"], "give --ours or --theirs"),
        ([], "Usage: wandb-mirror outbox"),
    ):
        said = editor("outbox", *arguments, code=2)
        assert words in said.err


def test_a_list_is_filtered_cut_and_readable(editor: Editor) -> None:
    assert editor("outbox", "list").err == "nothing waits in the outbox\n"
    first, second = editor.queue("edit", "r0", "--notes", "x"), editor.queue("edit", "r1", "--notes", "x")
    rows = editor("outbox", "list").out.splitlines()[2:]
    assert [first.startswith(rows[0].split()[0]), second.startswith(rows[1].split()[0])] == [True, True]
    assert editor.entry(rows[0].split()[0])["id"] == first, "an id as the table has it is enough"
    assert [entry["id"] for entry in editor("outbox", "list", "--run", "r1", "--json").json] == [second]
    assert editor("outbox", "list", "--run", "r5", "--state", "new").err == "no such entry in the outbox\n"
    cut = editor("outbox", "list", "--limit", "1")
    assert len(cut.out.splitlines()) == 3
    assert cut.err == "cut after 1 operation; --limit shows more, --json all\n"


def test_a_torn_entry_is_set_aside_and_said_and_the_others_are_listed(editor: Editor) -> None:
    entry = editor.queue("edit", "r0", "--notes", "x")
    (editor.cli.home / "outbox" / "new" / "torn.json").write_bytes(b"{")
    said = editor("outbox", "list", "--json")
    assert [one["id"] for one in said.json] == [entry]
    assert "warning: torn.json in outbox/new was set aside" in said.err
    status = editor("status", "--json", code=9).json
    assert (status["outbox"]["aside"], [one["name"] for one in status["findings"]]) == (1, ["set_aside"])


def test_receipts_tell_times_by_the_readers_clock_or_in_utc(editor: Editor) -> None:
    entry = editor.queue("edit", "r0", "--notes", "new")
    editor("replay")
    (receipt,) = editor("outbox", "show", entry, "--json").json["receipts"]
    there = replace(editor.cli, env={**editor.cli.env, "TZ": "Asia/Tokyo"})
    ended = dt.datetime.fromisoformat(receipt["ended_at"])
    assert f"receipt   {ended + dt.timedelta(hours=9):%Y-%m-%d %H:%M:%S}  applied" in there("outbox", "show", entry).out
    assert f"receipt   {ended:%Y-%m-%d %H:%M:%S}Z  applied" in there("outbox", "show", entry, "--utc").out
