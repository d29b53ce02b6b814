"""Whatever is sent, one clear answer comes back: documents, bodies, paths, names of files."""

from __future__ import annotations

import json
import os
import random
import shutil
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    get_named_type,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirror.gateway.addresses import Addresses, signer
from mirror.gateway.engine import Engine, schema
from mirror.layout import Home
from mirror.run.pending.local import LocalMirror
from tests.gateway.served import Served
from tests.mirroring import Mirror

STATUSES = {200, 400, 403, 404, 413, 422}
ODD = [
    "",
    "local proj",
    "contract-team",
    "run 000 é",
    "..",
    "../../x",
    "x\0y",
    "{",
    '{"a": 1}',
    "NaN",
    "\ud800",
    "a" * 5000,
    "💥",
    "'",
]
RUNS = """query Q(
    $e: String, $p: String!, $f: JSONString, $n: Int, $o: String, $after: String, $s: [JSONString!]!
  ) { project(name: $p, entityName: $e) {
    runs(filters: $f, first: $n, order: $o, after: $after) { edges { node { name config sampledHistory(specs: $s) } } }
    run(name: $p) { files(names: [$p]) { edges { node { name } } } } } }"""
PARTS = ["..", ".", "files", "signed", "object", "lacking", "upload", "%00", "%2e%2e", "x" * 64, "graphql"]
ADDRESSES = Addresses(base_url="http://127.0.0.1:1", signer=signer(b"secret"))


def relaxed(examples: int) -> settings:
    """So many examples, and `FUZZ_TIMES` as many where that is set: a run for hours."""
    times = int(os.environ.get("FUZZ_TIMES", "0"))
    return settings(
        max_examples=examples * max(1, times),
        derandomize=times == 0,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


class _Writer:
    """Writes documents that fit the schema, with arguments that nobody would give."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._left = 150  # fields

    def document(self, *, is_change: bool) -> str:
        """A whole one."""
        root = schema().mutation_type if is_change else schema().query_type
        assert root is not None
        return f"{'mutation' if is_change else 'query'} {self._selection(root, 0)}"

    def _selection(self, kind: Any, depth: int) -> str:
        if not isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            return "{ __typename }"
        names = self._random.sample(sorted(kind.fields), min(len(kind.fields), self._random.randint(1, 5)))
        parts = ["__typename"] if self._random.random() < 0.2 else []
        for number, name in enumerate(names):
            field = kind.fields[name]
            inner = get_named_type(field.type)
            is_leaf = isinstance(inner, GraphQLScalarType | GraphQLEnumType)
            self._left -= 1
            if not is_leaf and (depth > 7 or self._left < 0):
                continue
            given = [
                f"{key}: {self._value(argument.type, 0)}"
                for key, argument in field.args.items()
                if isinstance(argument.type, GraphQLNonNull) or self._random.random() < 0.5
            ]
            arguments = f"({', '.join(given)})" if given else ""
            parts.append(f"a{number}: {name}{arguments}" + ("" if is_leaf else f" {self._selection(inner, depth + 1)}"))
        return "{ " + (" ".join(parts) or "__typename") + " }"

    def _value(self, kind: GraphQLInputType, depth: int) -> str:
        if isinstance(kind, GraphQLNonNull):
            return self._value(kind.of_type, depth)
        if isinstance(kind, GraphQLList):
            return (
                "[" + ", ".join(self._value(kind.of_type, depth + 1) for _ in range(self._random.randint(0, 2))) + "]"
            )
        if isinstance(kind, GraphQLInputObjectType):
            given = [
                f"{name}: {self._value(field.type, depth + 1)}"
                for name, field in kind.fields.items()
                if isinstance(field.type, GraphQLNonNull) or (depth < 3 and self._random.random() < 0.4)
            ]
            return "{" + ", ".join(given) + "}"
        if isinstance(kind, GraphQLEnumType):
            return str(self._random.choice(sorted(kind.values)))
        match kind.name:
            case "Int" | "Int64":
                return str(self._random.choice([0, 1, -1, 3, 2**31 - 1, -(2**31)]))
            case "Float":
                return self._random.choice(["0.5", "-1e300", "0"])
            case "Boolean":
                return self._random.choice(["true", "false"])
            case _:
                return json.dumps(self._random.choice([text for text in ODD if text != "\ud800"]))


@pytest.fixture(scope="module")
def engine(mirrored: Mirror, recorded: object, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    del recorded
    copy = Home(tmp_path_factory.mktemp("fuzz") / "home")  # what is queued would show to the other tests
    shutil.copytree(mirrored.home.root, copy.root)
    made = Engine(LocalMirror(copy))
    made.prepare()
    return made


def _check(engine: Engine, body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    status, answer = engine.answer(body, ADDRESSES)
    told = json.loads(answer)
    assert status in STATUSES, (status, body)
    for error in told.get("errors", ()):
        assert error["message"], body
        assert "defect" not in error["message"], (error, body, [record.exc_info for record in caplog.records])
    assert "data" in told or told["errors"]


@relaxed(120)
@given(seed=st.integers(0, 2**40), is_change=st.booleans())
def test_documents_that_fit_the_schema_have_one_clear_answer(
    seed: int, is_change: bool, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    _check(engine, json.dumps({"query": _Writer(seed).document(is_change=is_change)}).encode(), caplog)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@relaxed(150)
@given(name=json_values, variables=json_values, query=json_values)
def test_variables_and_bodies_of_any_form_have_one_clear_answer(
    name: Any, variables: Any, query: Any, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    for body in (
        {"query": query, "variables": variables, "operationName": name},
        {
            "query": RUNS,
            "variables": {"e": "contract-team", "p": "local proj", "f": name, "o": name, "after": name, "s": [name]},
        },
        {"query": RUNS, "variables": {"e": name, "p": name, "n": name, "s": [query]}},
        query,
    ):
        _check(engine, json.dumps(body).encode("utf-8", "surrogatepass"), caplog)


@relaxed(200)
@given(body=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: json.dumps({"query": text}).encode()))
def test_bytes_and_texts_of_any_form_have_one_clear_answer(
    body: bytes, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    _check(engine, body, caplog)


@relaxed(60)
@given(
    parts=st.lists(
        st.sampled_from(PARTS) | st.text(max_size=10).map(lambda text: quote(text.encode("utf-8", "surrogatepass"))),
        max_size=6,
    ),
    method=st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"]),
    query=st.sampled_from(["", "X-Expires=nan&X-Signature=é", "X-Expires=9e999", "X-Signature=" + "0" * 64]),
    has_key=st.booleans(),
)
def test_paths_of_any_form_lead_nowhere(
    parts: list[str], method: str, query: str, has_key: bool, gateway: Served
) -> None:
    url = httpx.URL(f"{gateway.url}/", raw_path=f"/{'/'.join(parts)}?{quote(query, safe='=&')}".encode())
    auth = ("api", gateway.key) if has_key else None
    answer = httpx.request(method, url, auth=auth, content=b"{}" if method in ("PUT", "POST") else None)
    assert 400 <= answer.status_code < 500, (url, answer.text)
    assert "Traceback" not in answer.text
    assert "root:" not in answer.text
