"""What the real SDK logged without a server is what the mirror says of the run, whoever asks."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path
from typing import Any

import pytest

import mirror
from tests.offline import training
from tests.offline.conftest import Trained, mirror_of


@pytest.fixture(scope="module")
def api(trained: Trained) -> mirror.Api:
    """The API over the home."""
    return mirror.Api(home=str(trained.cli.home))


@pytest.fixture(scope="module")
def first(api: mirror.Api) -> Any:
    """The run that logs everything."""
    return api.run("team/proj/first")


def test_what_the_run_is(first: Any) -> None:
    assert (first.name, first.group, first.job_type, first.tags) == ("A run", "g", "train", ["a", "b"])
    assert (first.notes, first.state) == ("of it", "finished")
    assert first.config == training.CONFIG | {"later": True}
    created = dt.datetime.fromisoformat(first.created_at)
    assert abs(dt.datetime.now(dt.UTC) - created.replace(tzinfo=dt.UTC)) < dt.timedelta(hours=1)


def test_its_history_is_what_was_logged(first: Any) -> None:
    rows = list(first.scan_history())
    assert [row["_step"] for row in rows] == list(range(training.STEPS + 1))
    for step, row in enumerate(rows[: training.STEPS]):
        logged = training.logged(step)
        assert row["nested"] == logged["nested"]
        assert {key: row[key] for key in ("loss", "epoch", "acc")} == {
            key: logged[key] for key in ("loss", "epoch", "acc")
        }
    last = rows[-1]
    assert math.isnan(last["nan"])
    assert (last["inf"], last["big"], last["words"], last["list"]) == (math.inf, 2**60 + 1, "hello", [1, 2])
    assert (last["hist"]["_type"], sum(last["hist"]["values"])) == ("histogram", 3)
    assert (last["table"]["_type"], last["table"]["nrows"]) == ("table-file", 2)
    frame = first.history(keys=["loss"], pandas=True)
    assert list(frame["loss"]) == [1.0 / (step + 1) for step in range(training.STEPS)]


def test_its_summary_has_the_last_values_and_those_that_were_set(first: Any) -> None:
    summary = first.summary
    assert (summary["loss"], summary["best"], summary["deep"]["er"]) == (1.0 / training.STEPS, 3.5, 1)
    assert summary["acc"]["max"] == 25  # as it was defined
    assert summary["words"] == "hello"


def test_its_files_are_held_whichever_policy_they_were_saved_with(first: Any, trained: Trained, tmp_path: Path) -> None:
    trained.cli("checkout", "team/proj/first", str(tmp_path / "out"), code=0)
    for name, text in training.SAVED.items():
        assert (tmp_path / "out" / name).read_text() == text
    names = {file.name for file in first.files()}
    assert names > {*training.SAVED, "output.log", "requirements.txt", "config.yaml", "wandb-metadata.json"}
    (table,) = (name for name in names if name.startswith("media/table/"))
    assert '"x"' in (tmp_path / "out" / table).read_text()


def test_its_console_is_what_a_terminal_showed(trained: Trained) -> None:
    lines = mirror_of(trained.cli).ask("SELECT level, line FROM console_lines WHERE run_id = 'first' ORDER BY number")
    assert [row["line"] for row in lines if row["level"] != "error"] == [
        "one line", "progress 100%", "first, changed", "second", "a line of a log",
    ]  # fmt: skip
    assert [row["line"] for row in lines if row["level"] == "error"] == ["bad"]


def test_its_artifacts_are_held_with_their_bytes(api: mirror.Api, first: Any, tmp_path: Path) -> None:
    logged = {artifact.name: artifact for artifact in first.logged_artifacts()}
    assert set(logged) == {"model:v0", "run-first-table:v0"}
    model = logged["model:v0"]
    assert (model.type, model.description, model.metadata) == ("model", "of it", {"k": 1})
    assert set(model.aliases) == {"latest", "best"}
    assert {file.name for file in model.files()} == {"ref", "weights.txt"}
    assert model.manifest.entries["ref"].ref == "https://example.com/x"
    assert Path(model.get_entry("weights.txt").download(str(tmp_path))).read_text() == "end"


def test_it_is_in_the_tables_beside_the_others(trained: Trained) -> None:
    rows = trained.cli("runs", "--json", "--columns", "run_id,state", code=0).json
    assert {row["run_id"]: row["state"] for row in rows} == {"first": "finished", "parts": "failed", "killed": "failed"}
    (row,) = trained.cli("sql", "SELECT origin, host FROM runs WHERE run_id = 'first'", "--json", code=0).json
    assert row["origin"] == "offline"
    assert row["host"]
    metrics = mirror_of(trained.cli).ask("SELECT count(DISTINCT key) n FROM system_metrics WHERE run_id = 'first'")
    assert metrics[0]["n"] > 5


def test_a_run_in_two_folders_is_one_whose_steps_go_on(api: mirror.Api, trained: Trained) -> None:
    run = api.run("team/proj/parts")
    assert [(row["_step"], row["x"]) for row in run.scan_history()] == list(enumerate([0, 1, 2, 3, 10, 11, 12, 13]))
    assert run.config == {"part0": True, "part1": True}
    assert run.summary["_step"] == 7
    logs = mirror_of(trained.cli).ask("FROM lake.offline_logs WHERE run_id = 'parts' ORDER BY first_step")
    assert [(log["rows"], log["first_step"], log["exit_code"]) for log in logs] == [(4, 0, 0), (4, 4, 1)]


def test_a_run_that_was_killed_has_every_row_that_reached_the_disk(api: mirror.Api, trained: Trained) -> None:
    run = api.run("team/proj/killed")
    rows = list(run.scan_history())
    assert [row["x"] for row in rows] == list(range(len(rows)))
    written = trained.log("killed").stat().st_size // len(training.LONG) // 2  # each is in a row and in a summary
    assert written - 2 <= len(rows) <= training.KILLED_STEPS
    assert {row["long"] for row in rows} == {training.LONG}
    (log,) = mirror_of(trained.cli).ask("FROM lake.offline_logs WHERE run_id = 'killed'")
    assert (log["ended"], log["exit_code"], run.state) == (True, None, "failed")
