"""Runs that the real SDK trained offline: what is shown and delivered is what `wandb sync` brings to a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from mirror import Api
from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.contract.trainings import ENTITY, PROJECT, RANKS
from tests.replay.trainings import add
from tests.replaying import Sender

TRAININGS = ("scalars", "media", "resumed", "ranks")
RUNS = sorted(["crashed", "killed", "media", *(f"rank{rank}" for rank in range(RANKS)), "resumed", "scalars"])
MADE = {"config.yaml", "wandb-metadata.json", "wandb-summary.json"}  # equal as values, not as bytes
VOLATILE = {"t", "e"}  # of `_wandb` in a config: what the delivering program tells of itself

READ = """
import json, sys, wandb
api = wandb.Api(timeout=60)
found = {}
for run in api.runs(sys.argv[1]):
    found[run.id] = {
        "display_name": run.name, "state": run.state, "tags": run.tags, "notes": run.notes, "group": run.group,
        "job_type": run.job_type, "config": run.config, "summary": dict(run.summary._json_dict),
        "history": list(run.scan_history()), "events": run.history(stream="system", pandas=False, samples=10_000),
        "files": {file.name: [file.md5, file.size] for file in run.files()},
        "artifacts": sorted(
            [one.name, one.type, one.digest, sorted(one.aliases), one.metadata, one.description,
             sorted(one.manifest.entries)] for one in run.logged_artifacts()
        ),
    }
print(json.dumps(found))
"""


@dataclass(frozen=True, kw_only=True)
class Brought:
    """The same trainings, brought to two servers."""

    synced: dict[str, Any]  # as the SDK reads them from the server of `wandb sync`
    delivered: dict[str, Any]  # from the server that a mirror delivered to
    local: dict[str, Any]  # as the mirror showed them before
    servers: tuple[Sandbox, Sandbox]


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brought]:
    folder = tmp_path_factory.mktemp("trained")
    for name in (TRAININGS, ("crashed",), ("killed",)):
        subprocess.run(
            [sys.executable, "-m", "tests.contract.trainings", *name], cwd=folder, check=False, start_new_session=True,
            env=plain_environment() | {"PYTHONPATH": str(Path.cwd())}, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
    logs = sorted((folder / "wandb").glob("offline-run-*"))
    for log in (folder / "wandb").glob("offline-run-*-killed/*.wandb"):
        os.utime(log, (1_700_000_000, 1_700_000_000))
    with Sandbox.start() as theirs, Sandbox.start() as ours:
        for server in (theirs, ours):
            server.state.add_project(ENTITY, PROJECT)
        sender = Sender(url=ours.url, api_key=ours.api_key, home=Home(folder / "home"))
        add(sender, folder / "wandb")
        local = {run.id: read_local(run) for run in Api(home=sender.home.root).runs(f"{ENTITY}/{PROJECT}")}
        sender.replay()
        assert sender.counts() == {}
        subprocess.run(
            [Path(sys.executable).with_name("wandb"), "sync", *logs], env=environment(theirs), check=True, cwd=folder,
            capture_output=True,
        )  # fmt: skip
        yield Brought(synced=read(theirs), delivered=read(ours), local=local, servers=(theirs, ours))


def plain_environment() -> dict[str, str]:
    """Nothing of the SDK that other tests have in this process, such as the address of its service."""
    return {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}


def environment(server: Sandbox) -> dict[str, str]:
    """For the real SDK."""
    return plain_environment() | {
        "WANDB_BASE_URL": server.url, "WANDB_API_KEY": server.api_key, "WANDB_ENTITY": ENTITY,
        "WANDB_CACHE_DIR": tempfile.mkdtemp(),  # histories of runs are kept there by their ids
    }  # fmt: skip


def read(server: Sandbox) -> dict[str, Any]:
    """All runs, as the real SDK reads them."""
    done = subprocess.run(
        [sys.executable, "-c", READ, f"{ENTITY}/{PROJECT}"], env=environment(server), check=True, capture_output=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def read_local(run: Any) -> dict[str, Any]:
    """The same of a run in the mirror."""
    return {
        "display_name": run.display_name, "state": run.state, "tags": run.tags, "notes": run.notes, "group": run.group,
        "job_type": run.job_type, "config": run.config, "summary": dict(run.summary),
        "history": list(run.scan_history()), "events": run.history(stream="system", pandas=False, samples=10_000),
        "files": {file.name: [file.md5, file.size] for file in run.files()},
        "artifacts": sorted(
            [one.name, one.type, one.digest, sorted(one.aliases), one.metadata, one.description,
             sorted(one.manifest.entries)] for one in run.logged_artifacts()
        ),
    }  # fmt: skip


def comparable(run: dict[str, Any]) -> dict[str, Any]:
    """Without the bytes of files that each program spells for itself; NaN, as the SDK measures some, equals itself."""
    files = {name: None if name in MADE else told for name, told in run["files"].items()}
    named = run["display_name"] if run["display_name"] == "first" else None  # else the server makes a name up
    events = [{key: "NaN" if value != value else value for key, value in row.items()} for row in run["events"]]
    return run | {"files": files, "display_name": named, "events": events}


def metrics(listed: list[dict[str, Any]]) -> dict[str, Any]:
    """Definitions by name, whose steps are named: their order is chance."""
    names = [one.get("1") or one["2"] for one in listed]
    steps = [one.get("5") and names[one["5"] - 1] for one in listed]
    return {name: one | {"5": step} for name, one, step in zip(names, listed, steps, strict=True)}


def test_all_runs_are_there(brought: Brought) -> None:
    assert sorted(brought.synced) == sorted(brought.delivered) == sorted(brought.local) == RUNS


@pytest.mark.parametrize("run_id", RUNS)
def test_what_is_delivered_is_what_wandb_sync_brings(brought: Brought, run_id: str) -> None:
    assert comparable(brought.delivered[run_id]) == comparable(brought.synced[run_id])


@pytest.mark.parametrize("run_id", RUNS)
def test_the_mirror_shows_it_before(brought: Brought, run_id: str) -> None:
    shown, synced = comparable(brought.local[run_id]), comparable(brought.synced[run_id])
    for ours, theirs in zip(shown["events"], synced["events"], strict=True):
        assert ours["_timestamp"] == pytest.approx(theirs["_timestamp"], rel=0, abs=2e-6)  # the lake has microseconds
        ours["_timestamp"] = theirs["_timestamp"]
    for told in (shown, synced):  # an export has each key in each row
        told["history"] = [{key: at for key, at in row.items() if at is not None} for row in told["history"]]
    assert json.loads(json.dumps(shown, default=dict)) == synced


@pytest.mark.parametrize("run_id", ["scalars", "resumed", "media"])
def test_the_files_that_are_made_say_the_same(brought: Brought, run_id: str) -> None:
    theirs, ours = (server.state.run(ENTITY, PROJECT, run_id) for server in brought.servers)
    for name in MADE:
        left, right = (
            yaml.safe_load(server.state.bucket.get(run.files[name].object_key) or b"")
            for server, run in zip(brought.servers, (theirs, ours), strict=True)
        )
        if name == "config.yaml":
            for config in (left, right):
                internal = config["_wandb"]["value"]
                internal["m"] = metrics(internal["m"])
                for key in VOLATILE:
                    internal.pop(key, None)
        assert right == left, name


def test_alerts_are_those_that_wandb_sync_sends(brought: Brought) -> None:
    theirs, ours = (server.state.run(ENTITY, PROJECT, "scalars").alerts for server in brought.servers)
    assert ours == theirs
    assert [(alert["title"], alert["severity"]) for alert in ours] == [("title", "WARN")]
