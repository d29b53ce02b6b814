"""Forks and rewinds that the real SDK trained offline: what is delivered is what `wandb sync` brings to a server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.contract.test_offline_runs import environment, plain_environment
from tests.contract.trainings import ENTITY, PROJECT
from tests.replay.trainings import add
from tests.replaying import Sender


def test_forks_and_rewinds_are_those_that_wandb_sync_brings(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "tests.contract.trainings", "branched"], cwd=tmp_path, check=True, capture_output=True,
        env=plain_environment() | {"PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    logs = sorted((tmp_path / "wandb").glob("offline-run-*/*.wandb"), key=lambda log: log.stat().st_mtime_ns)
    with Sandbox.start() as theirs, Sandbox.start() as ours:
        for server in (theirs, ours):
            server.state.add_project(ENTITY, PROJECT)
        sender = Sender(url=ours.url, api_key=ours.api_key, home=Home(tmp_path / "home"))
        add(sender, tmp_path / "wandb")
        assert sender.replay().applied == 3
        for log in logs:
            subprocess.run(
                [Path(sys.executable).with_name("wandb"), "sync", log], env=environment(theirs), check=True,
                cwd=tmp_path, capture_output=True,
            )  # fmt: skip
        for run_id in ("parent", "fork"):
            assert told(ours, run_id) == told(theirs, run_id)
        assert [row["again"] for row in told(ours, "parent")["history"]] == [False] * 6 + [True] * 3
        assert [row["_step"] for row in told(ours, "fork")["history"]] == [6, 7, 8]


def told(server: Sandbox, run_id: str) -> dict[str, Any]:
    """A run as a server has it, but what the delivering program tells of itself."""
    run = server.state.run(ENTITY, PROJECT, run_id)
    config = json.loads(run.config_text or "{}")
    for name in ("t", "e"):
        del config["_wandb"]["value"][name]
    return {
        "state": run.state, "config": config, "history": run.history, "lines": sorted(run.history_lines),
        "summary": json.loads(run.summary_text or "{}"),
    }  # fmt: skip
