"""Processes that train against the gateway, unmodified: recorded, seen live, delivered once."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from mirror import Api
from mirror.api.transport.deployment import deployment_of
from mirror.errors import HomeBusy
from mirror.gateway.training import Trainings
from mirror.layout import Home
from mirror.offline.adding import OfflineRuns
from mirror.offline.recording import Begun, begin
from mirror.offline.wanted import Wanted
from mirror.outbox import Outbox
from mirror.records.addresses import RunPath
from mirror.run.pending.local import LocalMirror
from mirror.sandbox import Sandbox
from mirror.store.engine.writer_lock import WriterLock
from tests.gateway.served import Served, environment, served
from tests.mirroring import ENTITY, PROJECT, Mirror, lake_of
from tests.replaying import Sender
from tests.system.service import wait_for

TRAIN = """
import sys, wandb
settings = wandb.Settings(entity="team", project="proj", silent=True)
with wandb.init(id="trained", config={"lr": 0.1, "opt": {"name": "adam"}}, tags=["a"], notes="n", name="first",
                group="g", settings=settings) as run:
    run.define_metric("loss", summary="min")
    for step in range(10):
        run.log({"loss": 1 / (step + 1), "val": {"x": step}, "odd": float("nan")})
    run.config.update({"late": 3})
    run.summary["best"] = 2
    open("weights.txt", "w").write("hello")
    run.save("weights.txt")
    artifact = wandb.Artifact("model", type="model", metadata={"k": 1})
    artifact.add_file("weights.txt", name="deep/weights.txt")
    run.log_artifact(artifact, aliases=["best"]).wait()
    run.use_artifact("model:best")
    print("one")
    print("two\\rTWO")
with wandb.init(id="trained", resume="must", settings=settings) as run:
    run.log({"loss": 9.0})
read = wandb.Api().run("team/proj/trained")
steps = [row["_step"] for row in read.scan_history(keys=["_step"])]
sys.stdout.write(f"READ {steps} {read.state} {[one.name for one in read.logged_artifacts()]}")
"""
STOPPED = """
import subprocess, sys, time, wandb
with wandb.init(id="stopped", entity="team", project="proj", settings=wandb.Settings(silent=True)) as run:
    run.log({"x": 0})
    subprocess.run([sys.executable, "-c", "import mirror; mirror.Api().run('team/proj/stopped').stop()"], check=True)
    for step in range(120):
        run.log({"x": step})
        time.sleep(0.5)
    sys.stdout.write("GOES ON")
"""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A home against whose gateway was trained, while the server was away."""

    sandbox: Sandbox
    mirror: Mirror
    gateway: Served
    said: str

    @property
    def sender(self) -> Sender:
        return Sender(url=self.sandbox.url, api_key=self.sandbox.api_key, home=self.mirror.home)


def trains(program: str, home: Home, gateway: Served, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program of somebody's whose `wandb` asks the gateway."""
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=120, check=False,
        env=environment(home) | {
            "WANDB_BASE_URL": gateway.url, "WANDB_API_KEY": gateway.key, "WANDB_DIR": str(folder),
            "WANDB_ERROR_REPORTING": "false", "PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd()),
            "WANDB_MIRROR_HOME": str(home.root),
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    folder = tmp_path_factory.mktemp("training")
    with Sandbox.start() as sandbox:
        sandbox.state.add_run(ENTITY, PROJECT, "other")
        mirror = Mirror(url=sandbox.url, api_key=sandbox.api_key, home=Home(folder / "home"))
        assert mirror.pull().errors == []
        with served(mirror.home) as gateway:
            done = trains(TRAIN, mirror.home, gateway, folder)
            assert done.returncode == 0, done.stderr
            yield Trained(sandbox=sandbox, mirror=mirror, gateway=gateway, said=done.stdout)


def test_the_process_reads_back_what_it_logged(trained: Trained) -> None:
    assert trained.said.endswith(f"READ {list(range(11))} finished ['model:v0']"), trained.said


def test_the_mirror_shows_it_beside_the_others(trained: Trained) -> None:
    run = Api(home=trained.mirror.home.root).run(f"{ENTITY}/{PROJECT}/trained")
    assert (run.name, run.state, run.tags, run.notes, run.group) == ("first", "finished", ["a"], "n", "g")
    assert run.config == {"lr": 0.1, "opt": {"name": "adam"}, "late": 3}
    assert (run.summary["best"], run.summary["loss"]) == (2, 9.0)
    assert [row["val"]["x"] for row in run.scan_history(keys=["val"])] == list(range(10))
    assert {"weights.txt", "config.yaml", "output.log"} <= {file.name for file in run.files()}
    assert [line["line"] for line in trained.mirror.ask(
        "SELECT line FROM lake.console_lines WHERE run_id = 'trained' AND level = '' ORDER BY number"
    )] == ["one", "TWO"]  # fmt: skip
    (version,) = run.logged_artifacts()
    assert (sorted(version.aliases), version.metadata, sorted(version.manifest.entries)) == (
        ["best", "latest"], {"k": 1}, ["deep/weights.txt"],
    )  # fmt: skip


def test_it_is_delivered_once(trained: Trained) -> None:
    assert trained.sender.replay().buried == 0
    assert trained.sender.counts() == {}
    state = trained.sandbox.state
    run = state.run(ENTITY, PROJECT, "trained")
    assert [row["_step"] for row in run.history] == list(range(11))
    assert (run.state, run.display_name, run.tags, run.notes) == ("finished", "first", ["a"], "n")
    assert json.loads(run.config_text or "{}")["late"]["value"] == 3
    assert {name for name, file in run.files.items() if file.listed} >= {"weights.txt", "config.yaml", "output.log"}
    (version,) = state.project(ENTITY, PROJECT).collections["model"].versions
    assert (version.state, run in version.used_by) == ("COMMITTED", True)
    assert trained.mirror.pull().errors == []
    assert trained.mirror.run("trained")["origin"] is None


def test_a_stop_reaches_the_process(trained: Trained, tmp_path: Path) -> None:
    done = trains(STOPPED, trained.mirror.home, trained.gateway, tmp_path)
    assert "GOES ON" not in done.stdout, done.stderr


def test_a_request_that_is_sent_again_adds_nothing(trained: Trained) -> None:
    ask: dict[str, Any] = {"auth": ("api", trained.gateway.key)}
    for _ in range(2):
        begins(trained, "again")
    stream = f"{trained.gateway.url}/files/{ENTITY}/{PROJECT}/again/file_stream"
    lines = [json.dumps({"_step": step, "x": step}) for step in range(3)]
    end = {"complete": True, "exitcode": 0}
    for files in ({"wandb-history.jsonl": {"offset": 0, "content": lines[:2]}},
                  {"wandb-history.jsonl": {"offset": 0, "content": lines[:2]}},
                  {"wandb-history.jsonl": {"offset": 1, "content": lines[1:]}}):  # fmt: skip
        assert httpx.post(stream, json={"files": files}, **ask).status_code == 200
    for _ in range(2):
        assert httpx.post(stream, json=end, **ask, timeout=60).status_code == 200
    assert trained.mirror.ask("SELECT step FROM lake.metrics WHERE run_id = 'again' AND key = 'x' ORDER BY 1") == [
        {"step": 0}, {"step": 1}, {"step": 2},
    ]  # fmt: skip
    assert httpx.post(stream, json={"files": 7, "x": "y"}, **ask).status_code == 404
    assert httpx.post(stream, content=b"[", **ask).status_code == 400


WRONG = [
    {"output.log": {"offset": 2**62, "content": ["x"]}},
    {"output.log": {"offset": 2**31 - 1, "content": ["x"]}},
    {"wandb-history.jsonl": {"offset": -5, "content": ['{"_step": 0}']}},
    {"wandb-history.jsonl": {"offset": 1e300, "content": ['{"_step": 0}']}},
    {"wandb-history.jsonl": {"offset": 0, "content": "abc"}},
    {"wandb-history.jsonl": {"offset": 0, "content": ["7", '{"_step": 0}']}},
]


def test_lines_that_are_none_are_refused_and_harm_nothing(trained: Trained) -> None:
    begins(trained, "wrong")
    stream = f"{trained.gateway.url}/files/{ENTITY}/{PROJECT}/wrong/file_stream"
    ask: dict[str, Any] = {"auth": ("api", trained.gateway.key), "timeout": 60}
    for files in WRONG:
        assert httpx.post(stream, json={"files": files}, **ask).status_code == 400, files
    far = {"output.log": {"offset": 100_000, "content": ["far"]}}
    assert httpx.post(stream, json={"files": far}, **ask).status_code == 200
    logs(trained, "wrong", 0, 1, ends=True)
    take_and_forget(trained)
    assert [row["_step"] for row in Api(home=trained.mirror.home.root).run("team/proj/wrong").scan_history()] == [0, 1]


def begins(trained: Trained, run_id: str) -> None:
    document = """mutation B($input: UpsertBucketInput!) { upsertBucket(input: $input) { bucket { id } inserted } }"""
    given = {"entityName": ENTITY, "modelName": PROJECT, "name": run_id, "host": "here", "config": "{}"}
    body = {"query": document, "variables": {"input": given}}
    answer = httpx.post(f"{trained.gateway.url}/graphql", json=body, auth=("api", trained.gateway.key), timeout=60)
    assert "errors" not in answer.json()


def logs(trained: Trained, run_id: str, *steps: int, ends: bool = False) -> None:
    lines = [json.dumps({"_step": step, "_timestamp": 1_790_000_000.0 + step, "x": step}) for step in steps]
    body: dict[str, Any] = {"files": {"wandb-history.jsonl": {"offset": steps[0], "content": lines}}}
    url = f"{trained.gateway.url}/files/{ENTITY}/{PROJECT}/{run_id}/file_stream"
    for part in (body, {"complete": True, "exitcode": 0}) if ends else (body,):
        answer = httpx.post(url, json=part, auth=("api", trained.gateway.key), timeout=60)
        assert answer.status_code == 200, answer.text


def take_and_forget(trained: Trained) -> None:
    """What a daemon does again and again."""
    home = trained.mirror.home

    def is_done() -> bool:
        with contextlib.suppress(HomeBusy), lake_of(home, deployment_of(trained.sandbox.url)) as lake:
            runs = OfflineRuns(lake, Outbox(home))
            for candidate in runs.candidates(Wanted(paths=(str(home.recordings),))):
                runs.take(candidate)
            runs.forget_delivered()
            return True
        return False

    wait_for("the turn at the lake", is_done)


def replayed(trained: Trained) -> Any:
    reports: list[Any] = []

    def is_done() -> bool:
        with contextlib.suppress(HomeBusy):
            reports.append(trained.sender.later(hours=1).replay())
        return bool(reports)

    wait_for("the turn at the lake", is_done)
    return reports[0]


def upstream(trained: Trained, run_id: str) -> list[int]:
    return [row["x"] for row in trained.sandbox.state.run(ENTITY, PROJECT, run_id).history]


def test_a_process_that_was_silent_for_long_goes_on(trained: Trained) -> None:
    begins(trained, "silent")
    logs(trained, "silent", 0, 1)
    for log in trained.mirror.home.recordings.glob("*/run.wandb"):
        os.utime(log, (time.time() - 3600,) * 2)
    take_and_forget(trained)
    assert replayed(trained).buried == 0
    assert trained.sandbox.state.run(ENTITY, PROJECT, "silent").state == "failed"
    take_and_forget(trained)
    logs(trained, "silent", 2, 3, ends=True)
    take_and_forget(trained)
    replayed(trained)
    run = trained.sandbox.state.run(ENTITY, PROJECT, "silent")
    assert (run.state, upstream(trained, "silent")) == ("finished", [0, 1, 2, 3])


def test_each_session_of_a_run_is_recorded_whichever_were_delivered(trained: Trained) -> None:
    begins(trained, "sessions")
    logs(trained, "sessions", 0, 1, ends=True)
    take_and_forget(trained)
    assert replayed(trained).buried == 0
    for first in (2, 4):
        begins(trained, "sessions")
        logs(trained, "sessions", first, first + 1, ends=True)
        take_and_forget(trained)
    replayed(trained)
    assert upstream(trained, "sessions") == list(range(6))


def test_a_process_that_goes_on_is_told_all_that_was_recorded(trained: Trained) -> None:
    begins(trained, "resumed")
    logs(trained, "resumed", 0, 1)
    wait_for("its rows", lambda: told(trained, "resumed") == 2)
    home = trained.mirror.home

    def is_recorded() -> bool:  # while another process writes the lake
        with contextlib.suppress(HomeBusy), lake_of(home, deployment_of(trained.sandbox.url)):
            logs(trained, "resumed", 2, 3, 4)
            assert told(trained, "resumed") is None
            return True
        return False

    wait_for("the turn at the lake", is_recorded)
    wait_for("an answer", lambda: told(trained, "resumed") == 5)
    logs(trained, "resumed", 5, 6, ends=True)
    take_and_forget(trained)
    replayed(trained)
    assert upstream(trained, "resumed") == list(range(7))


def test_a_gateway_that_is_read_only_takes_nothing_in(trained: Trained) -> None:
    home, path = trained.mirror.home, RunPath(ENTITY, PROJECT, "unread")
    recording = begin(home, Begun(entity=ENTITY, project=PROJECT, run_id="unread"))
    recording.write_run({"host": "here"})
    try:
        Trainings(LocalMirror(home), read_only=True).bring_up(path)
        assert trained.mirror.ask("SELECT 1 FROM runs WHERE run_id = 'unread'") == []
    finally:
        shutil.rmtree(recording.folder)


def told(trained: Trained, run_id: str) -> int | None:
    """What a process is told that goes on with a run: how many rows it has; None: it is to ask again."""
    document = """query RunResumeStatus($project: String, $entity: String, $name: String!) {
        model(name: $project, entityName: $entity) { bucket(name: $name, missingOk: true) { historyLineCount } } }"""
    body = {"query": document, "variables": {"project": PROJECT, "entity": ENTITY, "name": run_id}}
    answer = httpx.post(f"{trained.gateway.url}/graphql", json=body, auth=("api", trained.gateway.key), timeout=60)
    if answer.status_code == 503:
        return None
    return int(answer.json()["data"]["model"]["bucket"]["historyLineCount"])


def test_a_home_that_was_never_pulled_into_is_one_to_train_against(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    env = environment(home) | {"PYTHONWARNINGS": "ignore", "WANDB_DIR": str(tmp_path), "WANDB_ERROR_REPORTING": "false"}
    mirror = [sys.executable, "-m", "mirror.cli"]
    init = ["init", "--no-check", "--source", "team/proj", "--base-url", "http://127.0.0.1:9"]
    subprocess.run([*mirror, *init], env=env, check=True, capture_output=True)
    program = """
import sys, wandb
with wandb.init(project='proj', id='alone') as run:
    run.log({'x': 1, 'table': wandb.Table(columns=['a'], data=[[1]])})
    artifact = wandb.Artifact('data', type='dataset')
    with artifact.new_file('a.txt') as file:
        file.write('hello')
    run.log_artifact(artifact).wait()
    run.use_artifact('data:latest')
read = wandb.Api().run('team/proj/alone')
sys.stdout.write(f"READ {sorted(file.name for file in read.files())[-1]}")
"""
    done = subprocess.run(
        [*mirror, "exec", "--", sys.executable, "-c", program], env=env, cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "READ wandb-summary.json" in done.stdout
    alone = Api(home=home.root).run("team/proj/alone")
    assert alone.state == "finished"
    assert "data:v0" in [one.name for one in alone.logged_artifacts()]


def test_what_is_upstream_is_kept_once(trained: Trained) -> None:
    home = trained.mirror.home
    assert list(home.recordings.glob("*"))
    assert trained.sender.later(hours=1).replay().buried == 0
    with lake_of(home, deployment_of(trained.sandbox.url)) as lake:
        OfflineRuns(lake, Outbox(home)).forget_delivered()
    assert not list(home.offline.glob("*.wandb"))
    assert not list(home.recordings.glob("*"))


def test_who_takes_rows_in_is_waited_for(tmp_path: Path) -> None:
    home = Home(tmp_path)
    waiting = threading.Thread(target=lambda: WriterLock(home).__enter__().__exit__(None, None, None))
    with WriterLock(home, brief=True):
        waiting.start()
        waiting.join(timeout=0.5)
        assert waiting.is_alive()
    waiting.join(timeout=30)
    assert not waiting.is_alive()
