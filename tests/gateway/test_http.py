"""Who may ask the gateway, and how its bytes are read: by key, by name, by signed addresses with ranges."""

from __future__ import annotations

import stat

import httpx

from mirror.store.history.sampling import evenly
from tests.gateway.served import Served
from tests.mirroring import Mirror

VIEWER = {"query": "{ viewer { username } }"}
FILES = """query F($p: String!, $e: String!, $n: String!) { project(name: $p, entityName: $e) { run(name: $n) {
  fileCount files(names: []) { edges { node { name directUrl sizeBytes } } } parquetHistory(liveKeys: ["_step"]) {
  parquetUrls } } } }"""


def _first_export(gateway: Served) -> str:
    answer = gateway.ask(FILES, p="local proj", e="contract-team", n="run 006 é")
    url: str = answer["data"]["project"]["run"]["parquetHistory"]["parquetUrls"][0]
    return url


def test_without_the_key_nothing_is_answered_and_a_wrong_one_is_refused(gateway: Served) -> None:
    for auth in (None, ("api", "x" * 40), ("api", gateway.key + "0")):
        answer = httpx.post(f"{gateway.url}/graphql", json=VIEWER, auth=auth)
        assert (answer.status_code, "data" in answer.json()) == (401, False)
    assert gateway.post(VIEWER).json()["data"]["viewer"]["username"] == "sandy"


def test_a_name_that_anybody_can_give_to_this_machine_is_refused_and_so_are_other_pages(gateway: Served) -> None:
    assert gateway.post(VIEWER, host="rebound.example.com:80").status_code == 403
    assert gateway.post(VIEWER, origin="https://evil.example.com").status_code == 403
    assert gateway.post(VIEWER, host="localhost:4711").status_code == 200  # another port: a tunnel


def test_the_key_is_this_homes_own_and_its_owners_alone(gateway: Served, mirrored: Mirror) -> None:
    path = mirrored.home.gateway_key
    assert path.read_text().strip() == gateway.key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_signed_address_needs_no_key_and_gives_any_range(gateway: Served) -> None:
    url = _first_export(gateway)
    whole = httpx.get(url)
    assert (whole.status_code, whole.content[:4]) == (200, b"PAR1")
    head = httpx.head(url)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(whole.content)), b"")
    part = httpx.get(url, headers={"range": "bytes=-8"})
    assert (part.status_code, part.content) == (206, whole.content[-8:])
    assert part.headers["content-range"].endswith(f"/{len(whole.content)}")
    assert httpx.get(url, headers={"range": "bytes=99999999-"}).status_code == 416
    digits = "9" * 5000  # more than Python reads as a number
    assert httpx.get(url, headers={"range": f"bytes={digits}-"}).status_code == 416
    for endless in (f"bytes=-{digits}", f"bytes=0-{digits}"):
        assert httpx.get(url, headers={"range": endless}).content == whole.content


def test_an_address_is_bound_to_its_path_and_its_time(gateway: Served) -> None:
    url = _first_export(gateway)
    path, _, query = url.partition("?")
    digest = path.split("/object/")[1][:64]
    other = digest[:-1] + ("0" if digest[-1] != "0" else "1")
    for changed in (url.replace(digest, other), path, f"{path}?{query.replace('X-Expires=', 'X-Expires=9')}"):
        assert httpx.get(changed).status_code == 403


def test_a_document_that_is_none_and_a_field_that_is_not_mirrored_are_one_sentence_each(gateway: Served) -> None:
    assert gateway.post({"query": "{ viewer { nothing } }"}).status_code == 400
    assert gateway.post({"query": "{"}).status_code == 400
    assert gateway.post([]).status_code == 400
    views = gateway.ask('{ project(name: "local proj", entityName: "contract-team") { views } }')
    assert views["errors"][0]["message"] == "Project.views is not mirrored: only the W&B server knows it"
    keys = gateway.ask('{ project(name: "local proj", entityName: "contract-team") { runs { historyKeys } } }')
    assert keys["errors"][0]["message"].startswith("the keys of many runs together are not told here")
    of_run = '{ project(name: "local proj", entityName: "contract-team") { run(name: "run 006 é") { %s } } }'
    for asked, sentence in (
        ('history(minStep: "x")', "invalid minStep: 'x'"),
        ('sampledHistory(specs: ["{"])', "invalid spec: not JSON"),
        ('sampledHistory(specs: ["[1]"])', "invalid spec: expected an object"),
        ('sampledHistory(specs: ["{\\"samples\\": [1]}"])', "invalid samples: '[1]'"),
    ):
        assert gateway.ask(of_run % asked)["errors"][0]["message"] == sentence
    far = gateway.ask(of_run % "history(minStep: 0, maxStep: 99999999999999999999999999)")
    assert len(far["data"]["project"]["run"]["history"]) > 5
    change = gateway.ask('mutation { deleteModel(input: {id: "x"}) { success } }')
    assert "cannot queue it" in change["errors"][0]["message"]


def test_what_is_no_request_for_a_document_is_told_so_in_json(gateway: Served) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    runs = """query Q($f: JSONString) { project(name: "local proj", entityName: "contract-team") {
      runs(filters: $f) { totalCount } } }"""
    assert "nest too deeply" in gateway.ask(runs, f=f'{{"$or": {deep}}}')["errors"][0]["message"]
    for body, sentence in (("[]", "a batch"), ("null", "not an object"), ("1", "not an object"), (deep, "nests"),
                           ("{", "not JSON")):  # fmt: skip
        answer = httpx.post(f"{gateway.url}/graphql", content=body, auth=("api", gateway.key))
        assert (answer.status_code, sentence in answer.json()["errors"][0]["message"]) == (400, True)
    for method in ("GET", "OPTIONS", "DELETE"):
        answer = httpx.request(method, f"{gateway.url}/graphql", auth=("api", gateway.key))
        assert (answer.status_code, answer.headers["allow"], len(answer.json()["errors"])) == (405, "POST", 1)
    for method in ("OPTIONS", "PATCH", "ODD"):
        answer = httpx.request(method, f"{gateway.url}/nothing", auth=("api", gateway.key))
        assert (answer.status_code in (404, 405), len(answer.json()["errors"])) == (True, 1)


def test_rows_that_nobody_chose_are_not_spelled(gateway: Served) -> None:
    fields = "all: history(minStep: 0) few: history(minStep: 0, samples: 3) none: history(minStep: 0, samples: 0)"
    for number in (6, 8, 10):
        run_text = f'run(name: "run {number:03} é") {{ {fields} }}'
        answer = gateway.ask(f'{{ project(name: "local proj", entityName: "contract-team") {{ {run_text} }} }}')
        run = answer["data"]["project"]["run"]
        found = run["all"]
        assert run["few"] == [found[place] for place in evenly(len(found), 3)]
        assert run["none"] == []


def test_introspection_describes_the_schema(gateway: Served) -> None:
    types = gateway.ask("{ __schema { types { name } } }")["data"]["__schema"]["types"]
    assert {"Run", "Project", "ParquetHistory"} <= {found["name"] for found in types}
