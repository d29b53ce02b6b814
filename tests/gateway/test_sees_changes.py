"""What is queued and what is pulled shows in the next answer; what is not held says so, in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

import mirror
from mirror.layout import Home
from mirror.sandbox import Fault, Match, Sandbox
from tests.gateway.served import Served, served
from tests.mirroring import Mirror

RUNS = """query Runs($p: String!, $filters: JSONString, $order: String, $after: String, $first: Int) {
  project(name: $p, entityName: "team") { runCount(filters: $filters)
    runs(filters: $filters, order: $order, after: $after, first: $first) { totalCount
      edges { cursor node { id name displayName state tags config summaryMetrics updatedAt } }
      pageInfo { hasNextPage endCursor } } } }"""
RUN = """query Run($p: String!, $n: String!) { project(name: $p, entityName: "team") { run(name: $n) {
  id displayName config summaryMetrics
  fileCount files(names: []) { edges { node { name url directUrl sizeBytes } } } } } }"""
DELTA = """query RunsStateDeltaQuery($p: String!, $now: [String!]!, $since: DateTime!) {
  project(name: $p, entityName: "team") { runs(order: "+created_at") {
    delta(currentRuns: $now, lastUpdated: $since) { op index run { name state } } } } }"""
FETCHED_WITH = "`wandb-mirror pull team/bare/b0` fetches it, if its source has"


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox.start() as sandbox:
        for number in range(5):
            sandbox.clock.advance(60)
            sandbox.state.add_run("team", "proj", f"r{number}", config={"lr": number}, summary={"loss": number / 2})
        sandbox.state.add_file("team", "proj", "r0", "notes.txt", b"held bytes")
        sandbox.state.add_file("team", "proj", "r0", "big.bin", b"left out")
        sandbox.state.add_run("team", "bare", "b0", history=[{"_step": 0, "loss": 1.0}])
        yield sandbox


@pytest.fixture(scope="module")
def place(server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    found = Mirror(
        url=server.url, api_key=server.api_key, home=Home(tmp_path_factory.mktemp("changes") / "home"),
        sources=("team/proj",), policy={"files_exclude": ("*.bin",)},
    )  # fmt: skip
    found.pull()
    replace(found, sources=("team/bare",), policy={"history": False, "streams": False}).pull()
    return found


@pytest.fixture(scope="module")
def gateway(place: Mirror) -> Iterator[Served]:
    with served(place.home) as found:
        yield found


def runs(gateway: Served, **variables: Any) -> dict[str, Any]:
    answer = gateway.ask(RUNS, p="proj", **variables)
    assert "errors" not in answer, answer
    found: dict[str, Any] = answer["data"]["project"]["runs"]
    return found


def names(found: dict[str, Any]) -> list[str]:
    return [edge["node"]["name"] for edge in found["edges"]]


def test_a_queued_edit_is_in_the_next_answer_and_in_filters(gateway: Served, place: Mirror) -> None:
    assert names(runs(gateway, filters='{"tags": "keep"}')) == []
    run = mirror.Api(place.home).run("team/proj/r1")
    run.tags.append("keep")
    run.name = "renamed"
    run.config["lr"] = 0.25
    run.summary["loss"] = float("nan")
    run.update()
    (edge,) = runs(gateway, filters='{"tags": "keep"}')["edges"]
    node = edge["node"]
    assert (node["name"], node["displayName"], node["tags"]) == ("r1", "renamed", ["keep"])
    assert '"lr":{"value":0.25' in node["config"]
    assert node["summaryMetrics"] == '{"loss":NaN}'


def test_a_run_and_a_file_that_are_queued_are_there_at_once(gateway: Served, place: Mirror, tmp_path: Path) -> None:
    api = mirror.Api(place.home)
    made = api.create_run(run_id="made", project="proj", entity="team")
    (tmp_path / "new.txt").write_text("queued bytes")
    made.upload_file(str(tmp_path / "new.txt"), root=str(tmp_path))
    assert "made" in names(runs(gateway))
    run = gateway.ask(RUN, p="proj", n="made")["data"]["project"]["run"]
    (file,) = [edge["node"] for edge in run["files"]["edges"]]
    assert (run["fileCount"], file["name"], file["sizeBytes"]) == (1, "new.txt", 12)
    assert httpx.get(file["directUrl"]).text == "queued bytes"
    assert run["id"]


def test_what_a_pull_brings_is_in_the_next_answer(gateway: Served, place: Mirror, server: Sandbox) -> None:
    assert "late" not in names(runs(gateway))
    server.clock.advance(60)
    server.state.add_run("team", "proj", "late", state="running")
    place.pull()
    assert "late" in names(runs(gateway))


def test_a_walk_goes_on_where_it_was_when_runs_come_meanwhile(gateway: Served, place: Mirror, server: Sandbox) -> None:
    first = runs(gateway, order="-created_at", filters='{"name": {"$regex": "^r"}}', first=2)
    assert (names(first), first["pageInfo"]["hasNextPage"], first["totalCount"]) == (["r4", "r3"], True, 5)
    server.clock.advance(60)
    server.state.add_run("team", "proj", "r-new")
    place.pull()
    rest = runs(
        gateway, order="-created_at", filters='{"name": {"$regex": "^r"}}', after=first["edges"][-1]["cursor"], first=9
    )
    assert (names(rest), rest["pageInfo"]["hasNextPage"], rest["totalCount"]) == (["r2", "r1", "r0"], False, 6)


def test_a_page_that_polls_for_changes_is_told_them(gateway: Served) -> None:
    answer = gateway.ask(DELTA, p="proj", now=["gone", "r0"], since="2099-01-01T00:00:00")
    found = answer["data"]["project"]["runs"]["delta"]
    assert found[0] == {"op": "DELETE", "index": 0, "run": None}
    assert {"INSERT"} == {diff["op"] for diff in found[1:]}
    assert "r0" not in {diff["run"]["name"] for diff in found[1:]}
    since_ever = gateway.ask(DELTA, p="proj", now=["r0"], since="2000-01-01T00:00:00")
    (known,) = [diff for diff in since_ever["data"]["project"]["runs"]["delta"] if diff["run"]["name"] == "r0"]
    assert known["op"] == "UPDATE"


def test_bytes_that_are_not_held_say_why_and_what_would_fetch_them(gateway: Served) -> None:
    run = gateway.ask(RUN, p="proj", n="r0")["data"]["project"]["run"]
    urls = {edge["node"]["name"]: edge["node"]["url"] for edge in run["files"]["edges"]}
    assert httpx.get(urls["notes.txt"]).content == b"held bytes"
    lacking = httpx.get(urls["big.bin"])
    assert lacking.status_code == 404
    assert "'big.bin' of team/proj/r0 is not in this mirror: left out" in lacking.text
    assert "wandb-mirror pull team/proj/r0" in lacking.text


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        (
            '{ project(name: "other", entityName: "team") { id } }',
            "the project team/other is not in this mirror; `wandb-mirror pull --source team/other` fetches it",
        ),
        (
            '{ project(name: "proj", entityName: "team") { run(name: "x") { id } } }',
            "the run team/proj/x is not in this mirror; `wandb-mirror pull team/proj/x` fetches it",
        ),
        (
            '{ project(name: "bare", entityName: "team") { run(name: "b0") { history } } }',
            f"the history of team/bare/b0 is not in this mirror; {FETCHED_WITH} history = true",
        ),
    ],
)
def test_what_is_not_mirrored_is_an_error_with_its_command(query: str, sentence: str, gateway: Served) -> None:
    answer = gateway.ask(query)
    assert [error["message"] for error in answer["errors"]] == [sentence]


def test_a_filter_that_does_not_parse_is_refused_as_w_and_b_refuses_it(gateway: Served) -> None:
    wrong = gateway.post({"query": RUNS, "variables": {"p": "proj", "filters": '{"nothing": 1}'}})
    assert (wrong.status_code, "invalid filters" in wrong.json()["errors"][0]["message"]) == (400, True)
    assert "not JSON" in gateway.ask(RUNS, p="proj", filters="{")["errors"][0]["message"]
    assert gateway.ask(RUNS, p="proj", after="bm9uZQ==")["errors"][0]["message"] == "invalid cursor"


def test_a_home_that_holds_nothing_yet_says_so_and_is_read_once_it_does(server: Sandbox, tmp_path: Path) -> None:
    home = Home(tmp_path / "empty")
    home.root.mkdir()
    with served(home, "--until-stdin-ends") as gateway:  # as a daemon serves, whose first pull is still to come
        answer = gateway.ask(RUNS, p="proj")
        assert "nothing is mirrored" in answer["errors"][0]["message"]
        Mirror(url=server.url, api_key=server.api_key, home=home, sources=("team/proj",)).pull()
        assert "r0" in names(runs(gateway))


def test_long_documents_end_a_page_early_and_lose_no_run(server: Sandbox, tmp_path: Path) -> None:
    for number in range(40):
        server.clock.advance(1)
        server.state.add_run("team", "long", f"l{number:02}", config={"text": "x" * 1_000_000})
    place = Mirror(url=server.url, api_key=server.api_key, home=Home(tmp_path / "home"), sources=("team/long",))
    place.pull()
    with served(place.home) as gateway:
        seen: list[str] = []
        after, pages = None, 0
        while True:
            found = gateway.ask(RUNS, p="long", after=after, first=1000)["data"]["project"]["runs"]
            seen += names(found)
            pages += 1
            if not found["pageInfo"]["hasNextPage"]:
                break
            after = found["edges"][-1]["cursor"]
        assert seen == [f"l{number:02}" for number in range(40)]
        assert pages == 2


def test_what_else_a_web_page_asks_of_runs_is_answered(gateway: Served, place: Mirror, server: Sandbox) -> None:
    metadata = b'{"program": "train.py", "args": ["--lr", 1], "cpu_count": 8, "git": {"remote": "r", "commit": "c"}}'
    server.clock.advance(60)
    run = server.state.add_run("team", "proj", "told", state="running", host="box")
    server.state.add_file("team", "proj", "told", "wandb-metadata.json", metadata)
    run.events[:] = [{"_timestamp": 1.0, "system.cpu": 1}, {"_timestamp": 2.0, "system.cpu": 3}]
    place.pull()
    found = gateway.ask(
        """{ project(name: "proj", entityName: "team") { totalRuns runActiveCount(filters: "{\\"name\\": \\"told\\"}")
        run(name: "told") { host running failed storageBytes eventsLineCount eventsTail logLineCount logLines { edges {
        cursor } } runInfo { program args cpuCount gpuCount git { remote commit } } } } }"""
    )
    project = found["data"]["project"]
    assert "errors" not in found
    assert project["runActiveCount"] == 1 < project["totalRuns"]
    assert project["run"] == {
        "host": "box", "running": True, "failed": False, "storageBytes": len(metadata), "eventsLineCount": 2,
        "eventsTail": '["{\\"_timestamp\\":2.0,\\"system.cpu\\":3}"]', "logLineCount": 0, "logLines": None,
        "runInfo": {
            "program": "train.py", "args": ["--lr", "1"], "cpuCount": 8, "gpuCount": None,
            "git": {"remote": "r", "commit": "c"},
        },
    }  # fmt: skip


def test_an_export_whose_bytes_are_missing_is_told_before_its_address_fails(tmp_path: Path) -> None:
    with Sandbox.start() as sandbox:
        sandbox.state.add_run("team", "proj", "r", state="finished", history=[{"_step": 0, "loss": 1.0}])
        place = Mirror(url=sandbox.url, api_key=sandbox.api_key, home=Home(tmp_path / "home"), sources=("team/proj",))
        place.pull()
    for found in place.home.objects.rglob("*"):
        if found.is_file():
            found.unlink()
    exports = 'run(name: "r") { parquetHistory(liveKeys: []) { parquetUrls } }'
    with served(place.home) as gateway:
        answer = gateway.ask(f'{{ project(name: "proj", entityName: "team") {{ {exports} }} }}')
    assert "`wandb-mirror verify` lists all" in answer["errors"][0]["message"]


def test_a_project_that_is_mirrored_in_part_says_so_beside_the_answer(server: Sandbox, tmp_path: Path) -> None:
    narrow = Mirror(
        url=server.url, api_key=server.api_key, home=Home(tmp_path / "home"), sources=("team/proj",),
        policy={"filter": '{"config.lr.value": {"$gte": 3}}'},
    )  # fmt: skip
    narrow.pull()
    log = tmp_path / "said"
    with served(narrow.home, log=log) as gateway:
        answer = gateway.ask(RUNS, p="proj")
        assert gateway.ask(RUNS, p="proj") == answer
    held = len(answer["data"]["project"]["runs"]["edges"])
    count = len(server.state.project("team", "proj").runs)
    assert answer["extensions"] == {"wandbMirror": {"partial": {"team/proj": {"held": held, "server": count}}}}
    assert 0 < held < count
    told = [line for line in log.read_text().splitlines() if line.startswith("note: ")]
    assert told == [
        (
            f"note: team/proj is answered from {held} of the server's {count} runs;"
            " `wandb-mirror status` says what its source leaves out"
        )
    ]


def test_a_project_that_is_mirrored_whole_says_nothing(gateway: Served) -> None:
    assert "extensions" not in gateway.ask(RUNS, p="bare")


def test_an_entity_of_which_nothing_is_mirrored_is_an_error(gateway: Served) -> None:
    for asked in (
        'models(entityName: "nobody") { edges { node { name } } }',
        'entity(name: "nobody") { projects { edges { node { name } } } }',
    ):
        (error,) = gateway.ask(f"{{ {asked} }}")["errors"]
        assert error["message"].startswith("no project of nobody is in this mirror; `wandb-mirror pull --source")


def without_creation(answer: Any) -> Any:
    """One run of a page that does not tell when it was made, and one that tells next to nothing."""
    edges = answer["data"]["project"]["runs"]["edges"]
    for node in (edge["node"] for edge in edges):
        lacking = {"r1": ("createdAt",), "r2": ("createdAt", "heartbeatAt", "displayName", "state", "tags", "user")}
        node |= dict.fromkeys(lacking.get(node["name"], ()))
    return answer


def test_what_the_server_never_told_of_one_run_costs_no_list(server: Sandbox, tmp_path: Path) -> None:
    server.faults.add(Fault.lie(without_creation, match=Match(kind="graphql", operation="MirrorRuns")))
    place = Mirror(url=server.url, api_key=server.api_key, home=Home(tmp_path / "home"))
    place.pull()
    server.faults.clear()
    query = """{ project(name: "proj", entityName: "team") { runs { edges { node {
      id name createdAt heartbeatAt displayName state tags user { name } } } } } }"""
    with served(place.home) as gateway:
        answer = gateway.ask(query)
    nodes = {edge["node"]["name"]: edge["node"] for edge in answer["data"]["project"]["runs"]["edges"]}
    assert set(nodes) >= {f"r{number}" for number in range(5)}
    assert nodes["r1"]["createdAt"] == nodes["r1"]["heartbeatAt"]
    assert nodes["r2"]["createdAt"].startswith("1970-01-01")
