"""Runs that train without a server beside a daemon: found, followed within seconds, delivered, and gone on with."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from mirror.sandbox import Sandbox
from tests.cli.test_json import agrees
from tests.offline.conftest import sdk_environment
from tests.offline.logs import exit_record, offline_log, row_record, run_record, run_records, write_log
from tests.system.service import Service, serving, wait_for

SEEN_WITHIN_S = 5.0


def offline(folder: Path, **more: object) -> str:
    """The table of a folder."""
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in more.items())
    return f"\n[[offline]]\nfolder = {json.dumps(str(folder))}\n{lines}"


def rows_of(service: Service, run_id: str) -> int:
    """How many rows of a run SQL has."""
    query = f"SELECT count(*) AS n FROM metrics WHERE run_id = '{run_id}' AND key = 'x'"
    return int(service.cli("sql", query, "--json", code=0).json[0]["n"])


def upstream(sandbox: Sandbox, run_id: str) -> Any:
    """The run as the server has it; None: it has none."""
    project = sandbox.state.projects.get(("team", "proj"))
    return None if project is None else project.runs.get(run_id)


def test_runs_are_found_followed_within_seconds_delivered_and_gone_on_with(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.state.add_run("team", "proj", "other", state="finished")
    data = tmp_path / "trainings"
    log = offline_log(data, "grows")
    with serving(tmp_path, sandbox, more=offline(data)) as service:
        service.wait_ready()
        assert "is not there" in service.wait_event("offline_failed")["reason"]
        write_log(log, run_records("grows", 10, exit_code=None))
        write_log(data / "wandb" / "run-20260101_000000-on" / "run-on.wandb", run_records("on", 1))
        line = service.wait_event("offline_run_added")
        assert (line["run"], line["source"]) == ("team/proj/grows", str(log))
        assert "it had a server" in service.wait_event("offline_run_left_out")["reason"]
        for step in range(10, 13):
            write_log(log, [row_record(step, {"x": step})])
            took = wait_for("the row", lambda step=step: rows_of(service, "grows") == step + 1)  # type: ignore[misc]
            assert took < SEEN_WITHIN_S
        wait_for("it in status.json", lambda: service.status["offline"]["following"] == 1)
        said = service.cli("status", "--json", code=None).json["daemon"]["offline"]
        agrees(said, "offline of daemon")
        agrees(said["folders"][0], "folders[] of offline")
        assert (said["added"], said["last"], said["folders"][0]["left_out"]) == (1, "team/proj/grows", 1)
        shown = service.cli("status", code=None).out
        assert "offline 1 run followed, 1 added; the last rows of team/proj/grows" in shown
        assert service.stop(signal.SIGKILL) == -signal.SIGKILL
    (tmp_path / "mirror" / "mirror.toml").unlink()
    write_log(log, [row_record(13, {"x": 13})])
    with serving(tmp_path, sandbox) as again:  # without its folder: the lake says what is to be followed
        again.wait_ready()
        wait_for("what was written meanwhile", lambda: rows_of(again, "grows") == 14)
        write_log(log, [row_record(14, {"x": 14}), exit_record()])
        ended = again.wait_event("offline_run_ended")
        assert (ended["rows"], ended["exit_code"], ended["damaged"]) == (15, 0, 0)
        wait_for("it upstream", lambda: getattr(upstream(sandbox, "grows"), "state", None) == "finished")
        assert len(upstream(sandbox, "grows").history) == 15
        copies = again.cli.home / "offline"
        wait_for("its copy to go", lambda: list(copies.iterdir()) == [])
        assert again.events("worker_crashed") == []
        again.cli.config.write_text(again.cli.config.read_text() + offline(again.cli.home / "offline"))
        assert "lies in the mirror's home" in again.wait_event("config_refused")["reason"]
        assert again.stop() == 0
    assert log.exists()


def test_add_beside_a_daemon_is_done_by_it_and_followed(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.state.add_run("team", "proj", "other", state="finished")
    data = tmp_path / "data"
    ended = write_log(offline_log(data, "ended"), run_records("ended", 5))
    log = write_log(offline_log(data, "goes-on"), run_records("goes-on", 5, exit_code=None))
    begun = data / "begun.wandb"
    begun.write_bytes(ended.read_bytes()[:30])
    with serving(tmp_path, sandbox) as service:
        service.wait_event("pull_done")
        said = service.cli("add", "data", "--json", code=0).json
        assert [(run["path"], run["new"], run["rows"], run["ended"]) for run in said["runs"]] == [
            ("team/proj/ended", True, 5, True), ("team/proj/goes-on", True, 5, False),
        ]  # fmt: skip
        assert [one["source"] for one in said["left_out"]] == [str(begun)]
        write_log(log, [row_record(5, {"x": 5})])
        assert wait_for("the row", lambda: rows_of(service, "goes-on") == 6) < SEEN_WITHIN_S
        told = service.cli("add", str(data), "--watch", code=0)
        assert "team/proj/goes-on  6 rows" in told.out
        assert "the daemon goes on following" in told.err
        assert "is not there" in service.cli("add", str(tmp_path / "missing"), code=3).error
        write_log(log, [exit_record(3)])
        assert service.wait_event("offline_run_ended", 2)["exit_code"] == 3
        wait_for("both upstream", lambda: getattr(upstream(sandbox, "goes-on"), "state", None) == "failed")
        assert service.events("worker_crashed") == service.events("answer_failed") == []
        assert service.stop() == 0


def test_a_long_log_keeps_no_pull_waiting(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.state.add_run("team", "proj", "other", state="finished")
    log = write_log(offline_log(tmp_path / "data", "long"), run_records("long", 60_000, exit_code=None))
    with serving(tmp_path, sandbox, more=offline(tmp_path / "data")) as service:
        service.wait_ready()
        began = time.monotonic()
        service.cli("pull", code=0)
        assert time.monotonic() - began < 15.0
        write_log(log, [run_record("long")])
        began = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - began < 20.0
        assert service.events("worker_crashed") == []


TRAIN = """
import wandb
with wandb.init(id="trained", entity="team", project="proj", settings=wandb.Settings(silent=True)) as run:
    for step in range(10):
        run.log({"x": step})
"""


def test_what_trains_against_the_gateway_of_a_daemon_is_taken_in_and_delivered_by_it(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.state.add_run("team", "proj", "other", state="finished")
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    with serving(tmp_path, sandbox, more=f'[serve]\nlisten = "127.0.0.1:{port}"\n') as service:
        service.wait_event("pull_done")
        service.wait_event("serving")
        key = (service.cli.home / "gateway.key").read_text().strip()
        env = sdk_environment(
            tmp_path, WANDB_MODE="online", WANDB_BASE_URL=f"http://127.0.0.1:{port}", WANDB_API_KEY=key
        )
        done = subprocess.run(
            [sys.executable, "-c", TRAIN], cwd=tmp_path, env=env, capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        wait_for("it upstream", lambda: getattr(upstream(sandbox, "trained"), "state", None) == "finished")
        assert [row["x"] for row in upstream(sandbox, "trained").history] == list(range(10))
        assert rows_of(service, "trained") == 10
        assert service.events("worker_crashed") == []
        assert service.stop() == 0
