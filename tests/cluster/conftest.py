"""One PostgreSQL and one S3 server for each worker; a place of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mirror.api.transport.deployment import deployment_of
from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.cluster.group import Member, members
from tests.cluster.servers import KEY_ID, SECRET, Place, Servers, servers
from tests.mirroring import Mirror


@pytest.fixture(scope="session")
def cluster() -> Iterator[Servers]:
    """The servers."""
    with servers() as found:
        yield found


@pytest.fixture
def place(cluster: Servers, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A database and an empty bucket; where a test has a mirror or a group, with an empty lake."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return cluster.place(has_lake=not {"mirror", "group"}.isdisjoint(request.fixturenames))


@pytest.fixture
def home(place: Place, tmp_path: Path) -> Home:
    """A home that shares the lake there."""
    return place.home(tmp_path / "home")


@pytest.fixture
def mirror(place: Place, sandbox: Sandbox, home: Home) -> Mirror:
    """A mirror of the sandbox; nothing is pulled yet."""
    place.belong_to(deployment_of(sandbox.url))
    return Mirror(url=sandbox.url, api_key=sandbox.api_key, home=home, is_fresh=True)


@pytest.fixture
def group(place: Place, sandbox: Sandbox, tmp_path: Path) -> list[Member]:
    """Three machines, and a project of two runs that is mirrored."""
    for run_id in ("one", "two"):
        sandbox.state.add_run("team", "proj", run_id, state="finished")
    place.belong_to(deployment_of(sandbox.url))
    found = members(place, sandbox, tmp_path, "lead", "ann", "ben")
    Mirror(url=sandbox.url, api_key=sandbox.api_key, home=found[0].home, is_fresh=True).pull()
    return found
