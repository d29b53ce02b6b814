"""Artifacts over plain HTTP: what add_artifact makes can be read and checked whole."""

from __future__ import annotations

import base64
import hashlib

import httpx

from mirror.sandbox import Sandbox

from .conftest import Ask

READ = """query Read($name: String!) { project(name: "p", entityName: "e") { artifact(name: $name) {
  id state versionIndex digest digestAlgorithm size fileCount metadata aliases { alias } tags { name }
  artifactType { name } artifactSequence { name latestArtifact { versionIndex } }
  createdBy { __typename ... on Run { name } }
  currentManifest { file { directUrl } }
  files(first: 10) { totalCount edges { node { name directUrl sizeBytes digest } } } } } }"""


def test_a_stored_artifact_is_whole(box: Sandbox, ask: Ask, bare: httpx.Client) -> None:
    box.state.add_run("e", "p", "r")
    for text in (b"one", b"two"):
        box.state.add_artifact(
            "e", "p", "data", files={"a/b.txt": text}, references={"far": "s3://bucket/key"}, run="r", metadata={"k": 1}
        )
    found = ask(READ, name="data:latest")["data"]["project"]["artifact"]
    assert (found["state"], found["versionIndex"], found["size"], found["fileCount"]) == ("COMMITTED", 1, 3, 2)
    assert found["createdBy"] == {"__typename": "Run", "name": "r"}
    manifest = bare.get(found["currentManifest"]["file"]["directUrl"]).json()
    contents = manifest["contents"]
    lines = "".join(f"{path}:{contents[path]['digest']}\n" for path in sorted(contents))
    assert hashlib.md5(f"wandb-artifact-manifest-v1\n{lines}".encode()).hexdigest() == found["digest"]
    files = {edge["node"]["name"]: edge["node"] for edge in found["files"]["edges"]}
    assert bare.get(files["a/b.txt"]["directUrl"]).content == b"two"
    assert files["far"]["directUrl"] == "s3://bucket/key"
    assert base64.b64decode(contents["a/b.txt"]["digest"]) == hashlib.md5(b"two").digest()


def test_versions_are_found_by_number_and_by_alias(box: Sandbox, ask: Ask) -> None:
    box.state.add_artifact("e", "p", "data", files={"a": b"1"}, aliases=["old"])
    box.state.add_artifact("e", "p", "data", files={"a": b"2"})

    def version(name: str) -> int | None:
        found = ask(READ, name=name)["data"]["project"]["artifact"]
        return None if found is None else int(found["versionIndex"])

    assert [version(f"data:{alias}") for alias in ("v0", "v1", "old", "latest", "v9", "none")] == [
        0,
        1,
        0,
        1,
        None,
        None,
    ]


def test_an_artifact_file_is_served_by_digest_to_those_with_a_key(
    box: Sandbox, http: httpx.Client, bare: httpx.Client
) -> None:
    artifact = box.state.add_artifact("e", "p", "data", files={"a": b"bytes"})
    digest = hashlib.md5(b"bytes").hexdigest()
    for path in (f"/artifacts/e/{digest}", f"/artifactsV2/default/e/p/data/{artifact.id}/{digest}/a"):
        assert http.get(path, follow_redirects=True).content == b"bytes"
        assert bare.get(box.url + path).status_code == 401
    assert box.requests.leaks() == []


def test_pending_and_deleted_versions_are_not_listed(box: Sandbox, ask: Ask) -> None:
    box.state.add_run("e", "p", "r")
    for state in ("PENDING", "COMMITTED", "DELETED"):
        box.state.add_artifact("e", "p", "data", files={"a": state.encode()}, run="r", state=state)
    listed = ask("""{ project(name: "p", entityName: "e") { run(name: "r") {
      outputArtifacts { totalCount edges { node { versionIndex state } } } } } }""")
    found = listed["data"]["project"]["run"]["outputArtifacts"]
    assert [edge["node"] for edge in found["edges"]] == [{"versionIndex": 1, "state": "COMMITTED"}]
