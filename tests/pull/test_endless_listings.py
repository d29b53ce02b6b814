"""Lists that promise more for ever, by fresh places with rows that were listed before, end with an error."""

from __future__ import annotations

import itertools
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest

from mirror.api.client import Client
from mirror.api.transport.credentials import ApiKey
from mirror.api.transport.deployment import deployment_of
from mirror.config import ServerSettings
from mirror.errors import ServerError
from mirror.layout import Home
from mirror.sandbox import Fault, Match, Sandbox
from mirror.wandb_protocol.paging import encode_cursor
from tests.mirroring import ENTITY
from tests.pull.contents import fill, mirror_of
from tests.soaking import thin

MOST_REQUESTS = 100

Ask = Callable[[Client], Awaitable[Any]]
LOOKS: dict[str, Ask] = {
    "files": lambda client: client.listed_file(ENTITY, "p", "r000", "not there"),
    "outputArtifacts": lambda client: client.linked_artifact(ENTITY, "p", "r000", "logged", "none", with_aliases=False),
    "inputArtifacts": lambda client: client.linked_artifact(ENTITY, "p", "r000", "used", "none", with_aliases=False),
}


def endless(field: str, numbers: Iterator[int]) -> Fault:
    """The list of a field goes on for ever: each page is the first one, under a place that was never given before."""

    def place() -> str:
        number = next(numbers)  # both are before all rows; blanks make another text of the same place
        return encode_cursor([-1, number, 0]) if field == "runs" else b64encode(b" " * number + b"0").decode()

    def go_on(node: Any) -> None:
        if isinstance(node, list):
            for each in node:
                go_on(each)
        elif isinstance(node, dict):
            for name, value in node.items():
                if name in ANSWERED_AS[field] and isinstance(value, dict) and "edges" in value:
                    value["pageInfo"] = {"hasNextPage": True, "endCursor": place()}
                    for edge in value["edges"]:
                        edge["cursor"] = value["pageInfo"]["endCursor"]
                go_on(value)

    return Fault.lie(go_on, match=Match(kind="graphql"))


ANSWERED_AS = {
    **{name: {name} for name in ("runs", "files", "logLines", "models", "sweeps")},
    "outputArtifacts": {"outputArtifacts", "loggedArtifacts", "artifacts"},
    "inputArtifacts": {"inputArtifacts", "usedArtifacts", "artifacts"},
}


@pytest.fixture
def filled() -> Iterator[Sandbox]:
    with Sandbox.start() as sandbox:
        fill(sandbox, "p", runs=6)
        run = sandbox.state.run(ENTITY, "p", "r000")
        sandbox.state.note_used(run, run.logged[0])
        for number in range(3):
            sandbox.state.add_sweep(ENTITY, "p", f"sw{number}")
        yield sandbox


@pytest.mark.parametrize("field", thin(ANSWERED_AS.keys(), keep=["runs", "files", "models"]))
def test_a_pull_of_a_list_without_end_ends_soon_and_says_so(filled: Sandbox, home: Home, field: str) -> None:
    filled.faults.add(endless(field, itertools.count(1)))
    mirror = mirror_of(filled, home, "p*" if field == "models" else "p")
    report = mirror.pull()
    assert len(filled.requests) < MOST_REQUESTS
    told = [error.message for error in report.errors]
    told += [failure.reason for project in report.projects for failure in project.failed]
    assert any("in circles" in words or "no place to continue" in words for words in told), told
    filled.faults.clear()
    mirror.pull(retry_quarantined=True, force_walk=True)
    assert len(mirror.run_ids()) == 6


@pytest.mark.parametrize("hidden", [(), ("Run.files(names)",)])
@pytest.mark.parametrize("field", LOOKS)
def test_a_look_before_a_delivery_ends_as_well(field: str, hidden: tuple[str, ...]) -> None:
    async def look(sandbox: Sandbox) -> None:
        async with Client(deployment_of(sandbox.url), ApiKey(sandbox.api_key, "a test"), ServerSettings()) as client:
            await LOOKS[field](client)

    with Sandbox.start(hide=hidden) as sandbox:
        fill(sandbox, "p", runs=1)
        run = sandbox.state.run(ENTITY, "p", "r000")
        sandbox.state.note_used(run, run.logged[0])
        sandbox.faults.add(endless(field, itertools.count(1)))
        with pytest.raises(ServerError, match=r"in circles|no place to continue"):
            anyio.run(look, sandbox)
        assert len(sandbox.requests) < MOST_REQUESTS
