"""Listing, filtering and reading runs with the SDK."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import wandb
from wandb.sdk.lib.service.service_connection import WandbApiFailedError

from mirror.sandbox import Fault, Match, Sandbox

from .conftest import ENTITY


def names(runs: Any) -> list[str]:
    return [run.id for run in runs]


@pytest.fixture
def grid(server: Sandbox, project: str) -> str:
    """Six runs that differ in everything filters look at."""
    for i in range(6):
        server.state.add_run(
            ENTITY,
            project,
            f"run{i}",
            display_name=f"trial {i}",
            state="finished" if i % 2 == 0 else "failed",
            config={"lr": 10.0**-i, "opt": "adam" if i < 3 else "sgd", "nested": {"depth": i}},
            summary={"loss": float(i), "_runtime": 10 * i},
            tags=["even"] if i % 2 == 0 else [],
            group="first" if i < 3 else None,
            job_type="train",
            host=f"host{i}",
            sweep="sweep1" if i == 4 else None,
            history=[{"_step": 0, f"only{i}": 1.0}],
            created_at=f"2024-01-0{i + 1}T00:00:00",
            heartbeat_at=f"2024-02-0{i + 1}T12:00:00",
        )
    return project


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"state": "failed"}, [1, 3, 5]),
        ({"state": {"$eq": "finished"}, "group": "first"}, [0, 2]),
        ({"state": {"$ne": "finished"}}, [1, 3, 5]),
        ({"config.lr": {"$gt": 0.005}}, [0, 1, 2]),
        ({"config.lr": {"$gte": 0.01}}, [0, 1, 2]),
        ({"config.lr.value": {"$lt": 0.01}}, [3, 4, 5]),
        ({"config.nested.depth": {"$lte": 1}}, [0, 1]),
        ({"config.opt": {"$in": ["sgd", "lion"]}}, [3, 4, 5]),
        ({"config.opt": {"$nin": ["sgd"]}}, [0, 1, 2]),
        ({"summary_metrics.loss": {"$gte": 4}}, [4, 5]),
        ({"group": {"$exists": False}}, [3, 4, 5]),
        ({"group": None}, [3, 4, 5]),
        ({"tags": "even"}, [0, 2, 4]),
        ({"tags": {"$in": ["even", "odd"]}}, [0, 2, 4]),
        ({"tags": None}, [1, 3, 5]),
        ({"display_name": {"$regex": "^trial [01]$"}}, [0, 1]),
        ({"displayName": "trial 5"}, [5]),
        ({"name": "run3"}, [3]),
        ({"host": "host2"}, [2]),
        ({"jobType": "train", "username": "sandy"}, [0, 1, 2, 3, 4, 5]),
        ({"duration": {"$gt": 30}}, [4, 5]),
        ({"sweep": "sweep1"}, [4]),
        ({"keys_info.keys.only2": {"$exists": True}}, [2]),
        ({"$or": [{"name": "run0"}, {"name": "run5"}]}, [0, 5]),
        ({"$and": [{"state": "finished"}, {"config.opt": "sgd"}]}, [4]),
        ({"$nor": [{"state": "finished"}, {"name": "run1"}]}, [3, 5]),
        ({"createdAt": {"$gte": "2024-01-05T00:00:00Z"}}, [4, 5]),
        ({"$or": [{"heartbeatAt": {"$gte": "2024-02-06"}}, {"createdAt": {"$lt": "2024-01-02T00:00:00"}}]}, [0, 5]),
    ],
    ids=lambda value: json.dumps(value),
)
def test_filters_choose_the_same_runs_and_the_same_count(
    api: Any, grid: str, filters: dict[str, Any], expected: list[int]
) -> None:
    runs = api.runs(f"{ENTITY}/{grid}", filters=filters)
    assert names(runs) == [f"run{i}" for i in expected]
    assert len(runs) == len(expected)


@pytest.mark.parametrize("filters", [{"$nonsense": 1}, {"noSuchField": 1}, {"state": {"$like": "x"}}])
def test_a_bad_filter_is_an_error_and_not_an_empty_listing(api: Any, grid: str, filters: dict[str, Any]) -> None:
    with pytest.raises(WandbApiFailedError, match="invalid filters"):
        len(api.runs(f"{ENTITY}/{grid}", filters=filters))


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("+created_at", [0, 1, 2, 3, 4, 5]),
        ("-created_at", [5, 4, 3, 2, 1, 0]),
        ("+config.lr.value", [5, 4, 3, 2, 1, 0]),
        ("-summary_metrics.loss", [5, 4, 3, 2, 1, 0]),
        ("+heartbeat_at", [0, 1, 2, 3, 4, 5]),
    ],
)
def test_orders_hold_across_pages(api: Any, grid: str, order: str, expected: list[int]) -> None:
    runs = api.runs(f"{ENTITY}/{grid}", order=order, per_page=2)
    assert names(runs) == [f"run{i}" for i in expected]


def test_a_run_shows_everything_that_was_stored(api: Any, server: Sandbox, project: str) -> None:
    server.state.add_run(
        ENTITY,
        project,
        "whole",
        display_name="a / b\nc",
        state="crashed",
        config={"big": 2**60 + 1, "nested": {"list": [1, {"x": None}]}, "text": "ü☃"},
        summary={"loss": 0.5, "deep": {"a": 1}, "huge": 2**70},
        system_metrics={"system.cpu": 12.5},
        tags=["a", "b"],
        notes="note",
        description="described",
        group="g",
        job_type="eval",
        commit="abc",
        created_at="2023-11-05T17:46:35",
    )
    run = api.run(f"{ENTITY}/{project}/whole")
    assert (run.name, run.state, run.tags, run.notes) == ("a / b\nc", "crashed", ["a", "b"], "note")
    assert run.config == {"big": 2**60 + 1, "nested": {"list": [1, {"x": None}]}, "text": "ü☃"}
    assert run.rawconfig["_wandb"]["cli_version"] == "0.31.0"
    assert run.summary["huge"] == 2**70
    assert run.summary["deep"]["a"] == 1
    assert run.system_metrics == {"system.cpu": 12.5}
    assert run.user.username == "sandy"
    assert run.created_at == "2023-11-05T17:46:35"
    assert (run.group, run.job_type, run.commit) == ("g", "eval", "abc")
    assert run.storage_id == server.state.run(ENTITY, project, "whole").id


@pytest.mark.parametrize(("spelling", "type_"), [("bare", float), ("text", str)])
def test_non_finite_summaries_come_in_both_spellings(
    api: Any, server: Sandbox, project: str, spelling: Any, type_: type
) -> None:
    server.state.add_run(
        ENTITY, project, "odd", summary={"nan": math.nan, "inf": -math.inf}, nonfinite=spelling, exported=False
    )
    summary = api.run(f"{ENTITY}/{project}/odd").summary
    assert isinstance(summary["nan"], type_)
    assert str(summary["inf"]).lower().startswith("-inf")


def test_a_config_of_more_than_a_megabyte_arrives_whole(api: Any, server: Sandbox, project: str) -> None:
    config = {f"key{i}": "x" * 1000 for i in range(1500)}
    server.state.add_run(ENTITY, project, "big", config=config)
    assert api.run(f"{ENTITY}/{project}/big").config == config


def test_a_missing_run_and_a_private_project_look_missing(api: Any, server: Sandbox, project: str) -> None:
    server.state.add_run(ENTITY, project, "there")
    with pytest.raises(wandb.errors.CommError, match="Could not find run"):
        api.run(f"{ENTITY}/{project}/missing")
    server.state.add_project("closed-team", project, private=True)
    outsider = server.state.add_user(f"outsider-{project}")
    theirs = wandb.Api(overrides={"base_url": server.url}, api_key=outsider.api_key)
    with pytest.raises(ValueError, match="Could not find project"):
        len(theirs.runs(f"closed-team/{project}"))


def test_a_wrong_key_is_refused(server: Sandbox) -> None:
    with pytest.raises(wandb.errors.AuthenticationError, match="not logged in"):
        wandb.Api(overrides={"base_url": server.url}, api_key="f" * 40)


def test_projects_are_listed_and_found(api: Any, server: Sandbox) -> None:
    for i in range(3):
        server.state.add_project("listed-team", f"p{i}")
    assert [p.name for p in api.projects("listed-team", per_page=2)] == ["p0", "p1", "p2"]
    assert api.project("p1", "listed-team").entity == "listed-team"


def test_flush_forgets_what_the_api_cached(api: Any, server: Sandbox, project: str) -> None:
    server.state.add_run(ENTITY, project, "r", tags=["old"])
    path = f"{ENTITY}/{project}/r"
    assert api.run(path).tags == ["old"]
    server.state.edit_run(ENTITY, project, "r", tags=["new"])
    assert api.run(path).tags == ["old"]
    api.flush()
    assert api.run(path).tags == ["new"]


def test_the_sdk_retries_through_a_fault(api: Any, server: Sandbox, project: str) -> None:
    server.state.add_run(ENTITY, project, "r")
    server.faults.add(Fault.status(503, retry_after=0.05, times=2, match=Match(operation="Run")))
    before = server.requests.count("Run")
    assert api.run(f"{ENTITY}/{project}/r").state == "finished"
    assert server.requests.count("Run") - before == 3


def test_a_null_user_breaks_the_sdk_as_the_notes_say(api: Any, server: Sandbox, project: str) -> None:
    server.state.add_run(ENTITY, project, "orphan", user=None)
    with pytest.raises(wandb.errors.CommError, match="NoneType"):
        api.run(f"{ENTITY}/{project}/orphan")
