"""Errors as W&B gives them: real statuses with GraphQL bodies, partial data, and connections with holes."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from mirror.sandbox import Fault, Sandbox

from .conftest import Ask

RUNS = """query Runs($filters: JSONString) { project(name: "p", entityName: "e") {
  runs(filters: $filters) { edges { node { name summaryMetrics } } } } }"""


def post(http: httpx.Client, query: str, **variables: Any) -> httpx.Response:
    return http.post("/graphql", json={"query": query, "variables": variables})


def test_a_refused_permission_is_a_403_with_its_code_and_null_data(box: Sandbox) -> None:
    outsider = box.state.add_user("outsider")
    upsert = 'mutation { upsertBucket(input: {entityName: "e", modelName: "p", name: "r"}) { inserted } }'
    refused = httpx.post(f"{box.url}/graphql", json={"query": upsert}, auth=("api", outsider.api_key))
    assert refused.status_code == 403
    assert refused.json() == {
        "data": {"upsertBucket": None},
        "errors": [
            {"message": "permission denied", "path": ["upsertBucket"], "extensions": {"code": "PERMISSION_ERROR"}}
        ],
    }


def test_a_project_that_is_not_there_is_a_404(box: Sandbox, http: httpx.Client) -> None:
    drop = 'mutation { deleteRuns(input: {entityName: "e", projectName: "no", filters: "{}"}) { errors } }'
    refused = post(http, drop)
    assert refused.status_code == 404
    assert refused.json() == {
        "data": {"deleteRuns": None},
        "errors": [{"message": "project not found", "path": ["deleteRuns"]}],
    }
    sweep = 'mutation { upsertSweep(input: {entityName: "e", projectName: "no", config: "{}"}) { sweep { name } } }'
    box.state.sweeps_make_projects = False
    assert post(http, sweep).status_code == 404
    assert ("e", "no") not in box.state.projects


def test_an_unknown_column_is_a_400_and_a_lost_history_a_500(box: Sandbox, http: httpx.Client) -> None:
    run = box.state.add_run("e", "p", "r", history=[{"loss": 1}])
    refused = post(http, RUNS, filters='{"nothing": 1}')
    assert refused.status_code == 400
    assert "unknown column nothing" in refused.json()["errors"][0]["message"]
    run.history_is_lost = True
    lost = post(http, '{ project(name: "p", entityName: "e") { run(name: "r") { name history } } }')
    assert lost.status_code == 500
    assert lost.json()["errors"][0]["message"] == "run not found for history loading: e/p/r"


@pytest.mark.parametrize("status", [200, 500])
def test_one_field_of_one_run_errors_and_all_else_is_data(box: Sandbox, http: httpx.Client, status: int) -> None:
    for i in range(3):
        box.state.add_run("e", "p", f"r{i}", summary={"loss": i})
    box.faults.add(Fault.field_error("Run.summaryMetrics", run="r1", message="too slow", status=status, times=1))
    broken = post(http, RUNS)
    assert broken.status_code == status
    summaries = [edge["node"]["summaryMetrics"] for edge in broken.json()["data"]["project"]["runs"]["edges"]]
    assert [None if text is None else json.loads(text) for text in summaries] == [{"loss": 0}, None, {"loss": 2}]
    assert broken.json()["errors"] == [
        {"message": "too slow", "path": ["project", "runs", "edges", 1, "node", "summaryMetrics"]}
    ]
    assert "errors" not in post(http, RUNS).json()
    assert [record.fault for record in box.requests] == ["field_error Run.summaryMetrics", None]


def test_a_field_fault_that_no_answer_shows_is_not_used_up(box: Sandbox, http: httpx.Client) -> None:
    box.state.add_run("e", "p", "r1")
    box.faults.add(Fault.field_error("Run.notes", run="r1", times=1))
    assert "errors" not in post(http, RUNS).json()
    assert "errors" in post(http, '{ project(name: "p", entityName: "e") { run(name: "r1") { notes } } }').json()


@pytest.mark.parametrize("connection", ["runs", "files"])
def test_every_second_node_is_null_and_the_rest_is_there(box: Sandbox, ask: Ask, connection: Any) -> None:
    for i in range(4):
        box.state.add_run("e", "p", f"r{i}", files={"a": b"1", "b": b"2"})
    box.faults.add(Fault.null_node(connection, every=2))
    query = """{ project(name: "p", entityName: "e") { runs { edges { cursor node { name
      files { edges { node { name } } } } } pageInfo { hasNextPage } } } }"""
    answer = ask(query)
    assert "errors" not in answer
    nodes = [edge["node"] for edge in answer["data"]["project"]["runs"]["edges"]]
    if connection == "runs":
        assert [node and node["name"] for node in nodes] == ["r0", None, "r2", None]
    else:
        assert [[edge["node"] for edge in node["files"]["edges"]] for node in nodes] == [[{"name": "a"}, None]] * 4


def test_whole_edges_are_null_in_every_connection(box: Sandbox, ask: Ask) -> None:
    run = box.state.add_run("e", "p", "r", files={"a": b"1", "b": b"2"})
    for name in ("one", "two"):
        box.state.note_logged(run, box.state.add_artifact("e", "p", name, files={"a": name.encode()}))
    box.faults.add(Fault.null_node("edges", every=2))
    run_value = ask("""{ project(name: "p", entityName: "e") { run(name: "r") {
      files { edges { node { name } } } outputArtifacts { edges { node { state } } } } } }""")["data"]["project"]["run"]
    assert run_value["files"]["edges"] == [{"node": {"name": "a"}}, None]
    assert run_value["outputArtifacts"]["edges"] == [{"node": {"state": "COMMITTED"}}, None]
