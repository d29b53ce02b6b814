"""The fixture service of wandb's system tests, against a sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from mirror.sandbox import Sandbox

from .app_server import AppServer
from .fixture_service import fixture_app


class Backend:
    """A sandbox and its fixture service, as wandb's tests see them."""

    def __init__(self, sandbox: Sandbox, fixtures: AppServer) -> None:
        self.sandbox = sandbox
        self._fixtures = f"http://127.0.0.1:{fixtures.port}"

    def health(self) -> tuple[int, int]:
        ready, healthy = httpx.get(f"{self.sandbox.url}/ready"), httpx.get(f"{self._fixtures}/health")
        return ready.status_code, healthy.status_code

    def command(self, subject: str, **fields: Any) -> int:
        return httpx.post(f"{self._fixtures}/db/{subject}", json=fields).status_code

    def ask(self, query: str, *, key: str, **variables: Any) -> dict[str, Any]:
        body = {"query": query, "variables": variables}
        answer = httpx.post(f"{self.sandbox.url}/graphql", json=body, auth=("api", key)).json()
        assert isinstance(answer, dict)
        return answer


@pytest.fixture
def backend() -> Iterator[Backend]:
    with Sandbox.start() as sandbox, AppServer(fixture_app(sandbox.state)) as fixtures:
        yield Backend(sandbox, fixtures)


VIEWER = "query { viewer { username admin teams { edges { node { name } } } organizations { name } } }"


def test_both_ports_say_that_they_are_ready(backend: Backend) -> None:
    assert backend.health() == (200, 200)


def test_a_user_has_the_own_name_as_key_until_it_goes_down(backend: Backend) -> None:
    assert backend.command("user", command="up", username="ada", admin=False) == 200
    assert backend.command("user", command="password", username="ada", password="ada", admin=False) == 200
    viewer = backend.ask(VIEWER, key="ada")["data"]["viewer"]
    assert viewer == {
        "username": "ada",
        "admin": False,
        "teams": {"edges": [{"node": {"name": "ada"}}]},
        "organizations": [],
    }
    assert backend.command("user", command="down", username="ada") == 200
    assert backend.ask(VIEWER, key="ada")["errors"]


def test_a_team_stands_in_an_organization_whose_members_have_roles(backend: Backend) -> None:
    for name in ("ada", "bob"):
        backend.command("user", command="up", username=name)
        backend.command("user", command="password", username=name, password=name)
    assert backend.command("organization", command="up", orgName="acme", username="ada") == 200
    team = {"planName": "p", "team": {"name": "crew"}, "organization": {"name": "acme"}}
    assert backend.command("team", command="up", username="ada", fixtureData=team) == 200
    members = {"members": [{"username": "bob", "role": "viewer"}]}
    assert backend.command("organization", command="add_members", orgName="acme", fixtureData=members) == 200

    question = "query Q($name: String!) { organization(name: $name) { name orgEntity { entityType } } }"
    found = {"name": "acme", "orgEntity": {"entityType": "organization"}}
    assert backend.ask(question, key="bob", name="acme")["data"]["organization"] == found
    entity = 'query Q { entity(name: "crew") { isTeam organization { name } members { username role } } }'
    assert backend.ask(entity, key="ada")["data"]["entity"] == {
        "isTeam": True,
        "organization": {"name": "acme"},
        "members": [{"username": "ada", "role": "admin"}],
    }
    assert backend.command("organization", command="down", orgName="acme") == 200
    assert backend.ask(question, key="bob", name="acme")["data"]["organization"] is None


def test_what_can_not_be_done_is_refused_with_a_reason(backend: Backend) -> None:
    assert backend.command("user", command="password", username="nobody", password="x") == 400
    assert backend.command("user", command="fly", username="nobody") == 400
    assert backend.command("planet", command="up") == 400
