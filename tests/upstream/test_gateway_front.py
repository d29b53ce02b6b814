"""The server in front that has gateways answer what is read: what is written before is in the answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from mirror.sandbox import Sandbox

from .app_server import AppServer
from .gateway_front import GatewayFront, is_public_read

NAMES = 'query Q { project(entityName: "ada", name: "p") { runs { edges { node { displayName } } } } }'
VIEWER = "query V { viewer { username } }"
RENAME = """mutation M($name: String!) { upsertBucket(input: {entityName: "ada", modelName: "p", name: "r",
  displayName: $name}) { bucket { id } } }"""
LEFT_OUT = 'query Q { entity(name: "ada") { isTeam } }'


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, str]]:
    with Sandbox.start() as sandbox:
        for name in ("ada", "bob"):
            sandbox.state.add_user(name)
            sandbox.state.set_api_key(name, _key(name))
        sandbox.state.add_run("ada", "p", "r", display_name="first")
        with GatewayFront(sandbox, tmp_path_factory.mktemp("homes")) as found, AppServer(found.asgi) as served:
            yield sandbox, f"http://127.0.0.1:{served.port}"


def _key(name: str) -> str:
    return name.ljust(40, "0")


def ask(url: str, query: str, *, key: str, **variables: Any) -> dict[str, Any]:
    body = {"query": query, "variables": variables}
    answer: dict[str, Any] = httpx.post(f"{url}/graphql", json=body, auth=("api", _key(key)), timeout=60).json()
    return answer


def test_a_read_is_the_gateways_and_shows_what_was_written_before(front: tuple[Sandbox, str]) -> None:
    sandbox, url = front

    def names() -> list[str]:
        edges = ask(url, NAMES, key="ada")["data"]["project"]["runs"]["edges"]
        return [edge["node"]["displayName"] for edge in edges]

    assert names() == ["first"]
    for name in ("second", "third"):
        sandbox.clock.advance(1)
        assert ask(url, RENAME, key="ada", name=name)["data"]["upsertBucket"]["bucket"]
        assert names() == [name]
    assert ask(sandbox.url, LEFT_OUT, key="ada")["data"]["entity"]["isTeam"] is not None
    assert "not mirrored" in ask(url, LEFT_OUT, key="ada")["errors"][0]["message"]
    pulled = len(sandbox.requests)
    assert names() == ["third"]
    assert len(sandbox.requests) == pulled


def test_each_key_has_a_mirror_of_its_own(front: tuple[Sandbox, str]) -> None:
    _, url = front
    assert {key: ask(url, VIEWER, key=key)["data"]["viewer"]["username"] for key in ("ada", "bob")} == {
        "ada": "ada",
        "bob": "bob",
    }
    assert "not logged in" in ask(url, VIEWER, key="nobody")["errors"][0]["message"]


@pytest.mark.parametrize(
    ("query", "is_read"),
    [
        (NAMES, True),
        ("{ viewer { id } }", True),
        (RENAME, False),
        ("query RunResumeStatus { viewer { id } }", False),
        ("query {", False),
        (7, False),
    ],
)
def test_what_trains_or_changes_is_the_sandboxs(query: object, is_read: bool) -> None:
    assert is_public_read(httpx.Request("POST", "http://x/graphql", json={"query": query}).content) is is_read


def test_a_body_that_is_no_document_is_the_sandboxs() -> None:
    assert not is_public_read(b"\xff")
    assert not is_public_read(b"[]")
