"""Artifacts beyond what the SDK compares: bytes by their digest, what is queued, and what is not held."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import mirror
from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.gateway.served import COMMAND, Served, environment, served
from tests.mirroring import ENTITY, PROJECT, SOURCE, Mirror

VERSIONS = """query V($e: String!, $p: String!) { project(name: $p, entityName: $e) { run(name: "maker") {
  outputArtifacts { totalCount edges { node { id aliases { alias } tags { name }
    currentManifest { file { directUrl } } files(first: 1) { totalCount pageInfo { hasNextPage endCursor }
      edges { node { name directUrl digest } } } } } } } } }"""
FIELD = """query F($e: String!, $p: String!) { project(name: $p, entityName: $e) { %s } }"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A run that logged two collections, the bytes of one of which are wanted; and a version that is queued for it."""
    found = Home(tmp_path_factory.mktemp("artifacts") / "home")
    with Sandbox.start() as sandbox:
        run, other = (sandbox.state.add_run(ENTITY, PROJECT, name) for name in ("maker", "other"))
        sandbox.state.add_artifact(ENTITY, PROJECT, "wanted", files={"a.txt": b"one", "b.txt": b"two"}, run=run)
        elsewhere = sandbox.state.add_artifact(ENTITY, "elsewhere", "shared", files={"c.txt": b"three"})
        other.used.append(elsewhere)
        sandbox.state.add_artifact(ENTITY, PROJECT, "unwanted", files={"big.bin": b"left out"}, run=other)
        place = Mirror(url=sandbox.url, api_key=sandbox.api_key, home=found, policy={"artifacts_include": ("wanted",)})
        assert place.pull().errors == []
    api = mirror.Api(found.root)
    api.run(f"{SOURCE}/maker").log_artifact(api.artifact(f"{SOURCE}/unwanted:v0"), aliases=["chosen"], tags=["new"])
    return found


@pytest.fixture(scope="module")
def gateway(home: Home) -> Iterator[Served]:
    """The gateway over it."""
    with served(home) as found:
        yield found


def _versions(gateway: Served) -> dict[str, Any]:
    answer = gateway.ask(VERSIONS, e=ENTITY, p=PROJECT)
    assert "errors" not in answer, answer
    found: dict[str, Any] = answer["data"]["project"]["run"]["outputArtifacts"]
    return found


def test_a_version_that_is_queued_for_a_run_is_among_its_own_with_its_names(gateway: Served) -> None:
    versions = _versions(gateway)
    assert versions["totalCount"] == 2
    queued = versions["edges"][1]["node"]
    assert {alias["alias"] for alias in queued["aliases"]} >= {"latest", "chosen"}
    assert [tag["name"] for tag in queued["tags"]] == ["new"]


def test_bytes_are_there_by_the_digest_of_their_manifest_for_whoever_has_the_key(gateway: Served) -> None:
    node = _versions(gateway)["edges"][0]["node"]
    manifest = httpx.get(node["currentManifest"]["file"]["directUrl"]).json()
    entry = manifest["contents"]["a.txt"]
    digest = base64.b64decode(entry["digest"]).hex()
    paths = (
        f"/artifacts/{ENTITY}/{digest}",
        f"/artifactsV2/default/{ENTITY}/{PROJECT}/wanted/{node['id']}/{digest}/a.txt",
        f"/artifactsV2/default/{ENTITY}/{PROJECT}/wanted/{node['id']}/{node['id']}/{digest}/a.txt",
    )
    for path in paths:
        assert httpx.get(gateway.url + path).status_code == 401
        assert httpx.get(gateway.url + path, auth=("api", gateway.key)).content == b"one"
    part = httpx.get(gateway.url + paths[0], auth=("api", gateway.key), headers={"range": "bytes=1-"})
    assert (part.status_code, part.content) == (206, b"ne")


def test_a_version_of_a_project_that_is_not_mirrored_has_its_names_and_its_project_no_runs_to_tell_of(
    gateway: Served,
) -> None:
    node = "{ edges { node { artifactSequence { name project { id name %s } } } } }"
    asked = FIELD % f'run(name: "other") {{ inputArtifacts {node} }}'
    answer = gateway.ask(asked % "entity { name }", e=ENTITY, p=PROJECT)
    (edge,) = answer["data"]["project"]["run"]["inputArtifacts"]["edges"]
    assert edge["node"]["artifactSequence"]["name"] == "shared"
    assert edge["node"]["artifactSequence"]["project"]["name"] == "elsewhere"
    (error,) = gateway.ask(asked % "runCount", e=ENTITY, p=PROJECT)["errors"]
    assert error["message"].startswith(f"the project {ENTITY}/elsewhere is not in this mirror")


@pytest.mark.parametrize("path", ["/artifacts/x/zz", "/artifacts/x", "/artifacts/x/00", "/artifactsV2/a/b/c/d/e/ff/g"])
def test_an_address_of_no_bytes_is_refused_in_one_sentence(path: str, gateway: Served) -> None:
    answer = httpx.get(gateway.url + path, auth=("api", gateway.key))
    assert answer.status_code == 404
    assert len(answer.json()["errors"][0]["message"].splitlines()) == 1


def test_bytes_that_no_source_wanted_say_how_to_have_them(gateway: Served, tmp_path: Path) -> None:
    node = _versions(gateway)["edges"][1]["node"]
    (edge,) = node["files"]["edges"]
    digest = base64.b64decode(edge["node"]["digest"]).hex()
    path = f"/artifactsV2/default/{ENTITY}/{PROJECT}/unwanted/{node['id']}/{node['id']}/{digest}/big.bin"
    for answer in (httpx.get(edge["node"]["directUrl"]), httpx.get(gateway.url + path, auth=("api", gateway.key))):
        assert answer.status_code == 404
        assert "artifacts_include" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ('artifact(name: "nothing:v0") { id }', "`wandb-mirror pull --source"),
        ('artifactType(name: "nothing") { name }', "`wandb-mirror pull --source"),
        ('artifactCollection(name: "nothing") { name }', "`wandb-mirror pull --source"),
        ('sweep(sweepName: "nothing") { id }', "`wandb-mirror pull --source"),
        ('artifactCollections(filters: "{\\"name\\": {\\"$regex\\": \\"(\\"}}") { totalCount }', "bad $regex"),
        ('artifactCollections(filters: "{\\"creator\\": 1}") { totalCount }', "unknown field creator"),
        ("triggers { id } ... on Nothing { id }", "automations and integrations are not mirrored"),
        ("somethingNew { edges { node { id } } }", '"somethingNew" on type "Project": wandb-mirror does not have this'),
        ("id nmae", 'Did you mean "name"'),
        ("allViews { edges { node { id } } }", "workspaces and reports are not mirrored"),
    ],
)
def test_what_is_not_here_is_one_sentence(field: str, told: str, gateway: Served) -> None:
    (error,) = gateway.ask(FIELD % field, e=ENTITY, p=PROJECT)["errors"]
    assert told in error["message"]
    assert len(error["message"].splitlines()) == 1


def test_a_script_that_downloads_an_artifact_runs_as_it_is(home: Home, tmp_path: Path) -> None:
    script = (
        "import wandb, pathlib; artifact = wandb.Api().artifact('%s/wanted:latest')\n"
        "print(artifact.logged_by().id, pathlib.Path(artifact.download('out', skip_cache=True), 'b.txt').read_text())"
    )
    env = environment(home) | {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false", "PYTHONWARNINGS": "ignore"}
    command = [*COMMAND, "exec", "--", sys.executable, "-c", script % SOURCE]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "maker two\n", "")
