"""`replay`: what waits is delivered, what is not is said, outages are waited for, Ctrl-C leaves nothing half done."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from typing import Any

import anyio
import pytest

from mirror.cli.clients import open_client
from mirror.cli.delivery.round import Rounds, Teller
from mirror.cli.delivery.watch import Pace, deliver_forever
from mirror.cli.setting import Setting
from mirror.config import load_config
from mirror.layout import Home
from mirror.outbox import OutboxReader
from mirror.sandbox import Fault, Match
from tests.cli.conftest import Editor
from tests.cli.test_two_processes import wait_until
from tests.terminal import plain

FAST = Pace(rescan_s=0.02, probe_first_s=0.02, probe_longest_s=0.1)


def test_what_waits_is_delivered_and_the_summary_says_so(editor: Editor) -> None:
    assert editor("replay").err == "nothing waits in the outbox\n"
    editor.queue("edit", "r0", "--notes", "new")
    editor.queue("edit", "r1", "--state", "failed")
    said = editor("replay")
    assert said.out == ""
    first, last = said.err.splitlines()
    assert re.fullmatch(r"2 applied; \d+ requests, .* up, .* down, \d+\.\d s", first)
    assert last == "the outbox is empty"
    assert (editor.upstream("r0").notes, editor.upstream("r1").state) == ("new", "failed")
    assert editor("show", "r0", "--json").json["notes"] == "new", "the mirror has it at once"


def test_a_terminal_sees_a_line_for_each_operation(editor: Editor) -> None:
    editor.queue("edit", "r2", "--notes", "new")
    with editor.cli.at_terminal("replay", columns=100) as terminal:
        assert terminal.ends() == 0
    assert re.search(r"applied +team/proj/r2  edit notes", plain(terminal.drawn))


def test_nobody_is_asked_where_nothing_waits(editor: Editor) -> None:
    asked = editor.sandbox.requests.count(kind="graphql")
    assert editor("replay", "--json").json["requests"] == 0
    assert editor.sandbox.requests.count(kind="graphql") == asked


def test_an_outage_leaves_everything_as_it_was(editor: Editor) -> None:
    entry = editor.queue("edit", "r4", "--notes", "new")
    with editor.sandbox.outage():
        said = editor("replay", "--json", code=6)
        assert said.json["error"]["kind"] == "Unreachable"
        assert said.json["outbox"]["new"] == 1
    shown = editor.entry(entry)
    assert (shown["state"], shown["attempts"]) == ("new", 0)
    editor("replay")
    assert editor.upstream("r4").notes == "new"


def test_a_key_that_the_server_does_not_know_buries_nothing(editor: Editor) -> None:
    entry = editor.queue("edit", "r4", "--group", "g")
    stranger = editor.cli.using(WANDB_API_KEY="x" * 40)
    assert stranger("replay").code == 4
    assert editor.entry(entry)["state"] == "new"


def test_another_server_gets_nothing(editor: Editor) -> None:
    entry = editor.queue("edit", "r4", "--group", "g")
    other = editor.cli.using(WANDB_BASE_URL="http://127.0.0.1:9")
    for command in (["replay"], ["replay", "--dry-run"], ["outbox", "diff"], ["outbox", "drop", entry, "--yes"]):
        assert "mirrors" in other.fails(10, *command).error
    assert editor.entry(entry)["state"] == "new"


def test_the_policy_of_the_source_settles_conflicts(editor: Editor) -> None:
    config = editor.cli.config
    for run_id, policy, notes in (("r6", "ours", "ours"), ("r7", "theirs", "theirs")):
        editor.queue("edit", run_id, "--notes", "ours")
        editor.sandbox.state.edit_run("team", "proj", run_id, notes="theirs")
        text = re.sub(r'\nconflicts = ".*"', "", config.read_text())
        config.write_text(f'{text.rstrip()}\nconflicts = "{policy}"\n')
        editor("replay")
        assert editor.upstream(run_id).notes == notes


def test_a_dry_run_tells_what_would_be_sent_and_changes_nothing(editor: Editor) -> None:
    entry = editor.queue("edit", "r8", "--notes", "new")
    editor.queue("edit", "r9", "--state", "failed")
    editor.sandbox.state.edit_run("team", "proj", "r9", state="finished")
    said = editor("replay", "--dry-run")
    assert "would be applied" in said.out
    assert "would be refused: it is finished" in said.out
    assert "2 operations: 1 would be applied, 1 would be refused" in said.err
    shown = editor("replay", "--dry-run", "--json").json
    assert [operation["outcome"] for operation in shown["operations"]] == ["applied", "buried"]
    assert editor.upstream("r8").notes == "old"
    assert editor.entry(entry)["attempts"] == 0
    assert "exclude each other" in editor("replay", "--watch", "--dry-run", code=2).err


def start(editor: Editor, *arguments: str) -> subprocess.Popen[bytes]:
    return editor.cli.start("replay", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_watch_delivers_what_comes_and_ends_with_ctrl_c(editor: Editor) -> None:
    with start(editor, "--watch", "--json") as process:
        assert process.stderr is not None
        assert process.stdout is not None
        assert b"Ctrl-C ends it" in process.stderr.readline()
        entry = editor.queue("edit", "r10", "--notes", "watched")
        line: dict[str, Any] = json.loads(process.stdout.readline())
        assert (line["id"], line["outcome"], line["path"]) == (entry, "applied", "team/proj/r10")
        assert editor("replay", "--json").json["outbox"]["new"] == 0, "an idle watch keeps nobody out"
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read().decode()
        assert process.wait(30) == 0
    assert rest.splitlines()[-1] == "ended; nothing waits"
    assert editor.upstream("r10").notes == "watched"


def test_ctrl_c_ends_a_replay_after_what_is_under_way(editor: Editor) -> None:
    editor.queue("edit", "r11", "--config", "key0=1")
    editor.queue("edit", "r11", "--state", "failed")
    editor.queue("edit", "r11", "--config", "key1=1")
    asked = editor.sandbox.requests.count("MirrorUpsertRun")
    editor.sandbox.faults.add(Fault.latency(0.5, match=Match(operation="MirrorUpsertRun")))
    try:
        with start(editor) as process:
            wait_until(lambda: editor.sandbox.requests.count("MirrorUpsertRun") > asked)
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            said = process.stderr.read().decode()
            assert process.wait(30) == 130
    finally:
        editor.sandbox.faults.clear()
    assert "ending after what is under way" in said
    states = [entry["state"] for entry in editor("outbox", "list", "--json").json]
    assert states
    assert set(states) == {"new"}, "nothing is left half done"
    editor("replay")
    assert json.loads(editor.upstream("r11").config_text)["key0"]["value"] == 1


def test_a_watch_says_an_outage_once_and_goes_on_when_it_is_over(
    editor: Editor, capsys: pytest.CaptureFixture[str]
) -> None:
    editor.queue("edit", "r5", "--notes", "after the outage")
    anyio.run(_through_an_outage, editor)
    said = capsys.readouterr().err.splitlines()
    assert len([line for line in said if "will wait until the server is back" in line]) == 1, said
    assert said[-1] == "the server is back"
    assert editor.upstream("r5").notes == "after the outage"


async def _through_an_outage(editor: Editor) -> None:
    home, path = Home(editor.cli.home), editor.cli.config
    env = editor.cli.environment()
    config = load_config(path, env)
    setting = Setting(home=home, config=config, config_path=path)
    probes = 0

    def count(_reason: str, _wait_s: float) -> None:
        nonlocal probes
        probes += 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_API_KEY", env["WANDB_API_KEY"])
        async with open_client(config, None, on_retry=count) as client:
            teller = Teller(lambda *_: None)
            with anyio.fail_after(30):
                async with anyio.create_task_group() as group:
                    with editor.sandbox.outage():
                        group.start_soon(deliver_forever, Rounds(setting, client, teller), FAST)
                        while probes < 3:
                            await anyio.sleep(0.01)
                    waiting = OutboxReader(home)
                    while waiting.counts()["new"] or waiting.counts()["claimed"]:
                        await anyio.sleep(0.01)
                    teller.stop.set()
