"""Artifacts with XXH128 digests: the manifest and the bytes are checked like those with MD5."""

from __future__ import annotations

import json

import pytest

from mirror.layout import Home
from mirror.sandbox import Sandbox
from mirror.sandbox.state.artifacts import content_key
from tests.mirroring import ENTITY, PROJECT, Mirror
from tests.pull.contents import assert_equal, failures, mirror_of

FILES = {"a.bin": bytes(range(256)) * 5000, "b/empty": b"", "b/é.txt": b"text"}


@pytest.fixture
def mirror(sandbox: Sandbox, home: Home) -> Mirror:
    """A mirror that wants the bytes of artifacts."""
    sandbox.state.add_run(ENTITY, PROJECT, "r")
    return mirror_of(sandbox, home, PROJECT)


def test_bytes_with_an_xxh128_are_taken_when_it_is_theirs(sandbox: Sandbox, mirror: Mirror) -> None:
    made = sandbox.state.add_artifact(
        ENTITY, PROJECT, "set", files=FILES, references={"ref": "s3://b/k"}, run="r", digest_algorithm="MANIFEST_XXH128"
    )
    assert mirror.pull().failures == 0
    assert_equal(sandbox, mirror, PROJECT)
    (row,) = mirror.ask("SELECT digest, digest_algorithm FROM lake.artifacts")
    assert row == {"digest": made.digest, "digest_algorithm": "MANIFEST_XXH128"}
    assert {row["status"] for row in mirror.ask("SELECT status FROM lake.artifact_files WHERE ref IS NULL")} == {"held"}


def test_bytes_with_another_xxh128_are_named_and_taken_once_they_are_right(sandbox: Sandbox, mirror: Mirror) -> None:
    made = sandbox.state.add_artifact(ENTITY, PROJECT, "set", files=FILES, run="r", digest_algorithm="MANIFEST_XXH128")
    key = content_key(made.manifest["contents"]["b/é.txt"]["digest"])
    sandbox.state.bucket.put(key, b"tex7")
    mirror.pull()
    ((place, failure),) = failures(mirror).items()
    assert place == ("r", "artifact set:v0 b/é.txt")
    assert "xxh128 is" in failure["reason"]
    statuses = {row["path"]: row["status"] for row in mirror.ask("SELECT path, status FROM lake.artifact_files")}
    assert statuses == {"a.bin": "held", "b/empty": "held", "b/é.txt": "failed"}
    sandbox.state.bucket.put(key, b"text")
    mirror.pull()
    assert failures(mirror) == {}
    assert_equal(sandbox, mirror, PROJECT)


def test_a_manifest_with_another_xxh128_than_its_version_is_refused(sandbox: Sandbox, mirror: Mirror) -> None:
    made = sandbox.state.add_artifact(ENTITY, PROJECT, "set", files=FILES, run="r", digest_algorithm="MANIFEST_XXH128")
    contents = {path: entry for path, entry in made.manifest["contents"].items() if path != "a.bin"}
    body = json.dumps({**made.manifest, "contents": contents}).encode()
    sandbox.state.bucket.put(str(made.manifest_key), body)
    mirror.pull()
    assert f"the server said {made.digest}" in failures(mirror)["r", "artifact set:v0"]["reason"]
    assert mirror.ask("SELECT * FROM lake.artifact_files") == []
