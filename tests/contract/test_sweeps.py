"""Sweeps with the SDK."""

from __future__ import annotations

from typing import Any

import pytest
import wandb

from mirror.sandbox import Sandbox

from .conftest import ENTITY

CONFIG = """
method: bayes
metric: {name: loss, goal: minimize}
parameters: {lr: {min: 0.1, max: 1.0}}
"""


@pytest.fixture
def sweep(server: Sandbox, project: str) -> str:
    server.state.add_sweep(ENTITY, project, "sw1", config_text=CONFIG, method="bayes", display_name="the sweep")
    for i in range(3):
        server.state.add_run(ENTITY, project, f"r{i}", sweep="sw1", summary={"loss": abs(1 - i)})
    server.state.add_run(ENTITY, project, "other")
    return f"{ENTITY}/{project}/sw1"


def test_a_sweep_shows_its_config_and_runs(api: Any, sweep: str) -> None:
    found = api.sweep(sweep)
    assert (found.state, found.name, found.order) == ("RUNNING", "the sweep", "+summary_metrics.loss")
    assert found.config["metric"]["name"] == "loss"
    assert sorted(run.id for run in found.runs) == ["r0", "r1", "r2"]
    assert found.best_run().id == "r1"


def test_a_run_knows_its_sweep(api: Any, sweep: str) -> None:
    run = api.run(sweep.replace("sw1", "r0"))
    assert run.sweep_name == "sw1"
    assert run.sweep.id == "sw1"


def test_a_missing_sweep_is_an_error(api: Any, sweep: str) -> None:
    with pytest.raises((ValueError, wandb.errors.CommError), match="Could not find sweep"):
        api.sweep(sweep.replace("sw1", "none"))


def test_sweeps_of_a_project_are_listed(api: Any, sweep: str, project: str) -> None:
    assert [found.id for found in api.project(project, ENTITY).sweeps()] == ["sw1"]


@pytest.mark.filterwarnings("ignore:Read the `app_url` setting:DeprecationWarning")
def test_a_sweep_is_created(server: Sandbox, project: str, api: Any) -> None:
    name = wandb.sweep({"method": "random", "parameters": {"lr": {"values": [1, 2]}}}, entity=ENTITY, project=project)
    assert name in server.state.project(ENTITY, project).sweeps
    assert api.sweep(f"{ENTITY}/{project}/{name}").config["method"] == "random"
