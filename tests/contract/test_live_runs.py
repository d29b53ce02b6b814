"""Runs that the SDK logs itself: wandb.init to finish, in online mode."""

from __future__ import annotations

import gzip
import json
import math
import select
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import wandb

from mirror.sandbox import Fault, Match, RunRecord, Sandbox

from .conftest import ENTITY

SETTINGS = {"console": "wrap", "x_disable_stats": True, "x_disable_machine_info": True, "disable_git": True}


def begin(project: str, run_id: str, /, **options: Any) -> Any:
    settings = wandb.Settings(**{**SETTINGS, **options.pop("settings", {})})
    return wandb.init(entity=ENTITY, project=project, id=run_id, settings=settings, **options)


def events_of(server: Sandbox, run_id: str) -> int:
    """How many rows of system metrics the server has; 0 before it knows the run."""
    project = server.state.projects.get((ENTITY, "live-project"))
    run = project.runs.get(run_id) if project is not None else None
    return len(run.events) if run is not None else 0


@pytest.fixture(scope="session")  # a worker may come back to it, and finds its runs there
def logged(server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    """One run that used everything, logged once for all the tests of this file."""
    folder = tmp_path_factory.mktemp("live")
    run = begin(
        "live-project",
        "live1",
        name="a live run",
        config={"lr": 0.1, "nested": {"depth": [1, {"x": 2}]}},
        tags=["a", "b"],
        notes="a note",
        group="g",
        job_type="train",
        settings={"x_disable_stats": False, "x_disable_machine_info": False, "x_stats_sampling_interval": 0.1,
                  "x_file_stream_transmit_interval": 0.1},
    )  # fmt: skip
    run.config.update({"late": "value"})
    for i in range(200):
        run.log({"loss": 1 / (i + 1), "nested": {"acc": i}, "nan": math.nan, "filler": "x" * 200})
    sys.stdout.write("said aloud\n")
    sys.stderr.write("said in anger\n")
    (folder / "sub").mkdir()
    (folder / "sub" / "notes.txt").write_text("saved text")
    run.save(str(folder / "sub" / "notes.txt"), base_path=str(folder), policy="now")
    run.summary["best"] = 2**60 + 1
    end = time.monotonic() + 30.0
    while not events_of(server, "live1"):  # a busy machine may be slow to measure itself
        assert time.monotonic() < end, "no system metrics came"
        select.select([], [], [], 0.02)
    run.finish()
    return server.state.run(ENTITY, "live-project", "live1")


def test_a_finished_run_is_finished_on_the_server(logged: RunRecord) -> None:
    assert (logged.state, logged.exit_code) == ("finished", 0)
    assert (logged.display_name, logged.tags, logged.notes) == ("a live run", ["a", "b"], "a note")
    assert (logged.group, logged.job_type) == ("g", "train")
    assert logged.user is not None
    assert logged.user.username == "sandy"


def test_config_with_nested_values_arrives_in_the_envelope(logged: RunRecord) -> None:
    assert logged.config["lr"]["value"] == 0.1
    assert logged.config["nested"]["value"] == {"depth": [1, {"x": 2}]}
    assert logged.config["late"]["value"] == "value"
    assert "_wandb" in logged.config


def test_every_logged_row_arrives_once(logged: RunRecord) -> None:
    assert [row["_step"] for row in logged.history] == list(range(200))
    assert [row["nested"]["acc"] for row in logged.history] == list(range(200))
    assert math.isnan(logged.history[0]["nan"])


def test_the_summary_is_the_last_row_and_what_was_set(logged: RunRecord) -> None:
    assert logged.summary["best"] == 2**60 + 1
    assert logged.summary["_step"] == 199
    assert logged.summary["loss"] == pytest.approx(1 / 200)


def test_system_metrics_arrive_as_events(logged: RunRecord) -> None:
    assert logged.events
    assert any(key.startswith("system.") for key in logged.events[0])
    assert logged.system_metrics_text is not None


def test_console_output_arrives_with_its_stream(logged: RunRecord) -> None:
    lines = {line.line: line.level for line in logged.console}
    assert lines["said aloud"] == ""
    assert lines["said in anger"] == "error"


def test_saved_files_are_uploaded_and_registered(logged: RunRecord, server: Sandbox) -> None:
    assert {"config.yaml", "wandb-summary.json", "output.log", "sub/notes.txt"} <= set(logged.files)
    assert all(record.listed for record in logged.files.values())
    assert server.state.bucket.get(logged.files["sub/notes.txt"].object_key) == b"saved text"


def test_a_finished_live_run_is_exported(logged: RunRecord, api: Any) -> None:
    rows = list(api.run(f"{ENTITY}/live-project/live1").scan_history(use_cache=False))
    assert [row["_step"] for row in rows] == list(range(200))


def test_the_uploads_carried_no_key(logged: RunRecord, server: Sandbox) -> None:
    assert server.requests.count(kind="storage") > 0
    assert server.requests.leaks() == []


def test_a_resumed_run_goes_on_from_its_last_step(server: Sandbox, project: str) -> None:
    first = begin(project, "again")
    for i in range(3):
        first.log({"loss": i})
    first.finish()
    second = begin(project, "again", resume="must")
    assert second.resumed
    assert second.starting_step == 3
    second.log({"loss": 3})
    second.finish()
    record = server.state.run(ENTITY, project, "again")
    assert [row["loss"] for row in record.history] == [0, 1, 2, 3]
    assert server.requests.count("RunResumeStatus") > 0


def test_a_failed_run_keeps_its_exit_code(server: Sandbox, project: str) -> None:
    run = begin(project, "bad")
    run.finish(exit_code=3)
    record = server.state.run(ENTITY, project, "bad")
    assert (record.state, record.exit_code) == ("failed", 3)


def test_a_run_survives_a_file_stream_that_fails_and_loses_answers(server: Sandbox, project: str) -> None:
    stream = Match(kind="file_stream", path=f"/{project}/")
    server.faults.add(
        Fault.status(503, retry_after=0.05, times=1, match=stream), Fault.lost_answer(times=1, match=stream)
    )
    run = begin(project, "hard", settings={"x_file_stream_retry_wait_min_seconds": 0.05})
    for i in range(50):
        run.log({"i": i})
    run.finish()
    server.faults.clear()
    record = server.state.run(ENTITY, project, "hard")
    assert record.state == "finished"
    assert [row["i"] for row in record.history] == list(range(50))


def test_a_gzip_file_stream_body_is_understood(server: Sandbox, project: str) -> None:
    httpx = pytest.importorskip("httpx")
    server.state.add_run(ENTITY, project, "zipped", state="running")
    rows = [json.dumps({"_step": i, "a": i}) for i in range(3)]
    body = gzip.compress(json.dumps({"files": {"wandb-history.jsonl": {"offset": 0, "content": rows}}}).encode())
    url = f"{server.url}/files/{ENTITY}/{project}/zipped/file_stream"
    for _ in range(2):  # the same chunk again replaces itself
        answer = httpx.post(
            url, content=body, headers={"content-encoding": "gzip"}, auth=("api", server.api_key), timeout=10
        )
        assert answer.json()["stopped"] is False
    assert [row["a"] for row in server.state.run(ENTITY, project, "zipped").history] == [0, 1, 2]


def test_offline_runs_touch_no_server(server: Sandbox, project: str, tmp_path: Path) -> None:
    server.requests.clear()
    run = begin(project, "off", mode="offline", dir=str(tmp_path))
    run.log({"a": 1})
    run.finish()
    assert len(server.requests) == 0
