"""Forks and rewinds of runs that were trained offline: what the server has to forget it forgets once, and no more."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from mirror.layout import Home
from mirror.records.addresses import RunPath
from mirror.sandbox import Fault, Match, Sandbox
from tests.mirroring import ENTITY, PROJECT, Mirror
from tests.replay.trainings import BEGAN, Training, add
from tests.replaying import Sender

LATER = BEGAN + 3600


@pytest.fixture(autouse=True)
def _project(sandbox: Sandbox) -> None:
    sandbox.state.add_project(ENTITY, PROJECT)


def trained(root: Path, rows: int = 10) -> Training:
    training = Training(root)
    training.log(rows)
    training.finish()
    return training


def rewinding(root: Path, step: int = 5, rows: int = 3, run_id: str = "r1") -> Training:
    """A process that goes on behind a step of the run."""
    training = Training(root, run_id, began=LATER, branch=("r1", step))
    training.log(rows, step=step + 1)
    return training


def upstream(sandbox: Sandbox, run_id: str = "r1") -> list[tuple[int, bool]]:
    """The steps that the server has, and whether the later process logged each."""
    return [(row["_step"], row["_timestamp"] >= LATER) for row in sandbox.state.run(ENTITY, PROJECT, run_id).history]


REWOUND = [*((step, False) for step in range(6)), *((step, True) for step in range(6, 9))]


def rewinds(sandbox: Sandbox) -> int:
    """How often the server was asked to forget rows."""
    return sandbox.requests.count(operation="MirrorRewindRun")


def test_a_run_and_its_rewind_are_shown_and_delivered_as_one(
    sandbox: Sandbox, mirror: Mirror, sender: Sender, tmp_path: Path
) -> None:
    trained(tmp_path)
    rewinding(tmp_path).finish()
    add(sender, tmp_path)
    rows = "SELECT step, value >= ? AS later FROM metrics WHERE key = '_timestamp' ORDER BY step"
    assert [(row["step"], row["later"]) for row in mirror.ask(rows.replace("?", str(LATER)))] == REWOUND
    assert mirror.ask("SELECT history_line_count, origin FROM runs") == [{"history_line_count": 9, "origin": "offline"}]
    assert mirror.ask("SELECT reason FROM generations") == [{"reason": "rewound"}]
    assert sender.replay().applied == 2
    assert (upstream(sandbox), rewinds(sandbox)) == (REWOUND, 1)
    assert sandbox.state.run(ENTITY, PROJECT, "r1").state == "finished"
    assert sorted(sandbox.state.run(ENTITY, PROJECT, "r1").history_lines) == list(range(9))
    assert mirror.pull().errors == []
    assert [(row["step"], row["later"]) for row in mirror.ask(rows.replace("?", str(LATER)))] == REWOUND
    assert mirror.run("r1")["origin"] is None
    other = dataclasses.replace(sender, home=Home(tmp_path / "other"))
    other.replay()  # makes the lake
    add(other, tmp_path / f"offline-run-{LATER}-r1")
    assert other.replay().applied == 1
    assert (upstream(sandbox), rewinds(sandbox)) == (REWOUND, 1)


def test_a_mirrored_run_is_rewound_and_what_was_held_stays_as_an_earlier_generation(
    sandbox: Sandbox, mirror: Mirror, sender: Sender, tmp_path: Path
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r1", config={"seed": 7}, state="finished")
    sandbox.state.log_rows(
        ENTITY, PROJECT, "r1", [{"_step": step, "_timestamp": BEGAN + step, "loss": 9.5} for step in range(10)]
    )
    sandbox.state.export_history(sandbox.state.run(ENTITY, PROJECT, "r1"))
    mirror.pull()
    assert mirror.ask("SELECT count(*) AS n FROM lake.exports") == [{"n": 1}]
    rewinding(tmp_path).finish()
    add(sender, tmp_path)
    losses = "SELECT step, value = 9.5 AS old FROM metrics WHERE key = 'loss' ORDER BY step"
    expected = [(step, not later) for step, later in REWOUND]
    assert [(row["step"], row["old"]) for row in mirror.ask(losses)] == expected
    assert mirror.ask("SELECT reason, rows_held FROM generations") == [{"reason": "rewound", "rows_held": 10}]
    assert sender.replay().applied == 1
    assert (upstream(sandbox), rewinds(sandbox)) == (REWOUND, 1)
    run = sandbox.state.run(ENTITY, PROJECT, "r1")
    assert '"seed"' in (run.config_text or "")
    assert mirror.pull().errors == []
    assert [(row["step"], row["old"]) for row in mirror.ask(losses)] == expected


@pytest.mark.parametrize("operation", ["MirrorRewindRun", "MirrorUpsertRun", "MirrorSyncedRun"])
def test_an_answer_that_is_lost_rewinds_nothing_twice(
    sandbox: Sandbox, sender: Sender, tmp_path: Path, operation: str
) -> None:
    trained(tmp_path / "first")
    add(sender, tmp_path / "first")
    assert sender.replay().applied == 1
    rewinding(tmp_path / "second").finish()
    add(sender, tmp_path / "second")
    sandbox.faults.add(Fault.lost_answer(times=1, match=Match(operation=operation)))
    for hours in range(3):
        sender.later(hours=hours).replay()
    assert sender.counts() == {}
    assert (upstream(sandbox), rewinds(sandbox)) == (REWOUND, 1)


def test_a_run_that_grows_is_rewound_once(sandbox: Sandbox, sender: Sender, tmp_path: Path) -> None:
    trained(tmp_path)
    training = rewinding(tmp_path, rows=1)
    for minutes in range(3):
        add(sender, tmp_path)
        sender.later(minutes=minutes).replay()
        training.log(1)
    training.finish()
    add(sender, tmp_path)
    assert sender.later(hours=1).replay().applied == 1
    assert (upstream(sandbox)[:6], rewinds(sandbox)) == (REWOUND[:6], 1)
    assert [step for step, _ in upstream(sandbox)] == list(range(10))


def test_rows_that_somebody_logged_since_are_not_forgotten_unasked(
    sandbox: Sandbox, sender: Sender, tmp_path: Path
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r1", state="running")
    sandbox.state.log_rows(
        ENTITY, PROJECT, "r1", [{"_step": step, "_timestamp": LATER + 100 + step} for step in range(10)]
    )
    rewinding(tmp_path).finish()
    add(sender, tmp_path)
    assert sender.replay().held == 1
    assert (len(upstream(sandbox)), rewinds(sandbox)) == (10, 0)
    (placed,) = sender.outbox.of_run(RunPath(ENTITY, PROJECT, "r1"))
    assert "rows that were logged since it began" in (placed.entry.reason or "")
    sender.outbox.resolve(placed.entry, "ours")
    assert sender.later(hours=1).replay().applied == 1
    assert ([step for step, _ in upstream(sandbox)], rewinds(sandbox)) == (list(range(9)), 1)


def test_a_run_that_is_not_there_cannot_be_rewound(sandbox: Sandbox, sender: Sender, tmp_path: Path) -> None:
    rewinding(tmp_path).finish()
    add(sender, tmp_path)
    assert sender.replay().buried == 1
    (placed,) = sender.outbox.of_run(RunPath(ENTITY, PROJECT, "r1"))
    assert "goes on from step 5 of a run that the server does not have" in (placed.entry.reason or "")


def test_a_fork_follows_its_parent_and_names_it(
    sandbox: Sandbox, mirror: Mirror, sender: Sender, tmp_path: Path
) -> None:
    fork = rewinding(tmp_path / "a", run_id="fork")
    fork.configure(_wandb='{"branch_point":{"run_id":"r1","step":5}}')
    fork.finish()
    add(sender, tmp_path / "a")
    trained(tmp_path / "b")
    add(sender, tmp_path / "b")
    report = sender.replay()
    assert (report.applied, report.put_back) == (2, 0)
    assert list(sandbox.state.project(ENTITY, PROJECT).runs) == ["r1", "fork"]
    assert upstream(sandbox, "fork") == [(step, True) for step in range(6, 9)]
    assert len(upstream(sandbox)) == 10
    config = json.loads(sandbox.state.run(ENTITY, PROJECT, "fork").config_text or "{}")
    assert config["_wandb"]["value"]["branch_point"] == {"run_id": "r1", "step": 5}
    assert mirror.pull().errors == []
    assert mirror.run("fork")["origin"] is None
