"""Sweeps: what the SDK tells of them, and which run is the best."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from mirror import Api, NotMirrored, Sweep
from mirror.errors import CommError
from mirror.run.sweeps import format_order
from mirror.sandbox import Sandbox
from tests.contract.conftest import ENTITY as TEAM
from tests.mirroring import ENTITY, PROJECT, Mirror
from tests.run.world import World, offline

MEMBERS = ("id", "name", "entity", "project", "config", "state", "order", "path", "url", "expected_run_count")
FIELDS = (
    "best_loss", "bestLoss", "run_count", "method", "created_at", "createdAt", "updated_at", "description",
    "display_name", "run_count_expected",
)  # fmt: skip


def told(sweep: Any) -> Any:
    members = {name: getattr(sweep, name) for name in (*MEMBERS, *FIELDS)}
    return members, repr(sweep), [run.id for run in sweep.runs], sweep._attrs["id"]


def test_a_sweep_is_what_the_sdk_tells_of_it(world: World) -> None:
    members, text, runs, _ = world.same_of_api(lambda api: told(api.sweep(f"{TEAM}/{world.project}/sw1")))
    assert members["name"] == "named in the config"
    assert members["order"] == "+summary_metrics.loss"
    assert text == f"<Sweep {TEAM}/{world.project}/sw1 (RUNNING)>"
    assert runs == ["s1", "s2", "s3"]
    world.same_of_api(lambda api: api.sweep(f"{TEAM}/{world.project}/sw1").nothing_of_this_name)


def test_sweeps_of_a_project_are_listed_as_the_sdk_lists_them(world: World) -> None:
    def listed(api: Any) -> Any:
        sweeps = api.project(world.project, TEAM).sweeps(per_page=1)
        return repr(sweeps), len(sweeps), [(sweep.id, sweep.name, sweep.order, repr(sweep)) for sweep in sweeps]

    _, count, sweeps = world.same_of_api(listed)
    assert count == 2
    assert sweeps[1] == ("sw 2/x", "two", None, f"<Sweep {TEAM}/{world.project}/sw+2%2Fx (FINISHED)>")
    assert world.same_of_api(lambda api: len(api.project("nothing", TEAM).sweeps())).text == (
        "Could not find project 'nothing'"
    )


def test_a_run_has_its_sweep_or_none(world: World) -> None:
    world.same("s1", lambda run: (run.sweep_name, told(run.sweep)))
    assert world.same("many", lambda run: (run.sweep_name, run.sweep)) == (None, None)
    run = world.run("s1")
    assert run.sweep is run.sweep


@pytest.mark.parametrize("order", [
    None, "loss", "+loss", "-loss", "acc", "-acc", "+acc", "+summary_metrics.loss", "-config.lr", "+config.lr.value",
])  # fmt: skip
def test_the_best_run_is_the_one_that_the_sdk_finds(world: World, order: str | None) -> None:
    world.same("s1", lambda run: run.sweep.best_run(order).id)


def test_there_is_no_best_run_without_runs_and_the_newest_without_a_metric(world: World) -> None:
    sweeps = {sweep.id: sweep for sweep in world.api().project(world.project, TEAM).sweeps()}
    assert sweeps["sw 2/x"].best_run() is None
    best = sweeps["sw1"].best_run("createdAt")
    assert best is not None
    assert best.id == "s3"


def test_a_run_without_the_metric_is_never_the_best(sandbox: Sandbox, mirror: Mirror) -> None:
    config = "metric: {name: loss, goal: minimize}\nmethod: random\nparameters: {}\n"
    sandbox.state.add_sweep(ENTITY, PROJECT, "sw", config_text=config)
    summaries: dict[str, dict[str, Any]] = {"a": {}, "b": {"loss": 0.5}, "c": {"loss": 0.25}, "d": {"loss": None}}
    for name, summary in summaries.items():
        sandbox.state.add_run(ENTITY, PROJECT, name, sweep="sw", summary=summary)
    mirror.pull()
    best = Api(mirror.home).sweep(f"{ENTITY}/{PROJECT}/sw").best_run()
    assert best is not None
    assert best.id == "c"


@pytest.mark.parametrize(
    ("key", "order"),
    [
        ("loss", "-summary_metrics.loss"), ("+a.b", "+summary_metrics.a.b"), ("config.lr", "-config.lr"),
        ("+summary_metrics.x", "+summary_metrics.x"), ("createdAt", None), ("-sweep", None),
        ("+tags", "+summary_metrics.tags"),
    ],
)  # fmt: skip
def test_orders_follow_the_rules_of_the_sdk(key: str, order: str | None) -> None:
    from wandb.apis.public import QueryGenerator

    assert format_order(key) == order == QueryGenerator.format_order_key(key)


@pytest.mark.parametrize(
    ("config", "name", "order"),
    [
        ("metric: {name: acc, goal: maximize}", "sw", "-summary_metrics.acc"),
        ("metric: {name: config.lr}", "sw", "+config.lr"),
        ("metric: acc\nname: n", "n", None),
        ("metric: {goal: minimize}", "sw", None),
        ("[a, list]", "sw", None),
        ("", "sw", None),
    ],
)
def test_odd_definitions_have_a_name_and_an_order_or_none(
    sandbox: Sandbox, mirror: Mirror, config: str, name: str, order: str | None
) -> None:
    sandbox.state.add_sweep(ENTITY, PROJECT, "sw", config_text=config)
    sandbox.state.add_run(ENTITY, PROJECT, "r1", sweep="sw")
    mirror.pull()
    sweep = Api(mirror.home).sweep(f"{ENTITY}/{PROJECT}/sw")
    assert (sweep.name, sweep.order) == (name, order)
    assert sweep.best_run() is not None


def test_a_definition_that_is_not_yaml_is_an_error_that_says_so(sandbox: Sandbox, mirror: Mirror) -> None:
    sandbox.state.add_sweep(ENTITY, PROJECT, "sw", config_text="{torn")
    sandbox.state.add_run(ENTITY, PROJECT, "r1")
    mirror.pull()
    with pytest.raises(CommError, match="is not YAML"):
        _ = Api(mirror.home).sweep(f"{ENTITY}/{PROJECT}/sw").config


def test_a_sweep_that_is_not_there_is_the_error_of_the_sdk(world: World) -> None:
    failed = world.same_of_api(lambda api: api.sweep(f"{TEAM}/{world.project}/nothing"))
    assert failed.text == f"Could not find sweep <Sweep {TEAM}/{world.project}/nothing (Unknown State)>"
    assert {"NotMirrored", "ValueError"} <= failed.kinds
    world.same_of_api(lambda api: type(api.project(world.project, TEAM).sweeps()).__name__)
    assert Sweep.get(world.api(), TEAM, world.project, "nothing") is None


def test_a_sweep_is_had_by_its_parts_with_its_runs_in_order(world: World) -> None:
    found = Sweep.get(world.api(), TEAM, world.project, "sw1", order="-summary_metrics.loss")
    assert found is not None
    assert [run.id for run in found.runs] == ["s3", "s1", "s2"]


def test_the_page_in_a_notebook_is_the_frame_of_the_sdk(world: World) -> None:
    world.same("s1", lambda run: (run.sweep.to_html(), run.sweep.to_html(height=99, hidden=True)))


def test_what_only_the_server_can_say_is_refused_with_words(world: World) -> None:
    sweep = world.run("s1").sweep
    assert sweep is not None
    with offline():
        with pytest.raises(NotMirrored, match="agents of"):
            sweep.agents()
        with pytest.raises(NotMirrored, match="agent a1 of"):
            sweep.agent("a1")
        with pytest.raises(CommError, match="cannot be enqueued"):
            sweep.enqueue_run({"lr": 1})
        with pytest.raises(CommError, match="filter sweeps"):
            world.api().project(world.project, TEAM).sweeps(filters={"state": "RUNNING"})


def test_sweeps_travel_to_another_process(world: World) -> None:
    with offline():
        sweep = world.run("s1").sweep
        assert told(pickle.loads(pickle.dumps(sweep))) == told(sweep)
        sweeps = world.api().project(world.project, TEAM).sweeps()
        assert [one.id for one in pickle.loads(pickle.dumps(sweeps))] == ["sw1", "sw 2/x"]
