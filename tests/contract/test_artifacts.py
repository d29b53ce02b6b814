"""Artifacts with the SDK: logged, downloaded, listed, used."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import wandb

from mirror.layout import Home
from mirror.sandbox import Sandbox
from mirror.sandbox.state.artifacts import content_key
from tests.pull.contents import mirror_of

from .conftest import ENTITY
from .test_live_runs import begin


def read(folder: str) -> dict[str, bytes]:
    root = Path(folder)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_new_artifact_is_logged_and_downloads_again(api: Any, server: Sandbox, project: str, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"\x00\x01" * 1000)
    run = begin(project, "maker")
    artifact = wandb.Artifact("weights", type="model", metadata={"acc": 0.5}, description="d")
    artifact.add_file(str(tmp_path / "data.bin"), "deep/data.bin")
    artifact.add_reference("http://127.0.0.1:9/elsewhere", "ref", checksum=False)
    run.log_artifact(artifact, aliases=["best"]).wait()
    run.finish()
    record = server.state.project(ENTITY, project).collections["weights"].versions[0]
    assert (record.version, record.state, record.digest) == (0, "COMMITTED", artifact.digest)
    found = api.artifact(f"{ENTITY}/{project}/weights:best")
    assert (found.type, found.version, found.metadata, found.size) == ("model", "v0", {"acc": 0.5}, 2000)
    assert sorted(found.aliases) == ["best", "latest"]
    folder = found.download(root=str(tmp_path / "out"), allow_missing_references=True, path_prefix="deep")
    assert read(folder) == {"deep/data.bin": b"\x00\x01" * 1000}


def test_the_second_version_moves_latest_and_shares_bytes(server: Sandbox, project: str, tmp_path: Path) -> None:
    run = begin(project, "maker")
    for text in ("one", "two"):
        (tmp_path / "same.txt").write_text("same")
        (tmp_path / "text.txt").write_text(text)
        artifact = wandb.Artifact("data", type="dataset")
        artifact.add_file(str(tmp_path / "same.txt"))
        artifact.add_file(str(tmp_path / "text.txt"))
        run.log_artifact(artifact).wait()
    run.finish()
    collection = server.state.project(ENTITY, project).collections["data"]
    assert [version.version for version in collection.versions] == [0, 1]
    assert collection.aliases["latest"] is collection.versions[1]


@pytest.mark.parametrize("algorithm", ["MD5", "XXH128"])
def test_digests_that_the_sdk_computed_are_verified_and_a_wrong_byte_is_found(
    server: Sandbox,
    project: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    algorithm: Literal["MD5", "XXH128"],
) -> None:
    content = f"{algorithm} ".encode() * 90_000
    (tmp_path / "data.bin").write_bytes(content)
    monkeypatch.setattr(server.state, "features", server.state.features | {"ARTIFACT_DIGEST_ALGORITHM"})
    monkeypatch.setattr(server.state, "xxhash_digests", True)  # else the SDK takes MD5 whatever was asked for
    run = begin(project, "maker")
    artifact = wandb.Artifact("weights", type="model", digest_algorithm=algorithm)
    artifact.add_file(str(tmp_path / "data.bin"), "deep/data.bin")
    artifact.add_reference("http://127.0.0.1:9/elsewhere", "ref", checksum=False)
    run.log_artifact(artifact).wait()
    run.finish()
    mirror = mirror_of(server, Home(tmp_path / "home"), project, entity=ENTITY)
    assert mirror.pull().failures == 0
    (row,) = mirror.ask("SELECT digest, digest_algorithm FROM lake.artifacts WHERE sequence = 'weights'")
    assert row == {"digest": artifact.digest, "digest_algorithm": f"MANIFEST_{algorithm}"}
    (held,) = mirror.ask("SELECT status, object FROM lake.artifact_files WHERE path = 'deep/data.bin'")
    assert held["status"] == "held"
    key = content_key(artifact.manifest.entries["deep/data.bin"].digest)
    server.state.bucket.put(key, bytes(len(content)))
    other = mirror_of(server, Home(tmp_path / "other"), project, entity=ENTITY)
    assert other.pull().failures == 1
    (reason,) = other.ask("SELECT reason FROM lake.failures")
    assert f"{algorithm.lower()} is" in reason["reason"]


@pytest.fixture
def stored(server: Sandbox, project: str) -> str:
    """A project with a run that logged one artifact and a run that did nothing."""
    server.state.add_run(ENTITY, project, "made")
    server.state.add_run(ENTITY, project, "idle")
    server.state.add_artifact(
        ENTITY, project, "data", files={"a.txt": b"a", "b/c.txt": b"c"}, aliases=["prod"], tags=["t"], run="made"
    )
    return project


def test_logged_and_used_artifacts_are_listed(api: Any, stored: str) -> None:
    made = api.run(f"{ENTITY}/{stored}/made")
    (artifact,) = made.logged_artifacts()
    assert (artifact.name, sorted(artifact.aliases), artifact.tags) == ("data:v0", ["latest", "prod"], ["t"])
    assert list(made.used_artifacts()) == []
    idle = api.run(f"{ENTITY}/{stored}/idle")
    idle.use_artifact(artifact)
    assert [used.name for used in idle.used_artifacts()] == ["data:v0"]
    assert artifact.logged_by().id == "made"
    assert [run.id for run in artifact.used_by()] == ["idle"]


def test_an_existing_version_is_attached_to_another_run(api: Any, server: Sandbox, stored: str) -> None:
    idle = api.run(f"{ENTITY}/{stored}/idle")
    idle.log_artifact(api.artifact(f"{ENTITY}/{stored}/data:v0"), aliases=["again"])
    collection = server.state.project(ENTITY, stored).collections["data"]
    assert len(collection.versions) == 1
    assert set(collection.aliases) == {"latest", "prod", "again"}
    assert [artifact.name for artifact in idle.logged_artifacts()] == ["data:v0"]


def test_a_stored_artifact_downloads_and_verifies(api: Any, stored: str, tmp_path: Path, server: Sandbox) -> None:
    server.requests.clear()
    artifact = api.artifact(f"{ENTITY}/{stored}/data:prod")
    folder = artifact.download(root=str(tmp_path))
    artifact.verify(folder)
    assert read(folder) == {"a.txt": b"a", "b/c.txt": b"c"}
    assert server.requests.leaks() == []


def test_types_and_collections_are_listed(api: Any, stored: str) -> None:
    types = api.artifact_types(f"{ENTITY}/{stored}")
    assert [found.name for found in types] == ["dataset"]
    assert [found.name for found in api.artifact_type("dataset", f"{ENTITY}/{stored}").collections()] == ["data"]
    assert [found.name for found in api.artifacts("dataset", f"{ENTITY}/{stored}/data")] == ["data:v0"]


def test_metadata_aliases_and_tags_are_edited_and_a_version_deleted(api: Any, server: Sandbox, stored: str) -> None:
    artifact = api.artifact(f"{ENTITY}/{stored}/data:v0")
    artifact.metadata["k"] = 1
    artifact.aliases.append("new")
    artifact.tags = ["u"]
    artifact.save()
    collection = server.state.project(ENTITY, stored).collections["data"]
    assert collection.versions[0].metadata == '{"k":1}'
    assert "new" in collection.aliases
    assert collection.versions[0].tags == ["u"]
    artifact.delete(delete_aliases=True)
    assert collection.versions[0].state == "DELETED"
