"""Fields, listings and mutations of runs that W&B's own web pages use."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from mirror.sandbox import Sandbox

from .conftest import Ask

LISTED = """
query Runs($filters: JSONString, $order: String, $names: [String], $first: Int, $last: Int, $before: String) {
  project(name: "p", entityName: "e") {
    runs(filters: $filters, order: $order, names: $names, first: $first, last: $last, before: $before) {
      totalCount totalCountApprox { min max } historyKeys
      edges { cursor node { name updatedAt } } pageInfo { hasPreviousPage hasNextPage startCursor } } } }
"""
DELTA = """
query Delta($current: [String!]!, $since: DateTime!, $first: Int) {
  project(name: "p", entityName: "e") { runs(first: $first, order: "+created_at") {
    delta(currentRuns: $current, lastUpdated: $since) { op index run { name tags } } } } }
"""


def listed(ask: Ask, **variables: Any) -> dict[str, Any]:
    runs: dict[str, Any] = ask(LISTED, **variables)["data"]["project"]["runs"]
    return runs


def names(runs: dict[str, Any]) -> list[str]:
    return [edge["node"]["name"] for edge in runs["edges"]]


def make_runs(box: Sandbox, count: int = 5) -> None:
    for i in range(count):
        box.state.add_run("e", "p", f"r{i}", created_at=f"2024-01-0{i + 1}T00:00:00", history=[{"loss": i}])


def test_edits_and_heartbeats_move_updated_at_and_listings_follow(box: Sandbox, ask: Ask) -> None:
    box.clock.freeze()
    make_runs(box)
    for i in (3, 1):
        box.clock.advance(10)
        box.state.edit_run("e", "p", f"r{i}", tags=["x"])
    box.clock.advance(10)
    box.state.log_rows("e", "p", "r4", [{"loss": 9}])
    runs = listed(ask, order="-updatedAt")
    assert names(runs)[:3] == ["r4", "r1", "r3"]
    since = runs["edges"][1]["node"]["updatedAt"]
    assert names(listed(ask, filters=json.dumps({"updatedAt": {"$gte": since}}))) == ["r1", "r4"]
    assert names(listed(ask, order="-updated_at", first=1)) == ["r4"]


def test_where_edits_leave_updated_at_alone_heartbeats_still_move_it() -> None:
    with Sandbox.start(updated_at_moves=False) as box:
        run = box.state.add_run("e", "p", "r")
        before = run.updated_at
        box.clock.advance(60)
        box.state.edit_run("e", "p", "r", notes="new")
        assert run.updated_at == before
        box.state.log_rows("e", "p", "r", [{"loss": 1}])
        assert run.updated_at > before


def test_a_page_tells_the_whole_count_and_walks_both_ways(box: Sandbox, ask: Ask) -> None:
    make_runs(box)
    runs = listed(ask, last=2)
    assert names(runs) == ["r3", "r4"]
    assert (runs["totalCount"], runs["totalCountApprox"]) == (5, {"min": 5, "max": 5})
    assert runs["historyKeys"]["keys"]["loss"]["typeCounts"] == [{"type": "number", "count": 5}]
    assert runs["pageInfo"]["hasPreviousPage"]
    earlier = listed(ask, last=2, before=runs["pageInfo"]["startCursor"])
    assert names(earlier) == ["r1", "r2"]
    assert names(listed(ask, names=["r4", "r0", "nobody"])) == ["r0", "r4"]


def test_a_delta_tells_what_came_went_and_changed(box: Sandbox, ask: Ask) -> None:
    box.clock.freeze()
    make_runs(box, 4)
    since = box.state.now_text()
    box.clock.advance(5)
    box.state.delete_run("e", "p", "r1")
    box.state.edit_run("e", "p", "r2", tags=["new"])
    diffs = ask(DELTA, current=["r0", "r1", "r2"], since=since, first=10)["data"]["project"]["runs"]["delta"]
    assert diffs == [
        {"op": "DELETE", "index": 1, "run": None},
        {"op": "UPDATE", "index": 1, "run": {"name": "r2", "tags": ["new"]}},
        {"op": "INSERT", "index": 2, "run": {"name": "r3", "tags": []}},
    ]
    nothing = ask(DELTA, current=["r0", "r2", "r3"], since=box.state.now_text(), first=10)
    assert nothing["data"]["project"]["runs"]["delta"] == []


def test_a_run_tells_its_machine_its_sweep_and_parts_of_its_config(box: Sandbox, ask: Ask) -> None:
    metadata = {"program": "train.py", "args": ["--lr", "1"], "cpu_count": 8, "git": {"commit": "abc", "remote": "r"}}
    box.state.add_sweep("e", "p", "sw")
    box.state.add_run(
        "e",
        "p",
        "r",
        host="node1",
        sweep="sw",
        config={"lr": 1, "model": {"depth": 2}},
        summary={"loss": 1, "_runtime": 12.5, "eval": {"acc": 0.5}},
        files={"wandb-metadata.json": json.dumps(metadata).encode(), "a": b"12345"},
    )
    run = ask("""{ project(name: "p", entityName: "e") { run(name: "r") {
      host sweep { name } computeSeconds storageBytes pendingUpdates userId deletedAt projectId exitcode
      runInfo { program args cpuCount git { commit remote } }
      config(keys: ["lr"]) summaryMetrics(keys: ["eval.acc", "gone"]) } } }""")["data"]["project"]["run"]
    assert (run["host"], run["sweep"], run["computeSeconds"]) == ("node1", {"name": "sw"}, 12.5)
    assert run["storageBytes"] == len(json.dumps(metadata)) + 5
    assert run["runInfo"] == {
        "program": "train.py",
        "args": ["--lr", "1"],
        "cpuCount": 8,
        "git": {"commit": "abc", "remote": "r"},
    }
    assert json.loads(run["config"]) == {"lr": {"value": 1, "desc": None}}
    assert json.loads(run["summaryMetrics"]) == {"eval.acc": 0.5}


def test_a_project_counts_over_its_runs(box: Sandbox, ask: Ask) -> None:
    for i in range(3):
        box.state.add_run("e", "p", f"r{i}", config={"lr": i % 2}, tags=["all", f"t{i}"], files={"f": b"123"})
    box.state.add_run("e", "p", "live", state="running")
    project = ask("""{ project(name: "p", entityName: "e") { totalRuns runActiveCount runCount storageBytes lastActive
      updatedAt tagCounts { name count } valueCounts(keyPath: "config.lr")
      runKeySuggestions(keyPath: "config.lr") { value count } } }""")["data"]["project"]
    assert (project["totalRuns"], project["runActiveCount"], project["storageBytes"]) == (4, 1, 9)
    assert project["tagCounts"][0] == {"name": "all", "count": 3}
    assert json.loads(project["valueCounts"]) == {"0": 2, "1": 1}
    assert project["runKeySuggestions"][0] == {"value": "0", "count": 2}
    assert project["lastActive"] is not None


def test_projects_entities_and_a_users_runs_are_listed(box: Sandbox, ask: Ask) -> None:
    box.state.add_run("e", "p", "r")
    box.state.add_run("f", "q", "s")
    data = ask("""{ serverInfo { pollingOK frontendHost messageOfTheDay }
      projects(entityName: "e") { edges { node { name } } } entities { edges { node { name } } }
      viewer { projects { edges { node { name } } } runs(first: 5) { edges { node { name } } } } }""")["data"]
    assert data["serverInfo"] == {"pollingOK": True, "frontendHost": box.url, "messageOfTheDay": None}
    assert [edge["node"]["name"] for edge in data["projects"]["edges"]] == ["p"]
    assert {"e", "f"} <= {edge["node"]["name"] for edge in data["entities"]["edges"]}
    assert {edge["node"]["name"] for edge in data["viewer"]["projects"]["edges"]} == {"p", "q"}
    assert {edge["node"]["name"] for edge in data["viewer"]["runs"]["edges"]} == {"r", "s"}


def test_tags_are_added_and_removed_without_replacing_the_others(box: Sandbox, ask: Ask) -> None:
    runs = [box.state.add_run("e", "p", f"r{i}", tags=["keep", "old"]) for i in range(3)]
    modify = """mutation Modify($input: ModifyRunsInput!) { modifyRuns(input: $input) { runs { name tags } } }"""
    given = {"entityName": "e", "projectName": "p", "addTags": ["new"], "removeTags": ["old"]}
    changed = ask(modify, input={**given, "ids": [runs[0].id]})["data"]["modifyRuns"]["runs"]
    assert changed == [{"name": "r0", "tags": ["keep", "new"]}]
    assert runs[1].tags == ["keep", "old"]
    ask(modify, input={**given, "filters": json.dumps({"name": {"$in": ["r1", "r2"]}})})
    assert [run.tags for run in runs] == [["keep", "new"]] * 3


def test_deleted_runs_come_back_and_deleting_twice_is_no_error(box: Sandbox, ask: Ask) -> None:
    run = box.state.add_run("e", "p", "r", files={"a": b"body"})
    delete = """mutation Delete($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }"""
    for _ in range(2):
        assert "errors" not in ask(delete, id=run.id)
        assert box.state.project("e", "p").runs == {}
    assert ask(delete, id="UnVuOnYxOm5vYm9keQ==")["errors"][0]["message"] == "run not found"
    where = {"entityName": "e", "projectName": "p", "filters": '{"name": "r"}'}
    undelete = "mutation Undo($input: UndeleteRunsInput!) { undeleteRuns(input: $input) { clientMutationId } }"
    assert "errors" not in ask(undelete, input=where)
    assert box.state.run("e", "p", "r") is run
    assert box.state.bucket.get(run.files["a"].object_key) == b"body"
    batch = "mutation Drop($input: DeleteRunsInput!) { deleteRuns(input: $input) { errors } }"
    assert ask(batch, input=where)["data"]["deleteRuns"] == {"errors": None}
    assert box.state.project("e", "p").runs == {}
    again = box.state.add_run("e", "p", "r")  # made again under its id
    assert again.id != run.id
    ask(undelete, input=where)
    assert box.state.run("e", "p", "r") is again


def test_a_sweep_is_deleted_with_or_without_its_runs(box: Sandbox, ask: Ask) -> None:
    sweeps = [box.state.add_sweep("e", "p", name) for name in ("one", "two")]
    for sweep in sweeps:
        box.state.add_run("e", "p", f"of-{sweep.name}", sweep=sweep.name)
    delete = """mutation Delete($input: DeleteSweepInput!) { deleteSweep(input: $input) { affectedRuns } }"""
    assert ask(delete, input={"id": sweeps[0].id, "deleteRuns": False})["data"]["deleteSweep"] == {"affectedRuns": 1}
    assert ask(delete, input={"id": sweeps[1].id, "deleteRuns": True})["data"]["deleteSweep"] == {"affectedRuns": 1}
    assert set(box.state.project("e", "p").runs) == {"of-one"}
    assert "errors" in ask(delete, input={"id": sweeps[0].id, "deleteRuns": False})


def test_a_server_without_create_run_files_gives_upload_urls_for_names(bare: httpx.Client) -> None:
    with Sandbox.start(age="2021") as box:
        box.state.add_run("e", "p", "r", files={"old": b"1"})
        query = """query Upload($names: [String]) { project(name: "p", entityName: "e") { run(name: "r") {
          files(names: $names) { uploadHeaders edges { node { name url(upload: true) uploadUrl } } } } } }"""
        body = {"query": query, "variables": {"names": ["new/file", "old"]}}
        outsider = httpx.post(f"{box.url}/graphql", json=body).json()["data"]["project"]["run"]["files"]
        assert [edge["node"]["name"] for edge in outsider["edges"]] == ["old"]
        answer = httpx.post(f"{box.url}/graphql", json=body, auth=("api", box.api_key)).json()
        files = answer["data"]["project"]["run"]["files"]
        reading = """query Read($upload: Boolean = false) { project(name: "p", entityName: "e") { run(name: "r") {
          files(names: ["nobody's"]) { edges { node { url(upload: $upload) } } } } } }"""
        assert httpx.post(f"{box.url}/graphql", json={"query": reading}, auth=("api", box.api_key)).json() == {
            "data": {"project": {"run": {"files": {"edges": []}}}}
        }
        assert files["uploadHeaders"] == ["X-Sandbox-Upload:run-file"]
        assert [edge["node"]["name"] for edge in files["edges"]] == ["new/file", "old"]
        assert not box.state.run("e", "p", "r").files["new/file"].listed
        assert bare.put(files["edges"][0]["node"]["url"], content=b"body").is_success
        assert box.state.run("e", "p", "r").files["new/file"].listed


def test_a_public_project_is_read_without_a_key(box: Sandbox, bare: httpx.Client) -> None:
    box.state.add_run("e", "open", "r", files={"a": b"body"}, history=[{"loss": 1}])
    query = """{ project(name: "open", entityName: "e") { runs { edges { node { name
      files { edges { node { url directUrl } } } parquetHistory(liveKeys: ["_step"]) { parquetUrls } } } } } }"""
    answer = bare.post(f"{box.url}/graphql", json={"query": query}).json()
    run = answer["data"]["project"]["runs"]["edges"][0]["node"]
    (file,) = run["files"]["edges"]
    assert bare.get(file["node"]["url"], follow_redirects=True).content == b"body"
    assert bare.get(run["parquetHistory"]["parquetUrls"][0]).status_code == 200


@pytest.mark.parametrize("tags", [["a", None], []])
def test_null_tags_are_taken_and_left_out(box: Sandbox, ask: Ask, tags: list[str | None]) -> None:
    run = box.state.add_run("e", "p", "r", tags=["before"])
    upsert = (
        """mutation Up($id: String, $tags: [String]) { upsertBucket(input: {id: $id, tags: $tags}) { inserted } }"""
    )
    assert "errors" not in ask(upsert, id=run.id, tags=tags)
    assert run.tags == [tag for tag in tags if tag is not None]
