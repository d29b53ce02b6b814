"""Rate limits as W&B tells them: at a scale of 1000, by project and cost, and by caller for everything else."""

from __future__ import annotations

import httpx

from mirror.sandbox import Fault, Match, Sandbox
from mirror.sandbox.schema.request_cost import Served, cost_by_rows, heavy_fields, project_of

VIEWER = "{ viewer { id } }"
RUNS = """query Runs($entity: String, $project: String) {
  project(name: $project, entityName: $entity) { runs(first: 100) { edges { node { name } } } } }"""
DEAR = RUNS.replace("name }", "name config summaryMetrics historyKeys }")


def post(box: Sandbox, query: str, key: str | None = None, project: str = "p") -> httpx.Response:
    body = {"query": query, "variables": {"entity": "e", "project": project}}
    return httpx.post(f"{box.url}/graphql", json=body, auth=("api", key or box.api_key))


def test_over_the_budget_there_is_a_429_without_a_word_of_when(box: Sandbox) -> None:
    box.clock.freeze()
    box.faults.add(Fault.scaled_rate_limit(4, window_s=60))
    answers = [post(box, VIEWER) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["750", "500", "250", "0", "0"]
    assert {answer.headers["ratelimit-limit"] for answer in answers} == {"1000"}
    assert answers[4].headers["ratelimit-reset"] == "60"
    assert answers[4].json() == {"error": "rate limit exceeded"}
    assert "retry-after" not in answers[4].headers
    assert list(box.requests)[-1].fault == "rate_limit"
    box.clock.advance(60)
    assert post(box, VIEWER).status_code == 200


def test_a_limit_may_say_when_to_come_back(box: Sandbox) -> None:
    box.clock.freeze()
    box.faults.add(Fault.scaled_rate_limit(1, window_s=30, retry_after=True))
    post(box, VIEWER)
    assert post(box, VIEWER).headers["retry-after"] == "30"


def test_users_of_a_project_share_its_budget_and_nothing_else(box: Sandbox) -> None:
    for project in ("p", "q"):
        box.state.add_run("e", project, "r")
    other = box.state.add_user("other", entities=["e"]).api_key
    box.faults.add(Fault.scaled_rate_limit(2, window_s=60))
    assert [post(box, RUNS).status_code, post(box, RUNS, other).status_code, post(box, RUNS, other).status_code] == [
        200,
        200,
        429,
    ]
    assert post(box, RUNS, project="q").status_code == 200
    assert [post(box, VIEWER, other).status_code for _ in range(3)] == [200, 200, 429]
    assert post(box, VIEWER).status_code == 200


def test_a_file_stream_counts_against_its_project(box: Sandbox) -> None:
    for project in ("p", "q"):
        box.state.add_run("e", project, "r", state="running")
    box.faults.add(Fault.scaled_rate_limit(1, window_s=60, match=Match(kind="file_stream")))

    def stream(project: str) -> httpx.Response:
        return httpx.post(f"{box.url}/files/e/{project}/r/file_stream", json={}, auth=("api", box.api_key))

    assert [stream("p").status_code, stream("q").status_code] == [200, 200]
    assert stream("p").json() == {"error": "Filestream rate limit exceeded"}


def test_a_dear_query_takes_more_of_the_budget(box: Sandbox) -> None:
    for i in range(100):
        box.state.add_run("e", "p", f"r{i}")
    box.faults.add(Fault.scaled_rate_limit(100, window_s=60))
    left = [1000] + [int(post(box, query).headers["ratelimit-remaining"]) for query in (RUNS, DEAR)]
    assert left[0] - left[1] == 20
    assert left[1] - left[2] == 50
    assert cost_by_rows(Served(runs=0, heavy_fields=0, body_bytes=9)) == 1


def test_the_project_of_a_request_is_read_from_arguments_inputs_and_storage_ids(box: Sandbox) -> None:
    run = box.state.add_run("e", "p", "r")
    given = "mutation M($id: String, $input: CreateRunFilesInput!) "
    assert project_of(VIEWER, {}) is None
    assert project_of("not graphql {", {}) is None
    assert project_of(RUNS, {"entity": "e", "project": "p"}) == "e/p"
    assert project_of('{ model(name: "p", entityName: "e") { id } }', {}) == "e/p"
    files = given + "{ createRunFiles(input: $input) { runID } }"
    assert project_of(files, {"input": {"entityName": "e", "projectName": "p"}}) == "e/p"
    edit = given + "{ upsertBucket(input: {id: $id}) { inserted } }"
    assert project_of(edit, {"id": run.id}) == "e/p"
    assert heavy_fields("{ a: config b: config name history }") == 2
