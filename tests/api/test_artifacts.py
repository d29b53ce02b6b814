"""Artifacts: refs with the run, versions whole by id, manifests whose digest is checked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.api.client import Client
from mirror.api.rows.pages import BadArtifact
from mirror.errors import GraphQLError, NotFound, ServerError
from mirror.records.artifacts import ArtifactRecord, ManifestEntry, manifest_digest, parse_manifest
from mirror.sandbox import Fault, Sandbox
from tests.api.clients import TEAM, bytes_of, client_on, contents_of

pytestmark = pytest.mark.anyio


def add_run(sandbox: Sandbox, run: str = "r0") -> None:
    sandbox.state.add_run(TEAM, "p", run)


def add_artifact(sandbox: Sandbox, name: str = "data", **given: Any) -> str:
    return sandbox.state.add_artifact(TEAM, "p", name, **({"files": {"f": b"1"}, "run": "r0"} | given)).id


async def test_a_version_comes_whole_by_id(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox)
    metadata = {"rows": 3, "nan": float("nan")}
    made = add_artifact(
        sandbox, files={"a": b"123", "b": b"4"}, aliases=["best"], tags=["t"], metadata=metadata, description="d"
    )
    record = (await client.artifacts([made]))[made]
    assert isinstance(record, ArtifactRecord)
    assert (record.entity, record.project, record.name, record.type) == (TEAM, "p", "data:v0", "dataset")
    assert (record.state, record.digest_algorithm, record.size, record.file_count) == (
        "COMMITTED",
        "MANIFEST_MD5",
        4,
        2,
    )
    assert (set(record.aliases), record.tags, record.description) == ({"best", "latest"}, ("t",), "d")
    assert record.metadata_text == '{"rows":3,"nan":NaN}'
    assert record.created_at is not None


async def test_pending_and_deleted_versions_are_skipped(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox)
    for number in range(4):
        add_artifact(sandbox, files={"f": str(number).encode()})

    def lie(answer: Any) -> None:
        edges = answer["data"]["project"]["r0"]["loggedArtifacts"]["edges"]
        edges[0]["node"]["state"] = "PENDING"
        edges[1]["node"]["state"] = "DELETED"
        edges[2]["node"] = None

    sandbox.faults.add(Fault.lie(lie))
    assert [ref.name for ref in (await contents_of(client)).logged.artifacts] == ["data:v3"]


async def test_a_version_whose_project_is_gone_is_still_listed(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox)
    add_artifact(sandbox)

    def lie(answer: Any) -> None:
        node = answer["data"]["project"]["r0"]["loggedArtifacts"]["edges"][0]["node"]
        node["artifactSequence"]["project"] = None
        node["aliases"].append({"alias": "production", "artifactCollection": {"name": "a registry"}})

    sandbox.faults.add(Fault.lie(lie))
    (ref,) = (await contents_of(client)).logged.artifacts
    assert (ref.entity, ref.project, ref.sequence, ref.aliases) == (None, None, "data", ("latest",))


@pytest.mark.parametrize("direction", ["logged", "used"])
async def test_artifacts_come_page_by_page_from_where_the_contents_ended(
    client: Client, sandbox: Sandbox, direction: Any
) -> None:
    add_run(sandbox)
    run = sandbox.state.run(TEAM, "p", "r0")
    for number in range(130):
        made = sandbox.state.add_artifact(
            TEAM, "p", f"d{number}", files={"f": b"1"}, run="r0" if direction == "logged" else None
        )
        if direction == "used":
            sandbox.state.note_used(run, made)
    page = getattr(await contents_of(client), direction)
    found = [ref.sequence for ref in page.artifacts]
    assert (len(found), page.total) == (20, 130)
    while page.has_more:
        page = await client.artifacts_page(TEAM, "p", "r0", direction, page.after)
        found += [ref.sequence for ref in page.artifacts]
    assert found == [f"d{number}" for number in range(130)]
    assert client.spent.graphql_requests == 3
    with pytest.raises(NotFound):
        await client.artifacts_page(TEAM, "p", "nope", direction)


async def test_many_versions_are_asked_in_few_documents_and_lies_stay_alone(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox)
    ids = [add_artifact(sandbox, files={"f": str(number).encode()}) for number in range(60)]

    def lie(answer: Any) -> None:
        for node in answer["data"].values():
            if node is not None and node["id"] == ids[5]:
                node["artifactSequence"] = "huge"
            if node is not None and node["id"] == ids[6]:
                node["size"] = "huge"

    sandbox.faults.add(Fault.lie(lie))
    found = await client.artifacts([*ids, "gone"])
    assert client.spent.graphql_requests == 2
    assert found["gone"] is None
    assert isinstance(found[ids[5]], BadArtifact)
    flawed = found[ids[6]]
    assert isinstance(flawed, ArtifactRecord)
    assert flawed.size is None
    assert sum(isinstance(record, ArtifactRecord) for record in found.values()) == 59
    assert await client.artifacts([]) == {}


async def test_an_old_server_tells_no_algorithm_and_is_not_asked_twice() -> None:
    with Sandbox.start(legacy=True) as old:
        add_run(old)
        made = add_artifact(old)
        async with client_on(old) as client:
            record = (await client.artifacts([made]))[made]
            assert isinstance(record, ArtifactRecord)
            assert record.digest_algorithm is None
            file = await client.artifact_manifest(made)
            assert file.digest_algorithm is None
            assert client.spent.graphql_requests == 3
            manifest = parse_manifest(await bytes_of(client, file.url))
            assert manifest_digest(manifest.entries, file.digest_algorithm) == record.digest


async def test_a_manifest_comes_to_the_digest_of_its_version(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox)
    made = add_artifact(
        sandbox, files={"z": b"1", "a/b": b"2", "ä": b"3", "../up": b"4"}, references={"ref": "s3://bucket/key"}
    )
    file = await client.artifact_manifest(made)
    manifest = parse_manifest(await bytes_of(client, file.url))
    assert manifest_digest(manifest.entries, file.digest_algorithm) == file.digest
    assert manifest_digest(manifest.entries[1:], file.digest_algorithm) != file.digest
    entries = {entry.path: entry for entry in manifest.entries}
    assert (entries["ref"].ref, entries["ref"].md5_hex) == ("s3://bucket/key", None)
    assert entries["z"].md5_hex == "c4ca4238a0b923820dcc509a6f75849b"
    assert manifest.storage_layout == "V2"
    page = await client.artifact_files(made, first=3)
    rest = await client.artifact_files(made, page.after, first=3)
    assert {file.name for file in page.files + rest.files} == set(entries)
    assert (page.has_more, rest.has_more) == (True, False)
    (listed,) = (file for file in page.files + rest.files if file.name == "z")
    assert await bytes_of(client, listed.url) == b"1"
    sandbox.clock.advance(3601)
    (again,) = (await client.artifact_file_urls(made, ["z", "gone"])).files
    assert await bytes_of(client, again.url) == b"1"
    assert (await client.artifact_file_urls(made, [])).files == ()


async def test_a_version_that_is_not_there_is_not_found(client: Client, sandbox: Sandbox) -> None:
    add_run(sandbox)
    for ask in (client.artifact_manifest, client.artifact_files):
        with pytest.raises(NotFound):
            await ask("nope")
    made = add_artifact(sandbox)
    sandbox.faults.add(Fault.lie(lambda answer: answer["data"]["artifact"].update(currentManifest=None)))
    with pytest.raises(NotFound, match="no manifest"):
        await client.artifact_manifest(made)


@pytest.mark.parametrize(
    "data", [{"artifact": 7}, {"artifact": {"digest": None}}, {"artifact": {"currentManifest": 7}}]
)
async def test_another_shape_is_one_clear_line(client: Client, sandbox: Sandbox, data: object) -> None:
    sandbox.faults.add(Fault.lie(lambda _: {"data": data}))
    with pytest.raises(ServerError) as raised:
        await client.artifact_manifest("a")
    assert "\n" not in raised.value.message


def entry(digest: str = "xMpCOKC5I4INzFCab3WEmw==", extra: str | None = None) -> ManifestEntry:
    return ManifestEntry(path="a", digest=digest, size=1, ref=None, birth_artifact_id=None, extra=extra)


def test_other_digests_are_unverifiable_and_not_wrong() -> None:
    assert manifest_digest([entry()], "MANIFEST_OF_TOMORROW") is None
    assert entry(extra='{"alg":"XXH128"}').md5_hex is None
    assert entry(extra='{"alg":"XXH128"}').algorithm == "xxh128"
    assert entry(extra='{"alg":"XXH128"}').xxh128_hex == "c4ca4238a0b923820dcc509a6f75849b"
    assert entry().xxh128_hex is None
    assert entry(digest="not base64!").md5_hex is None
    assert entry(digest="YQ==").md5_hex is None
    assert entry().md5_hex == "c4ca4238a0b923820dcc509a6f75849b"


def test_what_clients_noted_beside_an_entry_is_kept() -> None:
    body = (
        b'{"contents": {"a\nb": {"digest": "d", "size": "12", "extra": {"etag": "e", "x": NaN}, "local_path": "/x"}}}'
    )
    (found,) = parse_manifest(body).entries
    assert (found.path, found.size) == ("a\nb", 12)
    assert json.loads(found.extra or "") == {"etag": "e", "x": "NaN"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"<Error/>",
        b"\xff",
        b'{"contents": {"a": {}}}',
        b'{"contents": {"a": {"digest": "d", "size": -1}}}',
        b'{"contents": {"a": {"digest": "d", "size": 1e400}}}',
        b'{"contents": {"a": {"digest": "d", "size": "many"}}}',
        b'{"a": ' + b"[" * 100_000,
    ],
)
def test_what_is_no_manifest_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        parse_manifest(body)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_manifest_or_a_value_error(body: bytes) -> None:
    try:
        parse_manifest(body)
    except ValueError:
        return


async def test_a_field_that_takes_its_version_along_gives_the_servers_words(client: Client, sandbox: Sandbox) -> None:
    def climb(body: dict[str, Any]) -> None:
        body["data"]["artifact"] = None
        body["errors"] = [{"message": "internal error in it", "path": ["artifact", "digest"]}]

    add_run(sandbox)
    made = add_artifact(sandbox)
    sandbox.faults.add(Fault.lie(climb))
    for ask in (client.artifact_manifest, client.artifact_files):
        with pytest.raises(GraphQLError, match="internal error in it"):
            await ask(made)
