"""How often an answer asks the lake: once for a page, and not again for what was read of the same commit."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import mirror
from mirror.gateway.addresses import Addresses, signer
from mirror.gateway.context import RequestContext, Shared
from mirror.gateway.engine import Engine
from mirror.gateway.memory import CommitMemory, NewestCommit, Queue, Stamp
from mirror.gateway.seen import SeenRuns
from mirror.gateway.training import Trainings
from mirror.layout import Home
from mirror.run.pending.local import LocalMirror
from mirror.sandbox import Sandbox
from mirror.store.engine.meta import last_commit
from mirror.store.engine.queries import Snapshot
from mirror.wandb_protocol.paging import PageLimits
from tests.mirroring import Mirror

RUNS = 120
BAD_FILTERS = ("not json", "[1]", "7", '{"$nope": 1}', '{"state": {"$nope": 1}}', '{"nothing": 1}', '{"$or": 7}',
               '{"state": {"$in": "x"}}', '{"$not": [1]}', "{")  # fmt: skip
FILTERED = {
    "runs": "runs(filters: $filters) { edges { node { id } } }",
    "count of runs": "runCount(filters: $filters)",
    "sweeps": "sweeps(filters: $filters) { edges { node { id } } }",
}
PAGE = """query Runs($after: String, $first: Int) { project(name: "proj", entityName: "team") { internalId runCount
  runs(first: $first, after: $after) { edges { cursor node { id name displayName projectId config summaryMetrics
  systemMetrics historyKeys fileCount eventsLineCount logLineCount host user { username } } }
  pageInfo { hasNextPage } } } }"""
ONE = """query Run($name: String!) { project(name: "proj", entityName: "team") { run(name: $name) {
  id config summaryMetrics historyKeys fileCount files(names: []) { edges { node { name directUrl } } }
  parquetHistory(liveKeys: ["_step"]) { parquetUrls } } } }"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    with Sandbox.start() as sandbox:
        for number in range(RUNS):
            sandbox.clock.advance(1)
            history = [{"_step": 0, "loss": 1.0}]
            sandbox.state.add_run("team", "proj", f"r{number:03}", config={"lr": number}, history=history)
        place = Mirror(
            url=sandbox.url, api_key=sandbox.api_key, home=Home(tmp_path_factory.mktemp("asked") / "home"),
            sources=("team/proj",),
        )  # fmt: skip
        place.pull()
    return place


class Asking:
    """An engine, and the questions that it asks the lake."""

    def __init__(self, place: Mirror, patch: pytest.MonkeyPatch) -> None:
        self._place = place
        self.questions: list[str] = []
        self.forget()
        rows = Snapshot.rows

        def noted(lake: Snapshot, query: str, parameters: Any = ()) -> Any:
            self.questions.append(query)
            return rows(lake, query, parameters)

        patch.setattr(Snapshot, "rows", noted)

    def forget(self) -> None:
        """Begin anew, with nothing read."""
        self._engine = Engine(LocalMirror(self._place.home))

    def __call__(self, query: str, **variables: Any) -> dict[str, Any]:
        self.questions.clear()
        body = json.dumps({"query": query, "variables": variables}).encode()
        _, answer = self._engine.answer(body, Addresses(base_url="http://here", signer=signer(b"secret")))
        given = json.loads(answer)
        assert "errors" not in given, given
        project: dict[str, Any] = given["data"]["project"]
        return project


@pytest.fixture
def asking(place: Mirror, monkeypatch: pytest.MonkeyPatch) -> Asking:
    return Asking(place, monkeypatch)


def test_a_page_asks_as_often_for_a_hundred_runs_as_for_two(asking: Asking) -> None:
    asking(PAGE, first=2)
    of_two = len(asking.questions)
    asking.forget()
    asking(PAGE, first=100)
    assert len(asking.questions) <= of_two + 1  # the block that is read ahead


def test_only_the_documents_that_are_selected_are_read(asking: Asking) -> None:
    asking('{ project(name: "proj", entityName: "team") { runs(first: 50) { edges { node { id config } } } } }')
    assert any("config_wire" in query for query in asking.questions)
    others = ("summary_wire", "system_metrics_wire", "history_keys")
    assert not [query for query in asking.questions if any(column in query for column in others)]


def test_a_walk_reads_ahead_and_what_was_read_is_not_asked_for_again(asking: Asking) -> None:
    after, seen, asked = None, [], []
    while True:
        runs = asking(PAGE, first=10, after=after)["runs"]
        asked.append(sum("config_wire" in query for query in asking.questions))
        seen += [edge["node"]["name"] for edge in runs["edges"]]
        if not runs["pageInfo"]["hasNextPage"]:
            break
        after = runs["edges"][-1]["cursor"]
    assert seen == [f"r{number:03}" for number in range(RUNS)]
    assert (sum(asked), len(asked)) == (2, 12)  # the first page, and a block with all that follow


def test_a_script_that_asks_about_one_run_again_asks_the_lake_no_more(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stamp, "_SETTLED_S", 0.0)  # the pull of this test was just now
    asking(ONE, name="r007")
    assert asking.questions
    asking(ONE, name="r007")
    assert asking.questions == []


def test_a_queued_edit_is_seen_although_nothing_of_the_lake_changed(
    asking: Asking, place: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stamp, "_SETTLED_S", 0.0)
    named = '{ project(name: "proj", entityName: "team") { run(name: "r009") { displayName } } }'
    before = asking(named)["run"]["displayName"]
    run = mirror.Api(place.home).run("team/proj/r009")
    run.name = f"{before} again"
    run.update()
    assert asking(named)["run"]["displayName"] == f"{before} again"


def test_threads_that_ask_the_same_at_once_ask_it_once_and_a_failure_is_each_ones_own() -> None:
    memory, begun, asked = CommitMemory(), threading.Event(), []

    def slow() -> str:
        asked.append("slow")
        begun.set()
        time.sleep(0.2)
        return "read"

    def failing() -> str:
        asked.append("failing")
        raise KeyError

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(memory.get, "key", slow)
        begun.wait()
        others = [pool.submit(memory.get, "key", slow) for _ in range(2)]
        assert [future.result() for future in (first, *others)] == ["read"] * 3
        assert asked == ["slow"]
        assert all(isinstance(pool.submit(memory.get, "other", failing).exception(), KeyError) for _ in range(2))
    assert memory.get("other", lambda: "well") == "well"


def test_what_was_read_of_a_newer_commit_is_not_kept_for_an_older_one(place: Mirror) -> None:
    local = LocalMirror(place.home)
    newest = NewestCommit(place.home)
    shared = Shared(
        mirror=local, memory=CommitMemory(), newest=newest, queue=Queue(local), seen=SeenRuns(), limits=PageLimits(),
        trainings=Trainings(local),
    )  # fmt: skip
    addresses = Addresses(base_url="http://here", signer=signer(b"secret"))
    with RequestContext(shared, addresses) as now:
        commit = now.commit
    with RequestContext(shared, addresses) as late:
        late.__dict__["commit"] = commit - 1  # as it was known before the last pull came
        assert late.recall("question", last_commit) == commit
        assert late.moved
    with RequestContext(shared, addresses) as late:
        late.__dict__["commit"] = commit - 1
        assert late.recall("question", lambda _: "asked again") == "asked again"


def test_memory_lets_go_of_what_was_not_asked_for_longest() -> None:
    memory = CommitMemory(most_bytes=100)
    for number in range(10):
        memory.get(number, lambda: "read", lambda _: 20)
    assert [memory.get(number, lambda: "again", lambda _: 20) for number in (9, 8, 0)] == ["read", "read", "again"]
    memory.get("large", lambda: "x", lambda _: 30)  # more than a quarter is never kept
    assert memory.get("large", lambda: "y", lambda _: 30) == "y"


@pytest.mark.parametrize("what", FILTERED)
def test_bad_filters_are_refused_alike_whatever_is_wrong_with_them(place: Mirror, what: str) -> None:
    engine = Engine(LocalMirror(place.home))
    addresses = Addresses(base_url="http://127.0.0.1", signer=signer(b"secret"))
    query = f"""query Q($filters: JSONString) {{ project(name: "proj", entityName: "team") {{ {FILTERED[what]} }} }}"""
    for filters in BAD_FILTERS:
        body = json.dumps({"query": query, "variables": {"filters": filters}}).encode()
        status, answer = engine.answer(body, addresses)
        (error,) = json.loads(answer)["errors"]
        assert (status, error["message"].startswith("invalid filters: ")) == (400, True), (filters, error)
