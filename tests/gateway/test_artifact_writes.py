"""Artifacts through the gateway: what a run uses and logs, aliases and tags; what cannot be queued is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import mirror as local
from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.gateway.conftest import sdk
from tests.gateway.served import Served, served
from tests.mirroring import ENTITY, PROJECT, SOURCE, Mirror
from tests.replaying import Sender

# By name: what is done with the SDK's API object and the name of a twin, of which each has a run and a collection.
WRITES: dict[str, Callable[[Any, str], Any]] = {
    "use": lambda api, twin: api.run(f"{SOURCE}/{twin}").use_artifact(api.artifact(f"{SOURCE}/data-{twin}:v0")),
    "log again": lambda api, twin: api.run(f"{SOURCE}/{twin}").log_artifact(
        api.artifact(f"{SOURCE}/data-{twin}:v0"), aliases=["again"], tags=["logged"]
    ),
    "aliases and tags": lambda api, twin: _changed(api.artifact(f"{SOURCE}/data-{twin}:v0")).save(),
    "aliases and tags taken away": lambda api, twin: _taken(api.artifact(f"{SOURCE}/data-{twin}:v0")).save(),
    "nothing": lambda api, twin: api.artifact(f"{SOURCE}/data-{twin}:v0").save(),
}


def _changed(artifact: Any) -> Any:
    artifact.aliases.append("best")
    artifact.tags.append("good")
    return artifact


def _taken(artifact: Any) -> Any:
    artifact.aliases.remove("old")
    artifact.tags.remove("bad")
    return artifact


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start() as server:
        state = server.state
        logger = state.add_run(ENTITY, PROJECT, "logger twice")
        state.add_artifact(ENTITY, PROJECT, "data-twice", files={"a.txt": b"bytes"}, run=logger)
        for twin in ("theirs", "ours"):
            state.add_run(ENTITY, PROJECT, twin)
            run = state.add_run(ENTITY, PROJECT, f"logger {twin}")
            state.add_artifact(
                ENTITY, PROJECT, f"data-{twin}", files={"a.txt": b"bytes"}, metadata={"n": 1}, description="what it is",
                aliases=["old"], tags=["bad"], run=run,
            )  # fmt: skip
        yield server


@pytest.fixture(scope="module")
def place(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    found = Mirror(
        url=sandbox.url, api_key=sandbox.api_key, home=Home(tmp_path_factory.mktemp("artifacts") / "home"),
        policy={"artifacts_include": ("*",)},
    )  # fmt: skip
    assert found.pull().errors == []
    return found


@pytest.fixture
def gateway(place: Mirror) -> Iterator[Served]:
    with served(place.home) as found:
        yield found


def _shown(sandbox: Sandbox, twin: str) -> Any:
    run = sandbox.state.run(ENTITY, PROJECT, twin)
    collection = sandbox.state.project(ENTITY, PROJECT).collections[f"data-{twin}"]
    (version,) = collection.versions
    return (
        [artifact is version for artifact in run.used], [artifact is version for artifact in run.logged],
        sorted(collection.aliases), sorted(version.tags), version.description, version.metadata,
    )  # fmt: skip


def test_what_cannot_be_queued_is_refused_in_one_sentence(gateway: Served, place: Mirror) -> None:
    before = place.home.root.joinpath("outbox", "new")
    api = sdk(gateway.url, gateway.key)
    artifact = api.artifact(f"{SOURCE}/data-ours:v0")
    artifact.description = "another"
    with pytest.raises(Exception, match=r"cannot queue this change of team/proj/data-ours:v0: its description"):
        artifact.save()
    artifact = api.artifact(f"{SOURCE}/data-ours:v0")
    artifact.metadata["n"] = 2
    with pytest.raises(Exception, match="its metadata"):
        artifact.save()
    with pytest.raises(Exception, match="deleteArtifact is not possible here"):
        api.artifact(f"{SOURCE}/data-ours:v0").delete()
    create = """mutation C($digest: String!) { createArtifact(input: {entityName: "team", projectName: "proj",
      runName: "ours", artifactTypeName: "dataset", artifactCollectionNames: ["data-ours"], digest: $digest,
      digestAlgorithm: MANIFEST_MD5}) { artifact { id } } }"""
    answer = gateway.post({"query": create, "variables": {"digest": "0" * 32}})
    assert answer.status_code == 403
    assert "cannot queue a new version of the artifact 'data-ours'" in answer.json()["errors"][0]["message"]
    assert not before.exists() or not list(before.iterdir())


def test_changes_of_one_document_see_one_another(gateway: Served, place: Mirror) -> None:
    version = sdk(gateway.url, gateway.key).artifact(f"{SOURCE}/data-twice:v0").id
    alias = '{artifactCollectionName: "data-twice", alias: "%s", entityName: "team", projectName: "proj"}'
    shown = "artifact { aliases { alias } tags { name } }"
    answer = gateway.ask(
        f"""mutation M($id: ID!) {{
          a: addAliases(input: {{artifactID: $id, aliases: [{alias % "one"}, {alias % "two"}]}}) {{ success }}
          b: updateArtifact(input: {{artifactID: $id, tagsToAdd: [{{tagName: "new"}}]}}) {{ {shown} }}
          c: deleteAliases(input: {{artifactID: $id, aliases: [{alias % "two"}]}}) {{ success }}
          d: updateArtifact(input: {{artifactID: $id, tagsToDelete: [{{tagName: "new"}}]}}) {{ {shown} }}
        }}""",
        id=version,
    )
    found = [
        ({alias["alias"] for alias in node["aliases"]}, [tag["name"] for tag in node["tags"]])
        for node in (answer["data"][name]["artifact"] for name in "bd")
    ]
    assert found == [({"latest", "one", "two"}, ["new"]), ({"latest", "one"}, [])]
    wrong = gateway.ask(
        f"mutation M($id: ID!) {{ addAliases(input: {{artifactID: $id, aliases: [{alias % 'a/b'}]}}) {{ success }} }}",
        id=version,
    )
    assert "must not contain" in wrong["errors"][0]["message"]


def test_writes_end_on_the_server_as_if_it_had_been_there(sandbox: Sandbox, place: Mirror) -> None:
    online = sdk(sandbox.url, sandbox.api_key)
    for write in WRITES.values():
        write(online, "theirs")
    untouched = _shown(sandbox, "ours")
    with sandbox.outage(), served(place.home) as gateway:
        ours = sdk(gateway.url, gateway.key)
        for write in WRITES.values():
            write(ours, "ours")
        again = sdk(gateway.url, gateway.key).run(f"{SOURCE}/ours")
        assert [artifact.name for artifact in again.used_artifacts()] == ["data-ours:v0"]
        (logged,) = again.logged_artifacts()
        assert ("again" in logged.aliases, "logged" in logged.tags) == (True, True)
        (version,) = {ours.artifact(f"{SOURCE}/data-ours:{name}").version for name in ("again", "best", "v0")}
        shown = ours.artifact(f"{SOURCE}/data-ours:v0")
        assert (version, set(shown.aliases), set(shown.tags)) == ("v0", {"latest", "again", "best"}, {"logged", "good"})
        with pytest.raises(Exception, match="'data-ours:old' not found"):
            ours.artifact(f"{SOURCE}/data-ours:old")
        held = local.Api(place.home).artifact(f"{SOURCE}/data-ours:best")
        assert (set(held.aliases), set(held.tags)) == (set(shown.aliases), set(shown.tags))
    pending = [item.kind for item in local.Api(place.home).run(f"{SOURCE}/ours").pending]
    assert pending == ["use_artifact", "log_artifact"]
    pending = [item.kind for item in local.Api(place.home).run(f"{SOURCE}/logger ours").pending]
    assert pending == ["edit_artifact"] * 4
    assert _shown(sandbox, "ours") == untouched
    sender = Sender(url=sandbox.url, api_key=sandbox.api_key, home=place.home)
    replayed = sender.replay()
    assert (replayed.buried, replayed.held, replayed.put_back, sender.counts()) == (0, 0, 0, {})
    assert _shown(sandbox, "ours") == _shown(sandbox, "theirs")
