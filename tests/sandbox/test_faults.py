"""Each fault does what it says, as often as it says, to the requests it matches."""

from __future__ import annotations

import contextlib
import gc
import socket
import struct
import threading
import time
from typing import Any

import httpx
import pytest

from mirror.sandbox import Fault, Match, Sandbox

from .conftest import Ask

VIEWER = {"query": "query Viewer { viewer { id } }"}


def post(http: httpx.Client) -> httpx.Response:
    return http.post("/graphql", json=VIEWER)


def drain(answer: httpx.Response, into: bytearray) -> None:
    for chunk in answer.iter_raw():
        into.extend(chunk)


def storage_url(box: Sandbox, body: bytes) -> str:
    box.state.add_run("e", "p", "r")
    return box.state.storage.url(box.state.add_file("e", "p", "r", "f", body).object_key)


def test_a_status_comes_so_many_times_with_its_retry_after(box: Sandbox, http: httpx.Client) -> None:
    box.faults.add(Fault.status(503, retry_after=0.2, times=2))
    first = post(http)
    assert (first.status_code, first.headers["retry-after"]) == (503, "0.2")
    assert [post(http).status_code for _ in range(2)] == [503, 200]


def test_faults_choose_by_kind_operation_path_and_variables(box: Sandbox, http: httpx.Client) -> None:
    box.faults.add(
        Fault.status(500, match=Match(kind="storage")),
        Fault.status(501, match=Match(operation="Other")),
        Fault.status(502, match=Match(path="/nowhere")),
        Fault.status(504, match=Match(variables=lambda variables: variables.get("x") == 1)),
    )
    assert post(http).status_code == 200
    assert http.post("/graphql", json={**VIEWER, "variables": {"x": 1}}).status_code == 504
    assert http.get("/nowhere").status_code == 502
    box.faults.clear()
    assert http.get("/nowhere").status_code == 404


def test_html_and_graphql_errors_look_like_themselves(box: Sandbox, http: httpx.Client) -> None:
    box.faults.add(Fault.html(times=1), Fault.graphql_error("boom", times=1))
    assert post(http).headers["content-type"] == "text/html"
    assert post(http).json() == {"data": None, "errors": [{"message": "boom"}]}


def test_a_poisoned_run_spoils_every_answer_that_shows_it_and_no_other(box: Sandbox, ask: Ask) -> None:
    for i in range(4):
        box.state.add_run("e", "p", f"r{i}")
    box.faults.add(Fault.poisoned_run("r2"))
    page = """query Runs($f: JSONString) {
      project(name: "p", entityName: "e") { runs(filters: $f) { edges { node { id } } } } }"""
    assert "errors" in ask(page)
    assert "errors" not in ask(page, f='{"name": {"$ne": "r2"}}')
    assert "errors" in ask('{ project(name: "p", entityName: "e") { run(name: "r2") { id } } }')
    assert "errors" not in ask('{ project(name: "p", entityName: "e") { run(name: "r1") { id } } }')


def test_a_dropped_connection_did_nothing_and_a_lost_answer_did(box: Sandbox, http: httpx.Client) -> None:
    create = {
        "query": 'mutation Make { upsertBucket(input: {entityName: "e", modelName: "p", name: "r"}) { inserted } }'
    }
    box.faults.add(Fault.drop(times=1))
    with pytest.raises(httpx.TransportError):
        http.post("/graphql", json=create)
    assert ("e", "p") not in box.state.projects
    box.faults.add(Fault.lost_answer(times=1))
    with pytest.raises(httpx.TransportError):
        http.post("/graphql", json=create)
    assert "r" in box.state.project("e", "p").runs
    assert http.post("/graphql", json=create).json()["data"]["upsertBucket"]["inserted"] is False


def test_bodies_are_cut_truncated_and_corrupted(box: Sandbox, bare: httpx.Client) -> None:
    body = bytes(range(256)) * 1000
    url = storage_url(box, body)
    box.faults.add(Fault.drop_mid_body(keep=0.25, times=1))
    received = bytearray()
    with bare.stream("GET", url) as answer:
        assert answer.headers["content-length"] == str(len(body))
        with pytest.raises(httpx.RemoteProtocolError):
            drain(answer, received)
    assert bytes(received) == body[: len(body) // 4]
    box.faults.add(Fault.truncate_body(keep=0.5, times=1))
    assert bare.get(url).content == body[: len(body) // 2]
    box.faults.add(Fault.corrupt_body(times=1))
    corrupt = bare.get(url).content
    assert len(corrupt) == len(body)
    assert sum(a != b for a, b in zip(corrupt, body, strict=True)) == 1
    assert bare.get(url).content == body


def test_expired_urls_answer_403_xml(box: Sandbox, bare: httpx.Client) -> None:
    url = storage_url(box, b"x")
    box.faults.add(Fault.expired_urls(times=1))
    assert bare.get(url).status_code == 403
    assert bare.get(url).status_code == 200


def test_the_rate_limit_announces_itself_and_opens_with_the_clock(box: Sandbox, http: httpx.Client) -> None:
    box.clock.freeze()
    box.faults.add(Fault.rate_limit(2, window_s=60))
    answers = [post(http) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert float(answers[2].headers["retry-after"]) == pytest.approx(60)
    box.clock.advance(60)
    assert post(http).status_code == 200


def test_latency_delays_and_other_faults_still_apply(box: Sandbox, http: httpx.Client) -> None:
    box.faults.add(Fault.latency(0.15, times=1), Fault.status(500, times=1))
    started = time.perf_counter()
    assert post(http).status_code == 500
    assert time.perf_counter() - started >= 0.15


def test_a_lie_changes_what_the_answer_says(box: Sandbox, ask: Ask) -> None:
    def wrong(answer: dict[str, Any]) -> None:
        answer["data"]["viewer"]["id"] = 7

    box.faults.add(Fault.lie(wrong, times=1))
    assert ask("{ viewer { id } }")["data"]["viewer"]["id"] == 7


def test_an_outage_refuses_everyone_and_ends_on_the_same_port(box: Sandbox, http: httpx.Client) -> None:
    post(http)
    with box.outage(), pytest.raises(httpx.TransportError):
        post(http)
    for _ in range(3):
        with box.outage(), pytest.raises(httpx.ConnectError):
            httpx.get(box.url)
        assert post(http).status_code == 200


def test_a_connection_that_comes_as_the_server_goes_is_closed_with_it(box: Sandbox) -> None:
    over = threading.Event()
    place = ("127.0.0.1", httpx.URL(box.url).port)

    def connect() -> None:
        while not over.is_set():
            with socket.socket() as client, contextlib.suppress(OSError):
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # leaves no port busy
                client.connect(place)

    clients = [threading.Thread(target=connect) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        for _ in range(30):
            with box.outage():
                pass
    finally:
        over.set()
        for client in clients:
            client.join()
    gc.collect()  # one that was left open warns here, and a warning is an error


def test_the_recorder_holds_what_was_asked(box: Sandbox, http: httpx.Client) -> None:
    post(http)
    box.faults.add(Fault.drop(times=1))
    with pytest.raises(httpx.TransportError):
        post(http)
    first, second = box.requests
    assert (first.operation, first.kind, first.status, first.authorized) == ("Viewer", "graphql", 200, True)
    assert first.bytes_in > 0
    assert first.bytes_out > 0
    assert first.host == box.url.removeprefix("http://")
    assert (second.status, second.fault) == (0, "drop")
    assert box.api_key not in repr(list(box.requests))
    assert (box.requests.count("Viewer"), box.requests.count(kind="storage")) == (2, 0)
    box.requests.clear()
    assert len(box.requests) == 0
