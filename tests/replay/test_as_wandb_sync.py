"""What `wandb sync` is asked for with offline runs has an answer here: its cases, one by one.

A run with its files is brought whole (`test_sync_runs`, and `test_offline_runs` beside the real SDK); runs that had a
server, or are upstream, are left out unless they are asked for (`tests/offline/test_adding`). Here are the others:
which logs a path means, in which order those of a run are taken, where they go, what a second time does, and what is
said when the server says no. Other ids, job types and tags: `test_sync_runs`; alerts: `test_sync_alerts`.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from mirror.layout import Home
from mirror.records.addresses import RunPath
from mirror.sandbox import Fault, Match, Sandbox
from tests.mirroring import ENTITY, PROJECT
from tests.replay.trainings import BEGAN, Training, add
from tests.replaying import Sender


@pytest.fixture(autouse=True)
def _project(sandbox: Sandbox) -> None:
    sandbox.state.add_project(ENTITY, PROJECT)


def trained(root: Path, run_id: str = "r1", *, part: int = 0, rows: int = 2) -> Training:
    training = Training(root, run_id, began=BEGAN + 3600 * part)
    training.log(rows, step=0)
    training.finish()
    return training


def times_upstream(sandbox: Sandbox) -> list[tuple[int, float]]:
    """Step and time of each row."""
    return [(row["_step"], row["_timestamp"]) for row in sandbox.state.run(ENTITY, PROJECT, "r1").history]


def test_a_log_a_run_a_folder_and_a_link_to_a_run_each_mean_it_once(sender: Sender, tmp_path: Path) -> None:
    first, second = trained(tmp_path / "wandb"), trained(tmp_path / "wandb", "r2")
    (tmp_path / "wandb" / "latest-run").symlink_to(second.folder)
    for places, expected in (
        ([first.path], ["r1"]),
        ([first.folder], ["r1"]),
        ([tmp_path / "wandb" / "latest-run"], ["r2"]),
        ([tmp_path / "wandb"], ["r1", "r2"]),
        ([tmp_path / "wandb", first.path, tmp_path / "wandb" / "latest-run"], ["r1", "r2"]),
    ):
        assert sorted(row.run_id for row in add(sender, *places)) == expected


def test_the_parts_of_a_run_go_on_from_one_another_however_they_are_named(
    sandbox: Sandbox, sender: Sender, tmp_path: Path
) -> None:
    parts = [trained(tmp_path, part=part) for part in range(3)]
    add(sender, *(parts[part].folder for part in (2, 0, 1)))
    assert sender.replay().applied == 3
    expected = [(2 * part + step, BEGAN + 3600 * part + step + 0.25) for part in range(3) for step in range(2)]
    assert times_upstream(sandbox) == expected


def test_parts_that_are_brought_a_second_time_by_another_home_keep_their_steps(
    sandbox: Sandbox, sender: Sender, tmp_path: Path
) -> None:
    for part in range(2):
        trained(tmp_path / "wandb", part=part)
    add(sender, tmp_path / "wandb")
    assert sender.replay().applied == 2
    before = times_upstream(sandbox)
    other = dataclasses.replace(sender, home=Home(tmp_path / "other"))
    other.replay()  # makes the lake
    add(other, tmp_path / "wandb")
    assert other.replay().applied == 2
    assert times_upstream(sandbox) == before
    assert [step for step, _ in before] == [0, 1, 2, 3]


def test_a_run_goes_to_another_project_when_that_is_asked(sandbox: Sandbox, sender: Sender, tmp_path: Path) -> None:
    sandbox.state.add_project(ENTITY, "elsewhere")
    trained(tmp_path)
    add(sender, tmp_path, project="elsewhere")
    assert sender.replay().applied == 1
    assert len(sandbox.state.run(ENTITY, "elsewhere", "r1").history) == 2
    with pytest.raises(KeyError):
        sandbox.state.run(ENTITY, PROJECT, "r1")


def test_what_the_server_says_against_a_run_is_said(sandbox: Sandbox, sender: Sender, tmp_path: Path) -> None:
    sandbox.faults.add(
        Fault.graphql_error("no more runs for you", status=400, match=Match(operation="MirrorUpsertRun"))
    )
    trained(tmp_path)
    add(sender, tmp_path)
    assert sender.replay().buried == 1
    (placed,) = sender.outbox.of_run(RunPath(ENTITY, PROJECT, "r1"))
    assert (placed.state, "no more runs for you" in (placed.entry.reason or "")) == ("dead", True)
