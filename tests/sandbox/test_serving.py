"""What the server does over plain HTTP: authentication, paging, features, signed URLs."""

from __future__ import annotations

import itertools
import re
import socket
import struct
import time
from typing import Any

import httpx
import pytest

from mirror.sandbox import Fault, Sandbox
from mirror.sandbox.resolvers import TABLES
from mirror.sandbox.resolvers.unserved import UNSERVED
from mirror.sandbox.schema.endpoint import schema

from .conftest import Ask

RUNS = """
query Runs($filters: JSONString, $order: String, $first: Int, $after: String) {
  project(name: "p", entityName: "e") {
    runCount(filters: $filters)
    runs(filters: $filters, order: $order, first: $first, after: $after) {
      edges { cursor node { id name displayName state tags createdAt heartbeatAt config summaryMetrics
        historyKeys historyLineCount user { name username } projectId notes group jobType sweepName } }
      pageInfo { endCursor hasNextPage }
    }
  }
}
"""


def walk(ask: Ask, **variables: Any) -> list[str]:
    """Names of all runs, page by page."""
    names: list[str] = []
    after = None
    for _ in itertools.count():
        runs = ask(RUNS, after=after, **variables)["data"]["project"]["runs"]
        names += [edge["node"]["name"] for edge in runs["edges"]]
        if not runs["pageInfo"]["hasNextPage"]:
            return names
        after = runs["edges"][-1]["cursor"]
    raise AssertionError


def test_the_viewer_is_the_owner_of_the_key_and_nobody_without_one(box: Sandbox, http: httpx.Client) -> None:
    query = {"query": "{ viewer { username entity } }"}
    assert http.post("/graphql", json=query).json()["data"]["viewer"] == {"username": "sandy", "entity": "sandbox-team"}
    assert httpx.post(f"{box.url}/graphql", json=query).json() == {"data": {"viewer": None}}
    wrong = httpx.post(f"{box.url}/graphql", json=query, auth=("api", "x" * 40))
    assert wrong.status_code == 401
    assert wrong.json()["errors"][0]["message"]
    assert len(box.api_key) == 40


def test_pages_walk_every_run_once_in_a_stable_order(box: Sandbox, ask: Ask) -> None:
    for i in range(25):
        box.state.add_run("e", "p", f"r{i:02d}", created_at="2024-01-01T00:00:00")
    expected = [f"r{i:02d}" for i in range(25)]
    assert walk(ask, first=4) == expected
    assert walk(ask, first=4, order="-created_at") == expected[::-1]


def test_a_run_made_or_deleted_during_a_walk_shifts_no_other_run(box: Sandbox, ask: Ask) -> None:
    for i in range(10):
        box.state.add_run("e", "p", f"r{i}", created_at=f"2024-01-{i + 10}T00:00:00")
    first = ask(RUNS, first=5)["data"]["project"]["runs"]
    box.state.delete_run("e", "p", "r4")
    box.state.add_run("e", "p", "early", created_at="2024-01-01T00:00:00")
    rest = ask(RUNS, first=50, after=first["edges"][-1]["cursor"])["data"]["project"]["runs"]
    assert [edge["node"]["name"] for edge in rest["edges"]] == [f"r{i}" for i in range(5, 10)]


@pytest.mark.parametrize("mode", ["cap", "error"])
def test_a_page_over_the_limit_is_cut_or_refused(mode: Any) -> None:
    with Sandbox.start(page_limit=3, page_limit_mode=mode) as box:
        for i in range(5):
            box.state.add_run("e", "p", f"r{i}")
        body = {"query": RUNS, "variables": {"first": 100}}
        answer = httpx.post(f"{box.url}/graphql", json=body, auth=("api", box.api_key)).json()
    if mode == "cap":
        assert len(answer["data"]["project"]["runs"]["edges"]) == 3
        assert answer["data"]["project"]["runs"]["pageInfo"]["hasNextPage"]
    else:
        assert "at most 3" in answer["errors"][0]["message"]


def test_bad_filters_and_cursors_are_graphql_errors(ask: Ask, box: Sandbox) -> None:
    box.state.add_project("e", "p")
    assert "unknown operator" in ask(RUNS, filters='{"$what": 1}')["errors"][0]["message"]
    assert "not JSON" in ask(RUNS, filters="{")["errors"][0]["message"]
    assert "invalid cursor" in ask(RUNS, after="???")["errors"][0]["message"]


def test_a_listing_of_twenty_thousand_runs_is_quick(box: Sandbox, ask: Ask) -> None:
    for i in range(20_000):
        box.state.add_run("e", "p", f"r{i}", config={"lr": i}, summary={"loss": 1.0}, created_at="2024-01-01T00:00:00")
    started = time.perf_counter()
    assert len(walk(ask, first=1000)) == 20_000
    assert time.perf_counter() - started < 20  # about 4 s where it was written; the old quadratic way took minutes


def test_large_answers_are_compressed_for_those_who_accept_it(box: Sandbox, http: httpx.Client) -> None:
    for i in range(50):
        box.state.add_run("e", "p", f"r{i}")
    packed = http.post("/graphql", json={"query": RUNS})
    plain = http.post("/graphql", json={"query": RUNS}, headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.json() == plain.json()


def test_features_are_a_setting_and_an_old_server_lacks_the_field(box: Sandbox, ask: Ask) -> None:
    query = {"query": "{ serverInfo { features { name isEnabled } } }"}
    listed = {feature["name"] for feature in ask(query["query"])["data"]["serverInfo"]["features"]}
    assert "MARK_RUN_FILES_UPLOADED" in listed
    with Sandbox.start(features={"ONLY"}) as other:
        answer = httpx.post(f"{other.url}/graphql", json=query).json()
        assert answer["data"]["serverInfo"]["features"] == [{"name": "ONLY", "isEnabled": True}]
    with Sandbox.start(legacy=True) as old:
        refused = httpx.post(f"{old.url}/graphql", json=query)
        assert refused.json()["errors"][0]["message"].startswith('Cannot query field "features" on type "ServerInfo".')


def test_private_projects_are_null_to_outsiders(box: Sandbox) -> None:
    box.state.add_project("closed", "p", private=True)
    outsider = box.state.add_user("outsider")
    member = box.state.add_user("member", entities=["closed"])
    query = {"query": '{ project(name: "p", entityName: "closed") { name } }'}

    def seen(key: str) -> Any:
        return httpx.post(f"{box.url}/graphql", json=query, auth=("api", key)).json()["data"]["project"]

    assert seen(outsider.api_key) is None
    assert seen(member.api_key) == {"name": "p"}


def test_times_have_no_zone_and_the_clock_moves_them(box: Sandbox, ask: Ask) -> None:
    run = box.state.add_run("e", "p", "r", state="running")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", run.created_at)
    before = run.heartbeat_at
    box.clock.advance(3600)
    box.state.edit_run("e", "p", "r", tags=["x"])
    assert run.heartbeat_at == before
    box.state.log_rows("e", "p", "r", [{"loss": 1}])
    assert run.heartbeat_at is not None
    assert before is not None
    assert run.heartbeat_at > before


def test_wire_texts_are_served_as_they_are(box: Sandbox, ask: Ask) -> None:
    box.state.add_run("e", "p", "r", config_text='{"broken', summary_text='{"a": NaN, "b": 123456789012345678901234}')
    (edge,) = ask(RUNS)["data"]["project"]["runs"]["edges"]
    assert edge["node"]["config"] == '{"broken'
    assert edge["node"]["summaryMetrics"] == '{"a": NaN, "b": 123456789012345678901234}'


def test_live_rows_are_floats_and_exports_come_in_changing_order(box: Sandbox, ask: Ask) -> None:
    rows = [{"_step": i, "loss": i} for i in range(20)]
    box.state.add_run("e", "p", "r", history=rows, exported=10, parts=5, state="running")
    query = """{ project(name: "p", entityName: "e") { run(name: "r") {
      parquetHistory(liveKeys: ["_step"]) { parquetUrls liveData } } } }"""
    answers = [ask(query)["data"]["project"]["run"]["parquetHistory"] for _ in range(6)]
    assert answers[0]["liveData"] == [{"_step": float(i)} for i in range(10, 20)]
    assert isinstance(answers[0]["liveData"][0]["_step"], float)
    orders = {tuple(url.partition("?")[0] for url in answer["parquetUrls"]) for answer in answers}
    assert len(orders) > 1
    assert len({frozenset(order) for order in orders}) == 1


FILES = """{ project(name: "p", entityName: "e") { run(name: "r") {
  files { edges { node { name url(upload: false) directUrl sizeBytes md5 } } } } } }"""


def file_of(ask: Ask) -> dict[str, Any]:
    found: dict[str, Any] = ask(FILES)["data"]["project"]["run"]["files"]["edges"][0]["node"]
    return found


def test_signed_urls_serve_ranges_and_expire(box: Sandbox, ask: Ask, bare: httpx.Client) -> None:
    box.state.add_run("e", "p", "r", files={"../odd name%.bin": bytes(range(100))})
    url = file_of(ask)["directUrl"]
    assert url.startswith("http://localhost:")
    assert bare.get(url).content == bytes(range(100))
    assert bare.head(url).headers["content-length"] == "100"
    part = bare.get(url, headers={"range": "bytes=90-"})
    assert (part.status_code, part.content) == (206, bytes(range(90, 100)))
    assert part.headers["content-range"] == "bytes 90-99/100"
    assert bare.get(url, headers={"range": "bytes=-5"}).content == bytes(range(95, 100))
    assert bare.get(url, headers={"range": "bytes=100-"}).status_code == 416
    assert bare.get(url, headers={"range": "bytes=5-", "if-range": '"other"'}).status_code == 200
    assert bare.get(url.replace("Signature=", "Signature=0")).status_code == 403
    assert bare.put(url, content=b"x").status_code == 403
    box.clock.advance(3601)
    expired = bare.get(url)
    assert expired.status_code == 403
    assert b"<Code>ExpiredToken</Code>" in expired.content


def test_a_file_url_needs_the_key_and_redirects_off_the_base_host(
    box: Sandbox, ask: Ask, http: httpx.Client, bare: httpx.Client
) -> None:
    box.state.add_project("e", "p", private=True)
    box.state.add_run("e", "p", "r", files={"a": b"body"})
    url = file_of(ask)["url"]
    assert url.startswith(box.url)
    assert bare.get(url).status_code == 401
    redirect = http.get(url)
    assert redirect.status_code == 302
    assert http.get(url, follow_redirects=True).content == b"body"
    assert box.requests.leaks() == []
    http.get(redirect.headers["location"])
    assert len(box.requests.leaks()) == 1


def test_an_upload_replaces_itself_and_registers(box: Sandbox, ask: Ask, bare: httpx.Client) -> None:
    box.state.add_run("e", "p", "r")
    create = """mutation { createRunFiles(input: {entityName: "e", projectName: "p", runName: "r", files: ["a/b"]}) {
      runID uploadHeaders files { name uploadUrl } } }"""
    for body in (b"one", b"second"):
        answer = ask(create)["data"]["createRunFiles"]
        assert answer["runID"] == box.state.run("e", "p", "r").id
        assert bare.put(answer["files"][0]["uploadUrl"], content=body).is_success
    assert (file_of(ask)["name"], file_of(ask)["sizeBytes"]) == ("a/b", 6)


def test_an_announced_file_is_not_listed_before_its_bytes(box: Sandbox, ask: Ask) -> None:
    box.state.announce_file(box.state.add_run("e", "p", "r"), "later")
    assert ask(FILES)["data"]["project"]["run"]["files"]["edges"] == []


@pytest.mark.parametrize("name", sorted(UNSERVED))
def test_what_is_not_served_says_so(ask: Ask, name: str) -> None:
    resolver = schema().get_type("Mutation").fields[name].resolve  # type: ignore[union-attr]
    with pytest.raises(Exception, match=f"{name} is not served by the sandbox"):
        resolver(None, None)


def test_every_mutation_is_either_served_or_listed_as_unserved() -> None:
    served = {path.partition(".")[2] for table in TABLES for path in table if path.startswith("Mutation.")}
    assert served == set(schema().get_type("Mutation").fields)  # type: ignore[union-attr]


def test_a_request_that_is_not_graphql_is_a_400(http: httpx.Client) -> None:
    assert http.post("/graphql", content=b"not json").status_code == 400
    assert http.post("/graphql", json={"query": "{ nope }"}).status_code == 400
    assert http.get("/nowhere").status_code == 404


def test_a_taken_port_is_an_error_and_not_a_hang(box: Sandbox) -> None:
    with pytest.raises(OSError, match="in use"):
        Sandbox.start(port=box.port)


def test_a_client_that_comes_back_by_the_same_port_leaves_no_connection_unclosed(box: Sandbox) -> None:
    """The first breaks off while further requests wait unread: nothing tells the server, and it closes both."""
    box.faults.add(Fault.latency(2.0, times=1))
    with socket.socket() as first, socket.socket() as second:
        for client in (first, second):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind(first.getsockname() if client is second else ("127.0.0.1", 0))  # nobody else gets it meanwhile
        first.connect(("127.0.0.1", box.port))
        first.sendall(b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}" * 3000)
        time.sleep(0.2)
        first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        first.close()
        second.connect(("127.0.0.1", box.port))
        second.sendall(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
        assert second.recv(12) == b"HTTP/1.1 404"
        assert len(box._transports) == 2
    box.stop()
    assert not box._transports
