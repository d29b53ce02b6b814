"""Sweeps and their agents over plain HTTP: who asks gets runs to do."""

from __future__ import annotations

import json
from typing import Any

from mirror.sandbox import Sandbox

from .conftest import Ask

UPSERT = """mutation U($input: UpsertSweepInput!) { upsertSweep(input: $input) {
  sweep { id name state method runCountExpected priorRuns { edges { node { name } } } } } }"""
AGENT = """mutation A($sweep: String!) {
  createAgent(input: {entityName: "e", projectName: "p", sweep: $sweep, host: "h"}) { agent { id name } } }"""
BEAT = "mutation B($input: AgentHeartbeatInput!) { agentHeartbeat(input: $input) { commands agent { totalRuns } } }"
SWEEP = """query S($name: String!) { project(name: "p", entityName: "e") { sweep(sweepName: $name) {
  state bestLoss
  agents { edges { node { name runs(first: 2) { edges { node { name } } pageInfo { hasNextPage } } } } } } } }"""


def new_sweep(ask: Ask, config: dict[str, Any], **fields: Any) -> dict[str, Any]:
    given = {"entityName": "e", "projectName": "p", "config": json.dumps(config), **fields}
    made = ask(UPSERT, input=given)["data"]["upsertSweep"]["sweep"]
    assert isinstance(made, dict)
    return made


def beat(ask: Ask, agent: str, running: dict[str, bool] | None = None) -> list[dict[str, Any]]:
    given = {"id": agent, "metrics": "{}", "runState": json.dumps(running or {})}
    commands = json.loads(ask(BEAT, input=given)["data"]["agentHeartbeat"]["commands"])
    assert isinstance(commands, list)
    return commands


def test_an_agent_gets_the_runs_of_a_grid_one_at_a_time_and_then_leaves(box: Sandbox, ask: Ask) -> None:
    sweep = new_sweep(ask, {"method": "grid", "program": "t.py", "parameters": {"a": {"values": [1, 2, 3]}}})
    assert (sweep["state"], sweep["method"], sweep["runCountExpected"]) == ("PENDING", "grid", 3)
    agent = ask(AGENT, sweep=sweep["name"])["data"]["createAgent"]["agent"]["id"]

    given = []
    for _ in range(3):
        (command,) = beat(ask, agent)
        assert (command["type"], command["program"]) == ("run", "t.py")
        run = box.state.run("e", "p", command["run_id"])
        assert (run.state, run.sweep_name, run.config) == ("running", sweep["name"], command["args"])
        assert beat(ask, agent, {run.name: True}) == []  # busy
        box.state.finish_run("e", "p", run.name)
        given.append(command["args"]["a"]["value"])
    assert sorted(given) == [1, 2, 3]
    assert beat(ask, agent) == [{"type": "exit"}]

    seen = ask(SWEEP, name=sweep["name"])["data"]["project"]["sweep"]
    assert seen["state"] == "FINISHED"
    (edge,) = seen["agents"]["edges"]
    assert len(edge["node"]["runs"]["edges"]) == 2
    assert edge["node"]["runs"]["pageInfo"]["hasNextPage"]


def test_a_paused_sweep_gives_nothing_and_a_cancelled_one_stops_what_runs(box: Sandbox, ask: Ask) -> None:
    sweep = new_sweep(ask, {"method": "random", "parameters": {"a": {"values": [1]}}})
    agent = ask(AGENT, sweep=sweep["name"])["data"]["createAgent"]["agent"]["id"]
    (command,) = beat(ask, agent)
    name = command["run_id"]

    ask(UPSERT, input={"id": sweep["id"], "state": "PAUSED"})
    assert beat(ask, agent, {name: False}) == []
    ask(UPSERT, input={"id": sweep["id"], "state": "CANCELED"})
    assert beat(ask, agent, {name: True}) == [{"type": "stop", "run_id": name}]
    assert beat(ask, agent) == [{"type": "exit"}]


def test_a_run_that_was_queued_goes_first_and_prior_runs_are_named(box: Sandbox, ask: Ask) -> None:
    box.state.add_run("e", "p", "earlier")
    filters = json.dumps({"$or": [{"name": "earlier"}]})
    sweep = new_sweep(ask, {"method": "random", "parameters": {"a": {"value": 1}}}, priorRunsFilters=filters)
    assert [edge["node"]["name"] for edge in sweep["priorRuns"]["edges"]] == ["earlier"]
    queued = ask(
        "mutation Q($input: EnqueueSweepRunInput!) { enqueueSweepRun(input: $input) { id } }",
        input={"id": sweep["id"], "config": json.dumps({"a": {"value": 9}})},
    )["data"]["enqueueSweepRun"]["id"]
    agent = ask(AGENT, sweep=sweep["name"])["data"]["createAgent"]["agent"]["id"]
    (command,) = beat(ask, agent)
    assert command["run_storage_id"] == queued
    assert command["args"]["a"]["value"] == 9


def test_the_best_value_is_that_of_the_sweeps_own_metric(box: Sandbox, ask: Ask) -> None:
    sweep = new_sweep(ask, {"method": "random", "metric": {"name": "acc", "goal": "maximize"}})
    for name, value in (("r1", 0.5), ("r2", 0.75), ("r3", float("nan"))):
        box.state.add_run("e", "p", name, sweep=sweep["name"], summary={"acc": value})
    assert ask(SWEEP, name=sweep["name"])["data"]["project"]["sweep"]["bestLoss"] == 0.75
