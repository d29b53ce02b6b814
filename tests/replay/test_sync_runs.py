"""Runs that were trained offline go upstream once and in order, whatever came in between."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from mirror.layout import Home
from mirror.offline.adding import OfflineRuns
from mirror.offline.wanted import Wanted
from mirror.records.addresses import RunPath
from mirror.records.operations import Change, Edit
from mirror.replay import replay
from mirror.replay.context import DeliveryContext
from mirror.replay.forecast import NOT_COMPARED
from mirror.replay.sync import delivery, lines
from mirror.sandbox import Fault, Match, Sandbox
from tests.mirroring import ENTITY, PROJECT, Mirror
from tests.replay.trainings import BEGAN, Training, add
from tests.replaying import Sender


@pytest.fixture(autouse=True)
def _project(sandbox: Sandbox) -> None:
    sandbox.state.add_project(ENTITY, PROJECT)


def steps_upstream(sandbox: Sandbox, run_id: str = "r1") -> list[int]:
    return [row["_step"] for row in sandbox.state.run(ENTITY, PROJECT, run_id).history]


def trained(tmp_path: Path, rows: int = 10, **names: Any) -> Training:
    training = Training(tmp_path / "wandb", **names)
    training.log(rows)
    training.print("epoch 1\nepoch 2\r")
    training.print("epoch 3\n")
    training.measure(3)
    training.save("notes/a.txt", b"hello")
    training.log_artifact("model", {"weights.bin": b"0123", "deep/b.json": b"{}"}, "best")
    return training


def test_everything_of_a_run_is_upstream_once(sandbox: Sandbox, mirror: Mirror, sender: Sender, tmp_path: Path) -> None:
    training = trained(tmp_path, display_name="first", notes="n", run_group="g", job_type="j", tags=("a", "b"))
    training.finish()
    add(sender, tmp_path)
    assert (sender.replay().applied, sender.replay().applied) == (1, 0)
    run = sandbox.state.run(ENTITY, PROJECT, "r1")
    assert (run.display_name, run.notes, run.group, run.job_type, run.tags) == ("first", "n", "g", "j", ["a", "b"])
    assert (run.state, run.exit_code, steps_upstream(sandbox)) == ("finished", 0, list(range(10)))
    assert [line.line for line in run.console] == ["epoch 1", "epoch 3"]
    assert [event["system.cpu"] for event in run.events] == [0, 1, 2]
    assert {"notes/a.txt", "config.yaml", "wandb-summary.json"} <= {
        name for name, file in run.files.items() if file.listed
    }
    (version,) = sandbox.state.project(ENTITY, PROJECT).collections["model"].versions
    assert (version.state, sorted(version.manifest["contents"])) == ("COMMITTED", ["deep/b.json", "weights.bin"])
    assert mirror.pull().errors == []
    assert mirror.run("r1")["origin"] is None
    assert mirror.ask("SELECT count(*) AS n FROM runs") == [{"n": 1}]


def test_a_pull_neither_hides_nor_overwrites_what_is_not_delivered(
    sandbox: Sandbox, mirror: Mirror, sender: Sender, tmp_path: Path
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "other")
    mirror.pull()
    trained(tmp_path).finish()
    add(sender, tmp_path)
    for force_walk in (False, True):
        report = mirror.pull(force_walk=force_walk)
        assert (report.errors, mirror.run_ids()) == ([], ["other", "r1"])
    sandbox.state.add_run(ENTITY, PROJECT, "r1", state="running")  # somebody else's beginning
    mirror.pull(force_walk=True)
    assert (mirror.run("r1")["state"], mirror.run("r1")["origin"]) == ("finished", "offline")


def test_a_run_that_goes_on_is_delivered_as_it_grows(sandbox: Sandbox, sender: Sender, tmp_path: Path) -> None:
    training = Training(tmp_path)
    training.log(3)
    now = dt.datetime.now(dt.UTC)
    sender = dataclasses.replace(sender, now=lambda: now)
    add(sender, tmp_path)
    assert sender.replay().put_back == 1
    assert (steps_upstream(sandbox), sandbox.state.run(ENTITY, PROJECT, "r1").state) == ([0, 1, 2], "running")
    training.log(2)
    training.finish()
    add(sender, tmp_path)
    assert sender.replay().waiting == 1  # it is too soon
    assert sender.later(seconds=20).replay().applied == 1
    assert (steps_upstream(sandbox), sandbox.state.run(ENTITY, PROJECT, "r1").state) == ([0, 1, 2, 3, 4], "finished")


@pytest.mark.parametrize("back", [20, 3], ids=["new-steps", "steps-that-are-there"])
def test_rows_whose_steps_go_back_are_sent_once(sandbox: Sandbox, sender: Sender, tmp_path: Path, back: int) -> None:
    training = Training(tmp_path)
    training.log(3, step=40)
    training.log(3, step=2)
    training.log(2, step=back)
    now = dt.datetime.now(dt.UTC)
    sender = dataclasses.replace(sender, now=lambda: now)
    add(sender, tmp_path)
    for _ in range(3):
        sender.replay()
        sender = sender.later(seconds=20)
    training.log(1, step=50)
    training.finish()
    add(sender, tmp_path)
    assert sender.later(seconds=40).replay().applied == 1
    assert steps_upstream(sandbox) == sorted({40, 41, 42, 2, 3, 4, back, back + 1, 50})
    lines_there = sandbox.state.run(ENTITY, PROJECT, "r1").history_lines
    assert list(lines_there) == list(range(9))


def test_what_a_log_grows_by_while_it_is_delivered_is_delivered_afterwards(
    sandbox: Sandbox, mirror: Mirror, sender: Sender, tmp_path: Path
) -> None:
    """One that counts as broken off wakes up: its process only slept."""
    training = Training(tmp_path)
    training.log(3)
    sender = sender.later(hours=1)
    add(sender, tmp_path)

    async def grow(context: DeliveryContext) -> None:
        while not sandbox.requests.count(kind="file_stream"):
            await anyio.sleep(0.01)
        training.log(2)
        async with context.storing:  # the turn that a daemon has for this, too
            runs = OfflineRuns(context.lake, context.outbox, now=context.now)
            (candidate,) = runs.candidates(Wanted(paths=(str(training.path),)))
            await anyio.to_thread.run_sync(runs.take, candidate)

    async def both() -> None:
        async with sender.context() as context, anyio.create_task_group() as group:
            group.start_soon(grow, context)
            await replay(context)

    sandbox.faults.add(Fault.latency(1.0, times=1, match=Match(operation="MirrorSyncedRunAndFiles")))
    anyio.run(both)
    assert (steps_upstream(sandbox), mirror.run("r1")["origin"]) == ([0, 1, 2], "offline")
    assert sender.later(hours=1).replay().applied == 1
    assert (steps_upstream(sandbox), mirror.run("r1")["origin"]) == ([0, 1, 2, 3, 4], None)
    assert sender.counts() == {}


def test_a_run_that_broke_off_counts_as_failed(sandbox: Sandbox, sender: Sender, tmp_path: Path) -> None:
    training = Training(tmp_path)
    training.log(2)
    os.utime(training.path, (BEGAN, BEGAN))
    (row,) = add(sender, tmp_path)
    assert row.ended
    assert sender.replay().applied == 1
    assert sandbox.state.run(ENTITY, PROJECT, "r1").state == "failed"


def test_texts_that_the_script_changes_follow_and_those_that_others_changed_stay(
    sandbox: Sandbox, sender: Sender, tmp_path: Path
) -> None:
    training = Training(tmp_path, display_name="first", job_type="j")
    training.log(2)
    now = dt.datetime.now(dt.UTC)
    sender = dataclasses.replace(sender, now=lambda: now)
    add(sender, tmp_path)
    sender.replay()
    sandbox.state.run(ENTITY, PROJECT, "r1").display_name = "theirs"
    training.describe(display_name="later", notes="new", job_type="k")
    training.finish()
    add(sender, tmp_path)
    assert sender.later(seconds=20).replay().applied == 1
    run = sandbox.state.run(ENTITY, PROJECT, "r1")
    assert (run.display_name, run.notes, run.job_type) == ("theirs", "new", "k")


def test_a_run_that_grows_overwrites_nothing_that_others_changed_meanwhile(
    sandbox: Sandbox, sender: Sender, tmp_path: Path
) -> None:
    training = Training(tmp_path, tags=("a",))
    training.log(2)
    now = dt.datetime.now(dt.UTC)
    sender = dataclasses.replace(sender, now=lambda: now)
    add(sender, tmp_path)
    sender.replay()
    run = sandbox.state.run(ENTITY, PROJECT, "r1")
    run.tags = ["b"]
    run.config_text = json.dumps(json.loads(run.config_text or "") | {"lr": {"value": 0.5}})
    training.configure(new="7", model='{"depth":3}')
    training.finish()
    add(sender, tmp_path)
    assert sender.later(seconds=20).replay().applied == 1
    config = json.loads(sandbox.state.run(ENTITY, PROJECT, "r1").config_text or "")
    assert {key: config[key]["value"] for key in ("lr", "new", "model")} == {"lr": 0.5, "new": 7, "model": {"depth": 3}}
    assert sandbox.state.run(ENTITY, PROJECT, "r1").tags == ["b"]


def test_a_run_that_was_deleted_upstream_while_it_grew_is_a_conflict(
    sandbox: Sandbox, sender: Sender, tmp_path: Path
) -> None:
    training = Training(tmp_path)
    training.log(2)
    now = dt.datetime.now(dt.UTC)
    sender = dataclasses.replace(sender, now=lambda: now)
    add(sender, tmp_path)
    sender.replay()
    sandbox.state.delete_run(ENTITY, PROJECT, "r1")
    training.finish()
    add(sender, tmp_path)
    assert sender.later(seconds=20).replay().held == 1
    (placed,) = sender.outbox.of_run(RunPath(ENTITY, PROJECT, "r1"))
    sender.outbox.resolve(placed.entry, "ours")
    assert sender.later(seconds=40).replay().applied == 1
    assert steps_upstream(sandbox) == [0, 1]


def test_a_version_whose_bytes_are_lost_costs_neither_the_run_nor_the_others(
    sandbox: Sandbox, sender: Sender, tmp_path: Path
) -> None:
    training = Training(tmp_path)
    training.log(2)
    for name in ("changed", "gone", "whole"):
        training.log_artifact(name, {f"{name}.bin": b"0123"})
    training.finish()
    (training.folder / "staging" / "changed.bin").write_bytes(b"3210")
    (training.folder / "staging" / "gone.bin").unlink()
    add(sender, tmp_path)
    assert sender.replay().buried == 1
    (placed,) = sender.outbox.of_run(RunPath(ENTITY, PROJECT, "r1"))
    assert "changed.bin has changed since it was logged" in (placed.entry.reason or "")
    assert "gone.bin" in (placed.entry.reason or "")
    run = sandbox.state.run(ENTITY, PROJECT, "r1")
    assert (run.state, steps_upstream(sandbox)) == ("finished", [0, 1])
    collections = sandbox.state.project(ENTITY, PROJECT).collections
    assert [name for name in collections if collections[name].versions] == ["whole"]


def test_two_machines_deliver_the_same_log_with_one_effect(sandbox: Sandbox, sender: Sender, tmp_path: Path) -> None:
    trained(tmp_path / "one").finish()
    add(sender, tmp_path / "one")
    other = dataclasses.replace(sender, home=Home(tmp_path / "other"))
    add(other, tmp_path / "one")
    assert (sender.replay().applied, other.replay().applied) == (1, 1)
    assert steps_upstream(sandbox) == list(range(10))
    assert len(sandbox.state.run(ENTITY, PROJECT, "r1").events) == 3
    assert len(sandbox.state.project(ENTITY, PROJECT).collections["model"].versions) == 1


def test_a_log_is_done_when_another_home_delivered_it_and_what_came_after_it(
    sandbox: Sandbox, sender: Sender, tmp_path: Path
) -> None:
    first, second = Training(tmp_path / "a"), Training(tmp_path / "b", began=BEGAN + 1000)
    first.log(10)
    first.measure(2)
    second.log(5)
    second.configure(lr="0.7")
    for training in (first, second):
        training.finish()
    other = dataclasses.replace(sender, home=Home(tmp_path / "other"))
    add(sender, tmp_path / "a")
    add(other, tmp_path / "a", tmp_path / "b")
    other.replay()
    assert sender.replay().applied == 1
    run = sandbox.state.run(ENTITY, PROJECT, "r1")
    assert (steps_upstream(sandbox), len(run.events)) == (list(range(15)), 2)
    assert json.loads(run.config_text or "")["lr"]["value"] == 0.7


def test_a_run_in_several_folders_is_one_run(sandbox: Sandbox, mirror: Mirror, sender: Sender, tmp_path: Path) -> None:
    for number in range(3):
        training = Training(tmp_path, began=BEGAN + 1000 * number)
        training.log(4)
        training.print(f"part {number}\n")
        training.finish()
    assert [row.first_step for row in add(sender, tmp_path)] == [0, 4, 8]
    assert mirror.ask("SELECT count(DISTINCT step) AS n FROM metrics WHERE key = 'loss'") == [{"n": 12}]
    assert sender.replay().applied == 3
    assert steps_upstream(sandbox) == list(range(12))
    assert [line.line for line in sandbox.state.run(ENTITY, PROJECT, "r1").console] == ["part 0", "part 1", "part 2"]
    mirror.pull()
    assert mirror.ask("SELECT count(*) AS n FROM runs WHERE origin IS NULL") == [{"n": 1}]


def test_a_mirrored_run_goes_on_offline(sandbox: Sandbox, mirror: Mirror, sender: Sender, tmp_path: Path) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r1", config={"seed": 7}, state="finished")
    sandbox.state.log_rows(ENTITY, PROJECT, "r1", [{"_step": step, "loss": 9.0} for step in range(5)])
    mirror.pull()
    training = Training(tmp_path)
    training.log(3)
    training.finish()
    add(sender, tmp_path)
    assert mirror.ask("SELECT count(DISTINCT step) AS n FROM metrics WHERE key = 'loss'") == [{"n": 8}]
    assert sender.replay().applied == 1
    assert steps_upstream(sandbox) == list(range(8))
    assert mirror.pull().errors == []
    (row,) = mirror.ask("SELECT config, origin FROM runs")
    assert (row["config"]["seed"], row["config"]["lr"], row["origin"]) == (7, 0.1, None)
    assert mirror.ask("SELECT count(*) AS n FROM generations") == [{"n": 0}]


TELLS: dict[str, Callable[[float], dict[str, Any]]] = {
    "to the millisecond": lambda at: {"_timestamp": at + 0.0004},
    "in seconds": lambda at: {"_timestamp": int(at)},
    "without times": lambda _: {},
}


@pytest.mark.parametrize("is_pulled", [True, False], ids=["pulled before", "not pulled"])
@pytest.mark.parametrize("tells", TELLS)
def test_rows_that_the_server_tells_in_another_form_are_not_sent_again(
    sandbox: Sandbox, mirror: Mirror, sender: Sender, tmp_path: Path, tells: str, is_pulled: bool
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r1", state="crashed")
    rows = [{"_step": step, "loss": 1 / (step + 1), **TELLS[tells](BEGAN + step + 0.25)} for step in range(6)]
    sandbox.state.log_rows(ENTITY, PROJECT, "r1", rows)
    if is_pulled:
        mirror.pull()
    training = Training(tmp_path)
    training.log(10)
    training.finish()
    add(sender, tmp_path)
    assert mirror.ask("SELECT count(*) AS n FROM metrics WHERE key = 'loss'") == [{"n": 10}]
    assert sender.replay().applied == 1
    assert steps_upstream(sandbox) == list(range(10))


def test_a_log_that_is_older_than_the_run_that_was_mirrored_does_not_go_on_from_it(
    sandbox: Sandbox, mirror: Mirror, sender: Sender, tmp_path: Path
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r1", state="finished")
    rows = [{"_step": step, "loss": 5.0, "_timestamp": BEGAN + 10_000.5 + step} for step in range(5)]
    sandbox.state.log_rows(ENTITY, PROJECT, "r1", rows)
    mirror.pull()
    training = Training(tmp_path)
    training.log(10)
    training.finish()
    add(sender, tmp_path)
    assert (sender.replay().held, steps_upstream(sandbox)) == (1, list(range(5)))
    (placed,) = sender.outbox.entries("conflict")
    assert "the server's last row is of step 4" in (placed.entry.reason or "")


LOSSES = {
    "upsert": Match(operation="MirrorUpsertRun"),
    "lines": Match(kind="file_stream"),
    "file": Match(operation="MirrorCreateFiles"),
    "bytes": Match(kind="storage"),
    "mark": Match(operation="MirrorMarkFiles"),
    "version": Match(operation="MirrorCreateVersion"),
    "manifest": Match(operation="MirrorCreateManifest"),
    "commit": Match(operation="MirrorCommitVersion"),
    "look": Match(operation="MirrorSyncedRun"),
}


@pytest.mark.parametrize("step", LOSSES)
def test_an_answer_that_is_lost_at_any_step_doubles_nothing(
    sandbox: Sandbox, sender: Sender, tmp_path: Path, step: str
) -> None:
    trained(tmp_path, tags=("a",)).finish()
    add(sender, tmp_path)
    sandbox.faults.add(Fault.lost_answer(times=1, match=LOSSES[step]))
    for hours in range(4):
        if sender.later(hours=hours).replay().applied:
            break
    assert steps_upstream(sandbox) == list(range(10))
    run = sandbox.state.run(ENTITY, PROJECT, "r1")
    assert (run.state, len(run.events), len(run.console)) == ("finished", 3, 2)
    assert len(sandbox.state.project(ENTITY, PROJECT).collections["model"].versions) == 1
    assert not list(sender.outbox.entries())


def test_other_rows_upstream_are_a_conflict(sandbox: Sandbox, sender: Sender, tmp_path: Path) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r1", state="running")
    sandbox.state.log_rows(
        ENTITY, PROJECT, "r1", [{"_step": step, "loss": 5.0, "_timestamp": 7.0} for step in range(4)]
    )
    trained(tmp_path).finish()
    add(sender, tmp_path)
    assert [one.answer for one in sender.foresee()] == [NOT_COMPARED]
    report = sender.replay()
    assert (report.held, steps_upstream(sandbox)) == (1, [0, 1, 2, 3])
    (placed,) = sender.outbox.of_run(RunPath(ENTITY, PROJECT, "r1"))
    sender.outbox.resolve(placed.entry, "ours")
    assert sender.later(hours=1).replay().held == 1  # rows are never replaced
    assert [row["loss"] for row in sandbox.state.run(ENTITY, PROJECT, "r1").history] == [5.0] * 4
    (placed,) = sender.outbox.entries("conflict")
    assert "the server's last row is of step 3" in (placed.entry.reason or "")


def test_what_is_queued_behind_a_run_follows_it(sandbox: Sandbox, sender: Sender, tmp_path: Path) -> None:
    trained(tmp_path).finish()
    add(sender, tmp_path)
    sender.put("r1", Edit(fields={"notes": Change(base=None, value="later")}))
    assert sender.replay().applied == 2
    assert sandbox.state.run(ENTITY, PROJECT, "r1").notes == "later"


def test_a_file_that_the_server_refuses_costs_the_run_no_row(sandbox: Sandbox, sender: Sender, tmp_path: Path) -> None:
    trained(tmp_path).finish()
    add(sender, tmp_path)
    sandbox.faults.add(Fault.status(413, match=Match(kind="storage")))
    assert sender.replay().buried == 1
    run = sandbox.state.run(ENTITY, PROJECT, "r1")
    assert (steps_upstream(sandbox), len(run.console), run.state) == (list(range(10)), 2, "running")
    sandbox.faults.clear()
    (placed,) = sender.outbox.entries("dead")
    sender.outbox.retry(placed.entry)
    assert sender.later(hours=1).replay().applied == 1
    assert (steps_upstream(sandbox), run.state) == (list(range(10)), "finished")


def test_a_short_run_is_one_request_of_lines(sandbox: Sandbox, sender: Sender, tmp_path: Path) -> None:
    """W&B takes two a second for a run: rows, console, system metrics, summary and end go together."""
    trained(tmp_path).finish()
    add(sender, tmp_path)
    assert sender.replay().applied == 1
    assert len(sandbox.requests.select(kind="file_stream")) == 1


def test_a_long_run_goes_up_in_parts_each_line_once(
    sandbox: Sandbox, sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a line that is printed over in a later part, and where an earlier attempt has sent some of them."""
    monkeypatch.setattr(delivery, "ROWS_AT_ONCE", 8)
    monkeypatch.setattr(lines, "SECONDS_BETWEEN", 0.0)
    training = Training(tmp_path)
    for number in range(6):
        training.print(f"step {number}\rstep")
        training.log(5)
        training.measure()
        training.print(f" {number}!\n")
    training.finish()
    add(sender, tmp_path)
    sandbox.faults.add(Fault.lost_answer(times=1, match=Match(kind="file_stream")))
    for hours in range(4):
        if sender.later(hours=hours).replay().applied:
            break
    run = sandbox.state.run(ENTITY, PROJECT, "r1")
    assert (steps_upstream(sandbox), len(run.events), run.state) == (list(range(30)), 6, "finished")
    assert [line.line for line in run.console] == [f"step {number}!" for number in range(6)]


def test_other_names_go_upstream_in_place_of_those_in_the_log(sandbox: Sandbox, sender: Sender, tmp_path: Path) -> None:
    training = Training(tmp_path, job_type="train", tags=("a", "b"))
    training.log(2)
    training.log_artifact("model", {"a.bin": b"1"})
    training.describe(job_type="later")
    training.finish()
    add(sender, tmp_path, run_id="other", job_type="eval", replaced_tags="a=first,b=")
    assert sender.replay().applied == 1
    assert list(sandbox.state.project(ENTITY, PROJECT).runs) == ["other"]
    run = sandbox.state.run(ENTITY, PROJECT, "other")
    assert (run.job_type, run.tags, len(run.history), len(run.logged)) == ("eval", ["first"], 2, 1)
