"""What nobody may make of the gateway: work, bodies and connections without an end, and what is told."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from graphql import DocumentNode, build_schema, parse

from mirror.gateway import watch
from mirror.gateway.addresses import Addresses, signer
from mirror.gateway.cost import cost_of
from mirror.gateway.engine import Engine
from mirror.gateway.http.connections import MOST_CONNECTIONS
from mirror.layout import Home
from mirror.run.pending.local import LocalMirror
from mirror.sandbox import Sandbox
from mirror.wandb_protocol.documents import checked_document
from mirror.wandb_protocol.errors import RequestRefused
from tests.gateway.served import Served, resident_bytes, served
from tests.mirroring import Mirror

VIEWER = {"query": "{ viewer { username } }"}
NESTED = '{ project(name: "p", entityName: "e") ' + '{ run(name: "r") { project ' * 30 + "{ id }" + " } }" * 30 + " }"
DOUBLING = "{ ...f0 } " + " ".join(
    f"fragment f{number} on Query {{ a: viewer {{ ...f{number + 1} }} b: viewer {{ ...f{number + 1} }} }}"
    for number in range(30)
)
DOCUMENTS = {
    "many aliases": ("{ " + " ".join(f"a{n}: viewer {{ id }}" for n in range(1600)) + " }", "too large"),
    "many tokens": ("{ viewer { " + "id " * 50_000 + "} }", "tokens"),
    "deep": (NESTED, "too deep"),
    "deeper than a parser goes": ("{ a " * 5000 + "}" * 5000, "nest"),
    "fragments that double": (DOUBLING + "fragment f30 on Query { viewer { id } }", "too large"),
    "pages of pages": (
        """{ project(name: "local proj", entityName: "contract-team") { runs(first: 1000) { edges { node {
        files(first: 1000) { edges { node { id name sizeBytes } } } } } } } }""",
        "ask for smaller pages",
    ),
    "histories of pages": (
        '{ project(name: "local proj", entityName: "contract-team") { runs(first: 100) { edges { node { '
        + " ".join(f"h{number}: history(samples: 100000)" for number in range(200))
        + " } } } } }",
        "ask for smaller pages",
    ),
    "a long text": ("{ viewer { id } } # " + "x" * 2_000_000, "too long"),
    "a cycle of fragments": ("{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }", "Cannot spread"),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_without_bounds_is_refused_in_one_sentence_and_soon(name: str, gateway: Served) -> None:
    text, sentence = DOCUMENTS[name]
    began = time.monotonic()
    answer = gateway.post({"query": text})
    assert time.monotonic() - began < 10
    assert answer.status_code == 400
    message = answer.json()["errors"][0]["message"]
    assert sentence in message
    assert len(message) < 2000


@pytest.mark.parametrize(("aliases", "is_located"), [(10, True), (1_000, False)])
def test_errors_of_a_long_document_cost_no_pass_over_it_each(aliases: int, is_located: bool) -> None:
    text = " ".join(f"{'k' * 700}{number}: name" for number in range(aliases))
    document = checked_document(build_schema("type Query { name: String }"), f"{{ {text} }}")
    assert isinstance(document, DocumentNode)
    assert (document.definitions[0].loc is not None) == is_located  # by which each error counts its line


def test_sizes_of_pages_that_variables_give_count_too(gateway: Served) -> None:
    query = """query Q($n: Int) { project(name: "local proj", entityName: "contract-team") { runs(first: $n) { edges {
      node { files(first: $n) { edges { node { id name sizeBytes } } } } } } } }"""
    assert gateway.post({"query": query, "variables": {"n": 1000}}).status_code == 400
    assert "errors" not in gateway.ask(query, n=10)


SPECS = ('{"samples": 1000}', '{"samples": 2000}', "{", "[]", '{"samples": 10000000000}')


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("{ run { history(samples: $n) } }", 70_001),
        ("{ run { history } }", 501),
        ("{ run { events(samples: 20) } }", 21),
        ("{ run { sampledHistory(specs: $specs) } }", 1_003_502),
        ('{ run { sampledHistory(specs: ["{}", $text]) } }', 1501),
        ("{ run { logLines { edges { node { line } } } } }", 30_002),
        ("{ run { files(first: 100) { edges { node { id } } } } }", 302),
        ("{ run { config historyKeys } }", 21),
    ],
)
def test_what_a_field_may_answer_is_counted(text: str, values: int) -> None:
    variables = {"n": 70_000, "specs": list(SPECS), "text": SPECS[0]}
    assert cost_of(parse(text), variables).values == values


def test_a_document_that_goes_on_is_ended_and_large_answers_are_made_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turn = threading.Lock()
    with watch.Watch(turn, is_change=False) as first:
        first.add(watch.LARGE_FROM + 1)
        monkeypatch.setattr(watch, "WITHIN_S", 0.05)
        with watch.Watch(turn, is_change=False) as second, pytest.raises(watch.Ended, match="took more than"):
            second.add(watch.LARGE_FROM + 1)
        with pytest.raises(watch.Ended, match="ask for fewer"):
            first.add(watch.MOST_BYTES)
    with watch.Watch(turn, is_change=False) as third:
        third.add(watch.LARGE_FROM + 1)
        time.sleep(0.1)
        with pytest.raises(watch.Ended, match="took more than"):
            third.add(1)
    with watch.Watch(turn, is_change=True) as change:
        time.sleep(0.1)
        change.add(watch.LARGE_FROM + 1)
        with pytest.raises(RequestRefused):
            change.add(watch.MOST_BYTES)


@pytest.mark.parametrize("arguments", ["minStep: 0, maxStep: 100000, samples: 100000", "samples: 100000"])
def test_a_long_history_is_ended_while_it_is_read(
    long_history: Home, arguments: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = f"""{{ project(name: "proj", entityName: "team") {{ run(name: "long") {{ history({arguments}) }} }} }}"""
    body = json.dumps({"query": document}).encode()
    addresses = Addresses(base_url="http://127.0.0.1", signer=signer(b"secret"))
    engine = Engine(LocalMirror(long_history))
    assert engine.answer(body, addresses)[0] == 200
    looks = list[int]()
    add = watch.Watch.add

    def noted(self: watch.Watch, size: int) -> None:
        looks.append(size)
        add(self, size)

    monkeypatch.setattr(watch.Watch, "add", noted)
    assert engine.answer(body, addresses)[0] == 200
    every = len(looks)
    looks.clear()
    monkeypatch.setattr(watch, "WITHIN_S", 0.01)
    status, answer = engine.answer(body, addresses)
    assert (status, "was ended" in json.loads(answer)["errors"][0]["message"]) == (422, True)
    assert 0 < len(looks) < every / 2


@pytest.fixture(scope="module")
def long_history(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A run of 20,000 rows."""
    with Sandbox.start() as sandbox:
        rows = [{"_step": step, **{f"k{number}": step * number for number in range(8)}} for step in range(20_000)]
        sandbox.state.export_history(sandbox.state.add_run("team", "proj", "long", history=rows))
        home = Home(tmp_path_factory.mktemp("long") / "home")
        assert Mirror(url=sandbox.url, api_key=sandbox.api_key, home=home).pull().errors == []
    return home


def test_what_an_error_repeats_of_a_client_is_bounded(gateway: Served) -> None:
    long = "x" * 10**6
    for query in (
        f'{{ project(name: "{long}", entityName: "contract-team") {{ runs {{ edges {{ node {{ id }} }} }} }} }}',
        f"{{ viewer {{ {long} }} }}",
        f"{{ viewer({long}: 1) {{ id }} }}",
    ):
        answer = gateway.post({"query": query})
        assert len(answer.content) < 5000
    alias = f'{{ {long}: project(name: "local proj", entityName: "contract-team") {{ views }} }}'
    assert len(json.dumps(gateway.ask(alias)["errors"])) < 5000


def test_errors_without_an_end_are_one(gateway: Served) -> None:
    absent = " ".join(f"a{number}: exitcode" for number in range(1400))
    query = (
        f'{{ project(name: "local proj", entityName: "contract-team") {{ runs(first: 100) {{ edges {{ node {{ {absent} '
    )
    answer = gateway.post({"query": query + "} } } } }"})
    assert (answer.status_code, len(answer.json()["errors"])) == (413, 1)


def _raw(gateway: Served, request: bytes, timeout: float = 10.0) -> bytes:
    """What comes back for some bytes, to the end of the connection."""
    with socket.create_connection(_address(gateway), timeout=timeout) as connection:
        connection.sendall(request)
        found = b""
        while piece := connection.recv(65536):
            found += piece
            if b"\r\n\r\n" in found:
                return found
    return found


def _address(gateway: Served) -> tuple[str, int]:
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    return host, int(port)


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/graphql"), ("PUT", "/files/signed/upload/x"), ("POST", "/files/a/b/c/file_stream")]
)
def test_a_body_that_is_too_long_is_refused_before_it_is_read(method: str, path: str, gateway: Served) -> None:
    key = httpx.BasicAuth("api", gateway.key)._auth_header
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: {key}\r\ncontent-length: {10**12}\r\n\r\n"
    status = int(_raw(gateway, head.encode()).split(b" ")[1])
    assert status in (403, 413)


def test_large_bodies_that_do_not_come_hold_little_and_keep_nobody_out(gateway: Served) -> None:
    key = httpx.BasicAuth("api", gateway.key)._auth_header
    head = f"POST /graphql HTTP/1.1\r\nhost: localhost\r\nauthorization: {key}\r\ncontent-length: {15 * 10**6}\r\n\r\n"
    before = resident_bytes(gateway.pid)
    with ExitStack() as opened:
        for _ in range(150):
            connection = opened.enter_context(socket.create_connection(_address(gateway), timeout=20))
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                connection.send(head.encode())
                connection.send(b" " * 2**20)
        time.sleep(0.5)
        assert gateway.post(VIEWER).status_code == 200
        assert resident_bytes(gateway.pid) - before < 120 * 2**20
    assert gateway.post({**VIEWER, "variables": {"x": "y" * 10**6}}).status_code == 200


def test_a_packed_body_is_refused(gateway: Served) -> None:
    answer = gateway.post(VIEWER, **{"content-encoding": "gzip"})
    assert (answer.status_code, "content-encoding" in answer.json()["errors"][0]["message"]) == (415, True)


def test_what_is_no_http_and_odd_heads_are_refused_and_the_gateway_goes_on(gateway: Served) -> None:
    for request in (b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 30_000):
        head, _, body = _raw(gateway, request).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400")
        assert json.loads(body)["errors"]
    for origin in ("http://[", "null", "http://127.0.0.1:1"):
        assert gateway.post(VIEWER, origin=origin).status_code == 403
    for given in ("Basic !!!", "Basic " + "QQ" * 20_000, "Bearer é", "Negotiate", "Basic"):
        answer = httpx.post(f"{gateway.url}/graphql", json=VIEWER, headers={b"authorization": given.encode("latin-1")})
        assert (answer.status_code, len(answer.json()["errors"])) == (401, 1)
    assert gateway.post(VIEWER).status_code == 200


def test_connections_that_ask_nothing_give_way_to_who_comes(gateway: Served) -> None:
    with ExitStack() as opened:
        idle = [
            opened.enter_context(socket.create_connection(_address(gateway), timeout=10))
            for _ in range(MOST_CONNECTIONS + 50)
        ]
        assert gateway.post(VIEWER).status_code == 200
        assert idle[0].recv(100).startswith(b"HTTP/1.1 503")
        assert gateway.post(VIEWER).status_code == 200


def test_neither_the_key_nor_a_signed_address_is_told_in_a_log_or_an_error(mirrored: Mirror, tmp_path: Path) -> None:
    log = tmp_path / "log"
    files = """{ project(name: "local proj", entityName: "contract-team") { runs(first: 20) { edges { node {
      files { edges { node { url } } } } } } } }"""
    with served(mirrored.home, log=log) as gateway:
        urls = re.findall(r"http://[^\"]+", gateway.post({"query": files}).text)
        signature = urls[0].rpartition("=")[2]
        told = [httpx.get(url.replace(signature[:8], "0" * 8)).text for url in urls[:1]]
        told += [
            gateway.post({"query": query}).text
            for query in ("{", "{ viewer { nothing } }", '{ agent(id: "x") { id } }')
        ]
        told += [httpx.get(f"{gateway.url}/{gateway.key}", auth=("api", gateway.key)).text]
        told += [httpx.post(f"{gateway.url}/graphql", auth=("api", gateway.key[:-1])).text]
        assert urls
    told.append(log.read_text())
    for text in told:
        assert gateway.key not in text
        assert signature not in text


@pytest.mark.soak
def test_a_head_or_a_body_that_never_ends_is_given_up(gateway: Served) -> None:
    key = httpx.BasicAuth("api", gateway.key)._auth_header
    began = time.monotonic()
    with ExitStack() as opened:
        slow = [opened.enter_context(socket.create_connection(_address(gateway), timeout=60)) for _ in range(50)]
        for connection in slow:
            connection.sendall(b"POST /graphql HTTP/1.1\r\nhost: localhost\r\n")
        while time.monotonic() - began < 8:
            for connection in slow:
                connection.sendall(b"a: b\r\n")
            assert gateway.post(VIEWER).status_code == 200
            time.sleep(1)
        assert _is_closed(slow[0]), "a head went on for ever"
    with socket.create_connection(_address(gateway), timeout=200) as connection:
        connection.sendall(
            f"POST /graphql HTTP/1.1\r\nhost: localhost\r\nauthorization: {key}\r\n".encode()
            + b"content-length: 1000\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 408")


def _is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:
        return True


@pytest.mark.soak
def test_a_gigabyte_is_refused_early_and_memory_stays(gateway: Served) -> None:
    piece = b"x" * 2**20
    before = resident_bytes(gateway.pid)
    for url, auth in ((f"{gateway.url}/graphql", ("api", gateway.key)), (f"{gateway.url}/files/signed/upload/x", None)):
        method = "POST" if auth else "PUT"
        answer = httpx.request(method, url, content=(piece for _ in range(1024)), auth=auth, timeout=120)
        assert answer.status_code in (403, 413)
    assert resident_bytes(gateway.pid) - before < 100 * 2**20


@pytest.mark.soak
def test_ten_thousand_open_connections_keep_nobody_out(gateway: Served) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 12_000:
        pytest.skip("this machine lets nobody open so many")
    resource.setrlimit(resource.RLIMIT_NOFILE, (12_000, hard))
    try:
        with ExitStack() as opened:
            for number in range(10_000):
                opened.enter_context(socket.create_connection(_address(gateway), timeout=10))
                if number % 1000 == 0:
                    assert gateway.post(VIEWER).status_code == 200
            assert gateway.post(VIEWER).status_code == 200
            assert resident_bytes(gateway.pid) < 500 * 2**20
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.soak
def test_a_client_that_does_not_read_a_file_is_given_up(mirrored: Mirror, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(mirrored.home.root, home.root)
    with served(home) as gateway:
        create = """mutation { createRunFiles(input: {entityName: "contract-team", projectName: "local proj",
          runName: "run 000 é", files: ["long.bin"]}) { files { uploadUrl } } }"""
        (file,) = gateway.ask(create)["data"]["createRunFiles"]["files"]
        size = 64 * 2**20
        assert httpx.put(file["uploadUrl"], content=bytes(size), timeout=60).status_code == 200
        files = """{ project(name: "local proj", entityName: "contract-team") { run(name: "run 000 é") {
          files(names: ["long.bin"]) { edges { node { directUrl } } } } } }"""
        run = gateway.ask(files)["data"]["project"]["run"]
        path = run["files"]["edges"][0]["node"]["directUrl"].removeprefix(gateway.url)
        with socket.create_connection(_address(gateway), timeout=60) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
            time.sleep(45)
            assert _drained(connection) < size


def _drained(connection: socket.socket) -> int:
    """How many bytes still come."""
    total = 0
    try:
        while piece := connection.recv(2**20):
            total += len(piece)
    except ConnectionResetError:
        pass
    return total
