"""Versions of artifacts: the facts and files that the SDK gives, bytes out of the mirror, what is queued among them."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mirror import Api, NotMirrored, StoreError
from mirror.errors import CommError
from mirror.sandbox import Sandbox
from tests.contract.conftest import ENTITY as TEAM
from tests.mirroring import ENTITY, PROJECT, Mirror
from tests.run.world import Failed, World, offline

FACTS = (
    "id", "name", "qualified_name", "source_entity", "source_project", "source_name", "source_version", "version",
    "source_qualified_name", "entity", "project", "type", "aliases", "tags", "metadata", "description", "digest",
    "size", "file_count", "state", "created_at", "updated_at", "url", "commit_hash", "history_step", "is_link",
    "digest_algorithm",
)  # fmt: skip


def facts(artifact: Any) -> dict[str, Any]:
    return {name: getattr(artifact, name) for name in FACTS} | {"json": artifact.json_encode()}


def read(folder: str | Path) -> dict[str, bytes]:
    root = Path(folder)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def wanted(mirror: Mirror) -> Mirror:
    """The same, with the bytes of artifacts."""
    mirror.policy = {"artifacts_include": ("*",)}
    return mirror


def test_logged_and_used_versions_are_those_that_the_sdk_lists(world: World) -> None:
    def listed(run: Any) -> Any:
        return sorted((facts(artifact) for artifact in run.logged_artifacts()), key=lambda one: one["source_name"])

    assert [one["name"] for one in world.same("maker", listed)] == ["data:v0", "data:v1", "data:v2", "far:v0"]
    assert world.same("user", lambda run: [facts(one) for one in run.used_artifacts()])[0]["aliases"] == ["prod"]
    assert world.same("empty", lambda run: (list(run.used_artifacts()), len(run.logged_artifacts()))) == ([], 0)
    world.same("maker", lambda run: (len(run.logged_artifacts(per_page=2)), run.logged_artifacts(per_page=1)[4]))


@pytest.mark.parametrize("name", ["data", "data:v0", "data:latest", "data:prod", "data:nope", "nope:v0", "data:v9"])
def test_a_version_is_found_by_number_by_alias_and_as_the_latest(world: World, name: str) -> None:
    found = world.same_of_api(lambda api: facts(api.artifact(f"{TEAM}/{world.project}/{name}")))
    if isinstance(found, Failed):
        assert "NotMirrored" in found.kinds
    else:
        assert found["name"] == (name if ":" in name else "data:v2")
    world.same_of_api(lambda api: facts(api.artifact(f"{world.project}/{name}")))


def test_wrong_names_and_types_are_the_errors_of_the_sdk(world: World) -> None:
    path = f"{TEAM}/{world.project}/data:v0"
    assert world.same_of_api(lambda api: api.artifact(path, type="dataset").type) == "dataset"
    for question in (
        lambda api: api.artifact(path, type="model"),
        lambda api: api.artifact(None),
        lambda api: api.artifact("a/b/c/d:v1"),
        lambda api: api.artifact(f"{TEAM}/nothing/data:v0"),
    ):
        assert world.same_of_api(question).kind in {"CommError", "NotMirrored"}


def test_an_alias_may_hold_slashes(sandbox: Sandbox, mirror: Mirror) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r1")
    sandbox.state.add_artifact(ENTITY, PROJECT, "data", files={"a": b"a"}, aliases=["stage/one"], run="r1")
    mirror.pull()
    assert Api(mirror.home).artifact("data:stage/one").source_name == "data:v0"


def test_entries_of_the_manifest_are_those_of_the_sdk(world: World) -> None:
    def entries(run: Any) -> Any:
        return {
            artifact.source_name: {
                path: (entry.path, entry.digest, entry.size, entry.ref, entry.birth_artifact_id, entry.extra)
                for path, entry in artifact.manifest.entries.items()
            }
            | {"all": (artifact.manifest.digest(), artifact.manifest.size(), len(artifact.manifest))}
            for artifact in run.logged_artifacts()
        }

    assert world.same("maker", entries)["far:v0"]["far"][3] == "s3://b/k"
    world.same("maker", lambda run: run.logged_artifacts()[0].get_entry("deep/b.bin").size)
    assert world.same("maker", lambda run: run.logged_artifacts()[0].get_entry("nothing")).kind == "KeyError"


def test_files_of_a_version_are_those_of_the_sdk_but_for_signed_addresses(world: World) -> None:
    fields = ("name", "sizeBytes", "mimetype", "updatedAt", "digest", "md5")

    def listed(run: Any) -> Any:
        files = run.logged_artifacts()[0].files(per_page=2)
        return repr(files), [({name: file._attrs[name] for name in fields}, repr(file), file.size) for file in files]

    world.same("maker", listed)
    world.same("maker", lambda run: [(f.md5, f.digest, f.url) for f in run.logged_artifacts()[3].files(["far"])])
    world.same("maker", lambda run: [f.name for f in run.logged_artifacts()[0].files(names=["a.txt", "nothing"])])
    with offline():
        file = world.run("maker").logged_artifacts()[0].files()[0]
        assert file.direct_url is None
        assert file.url.endswith("/data/v0/files/a.txt")
        with pytest.raises(CommError, match="a version never changes"):
            file.delete()


def test_a_download_is_all_of_it_and_verifies(world: World, tmp_path: Path) -> None:
    path = f"{TEAM}/{world.project}/data:v1"

    def downloaded(api: Any) -> Any:
        artifact = api.artifact(path)
        folder = artifact.download(root=str(tmp_path / "whole"))
        artifact.verify(folder)
        return folder, read(folder)

    _, files = world.same_of_api(downloaded)
    assert set(files) == {"a.txt", "deep/b.bin", "ünï code.txt"}
    part = world.same_of_api(lambda api: read(api.artifact(path).download(str(tmp_path / "part"), path_prefix="deep")))
    assert set(part) == {"deep/b.bin"}
    world.same_of_api(lambda api: api.artifact(path).get_entry("a.txt").download(str(tmp_path / "one")))
    world.same_of_api(lambda api: api.artifact(path).file(str(tmp_path / "one")))


def test_verify_finds_what_is_wrong_as_the_sdk_does(world: World, tmp_path: Path) -> None:
    other = f"{TEAM}/{world.project}/data:v0"
    with offline():
        world.api().artifact(other).download(str(tmp_path))
    world.same_of_api(lambda api: api.artifact(f"{TEAM}/{world.project}/data:v1").verify(str(tmp_path)))
    (tmp_path / "more").write_bytes(b"")
    assert world.same_of_api(lambda api: api.artifact(other).verify(str(tmp_path))).kind == "ValueError"
    (tmp_path / "more").unlink()
    (tmp_path / "a.txt").unlink()
    with pytest.raises(ValueError, match=r"Missing file: a\.txt"):
        world.api().artifact(other).verify(str(tmp_path))


def test_files_that_are_there_stay_when_equal_and_are_replaced_when_not(world: World, tmp_path: Path) -> None:
    artifact = world.api().artifact(f"{TEAM}/{world.project}/data:v1")
    artifact.download(tmp_path)
    before = (tmp_path / "deep/b.bin").stat().st_mtime_ns
    (tmp_path / "a.txt").write_bytes(b"other")
    (tmp_path / "mine").write_bytes(b"mine")
    artifact.download(tmp_path)
    assert read(tmp_path)["a.txt"] == b"a1"
    assert read(tmp_path)["mine"] == b"mine"
    assert (tmp_path / "deep/b.bin").stat().st_mtime_ns == before


def test_without_a_folder_it_goes_where_the_sdk_puts_it(world: World, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_ARTIFACT_DIR", str(tmp_path / "artifacts"))
    folder = world.same_of_api(lambda api: os.fspath(api.artifact(f"{TEAM}/{world.project}/data:prod").download()))
    assert folder == str(tmp_path / "artifacts" / "data:v1")


def test_references_are_said_to_be_elsewhere_or_left_out_when_asked(world: World, tmp_path: Path) -> None:
    artifact = world.api().artifact(f"{TEAM}/{world.project}/far:v0")
    with offline(), pytest.raises(NotMirrored, match=r"reference \(s3\) to 's3://b/k'") as error:
        artifact.download(tmp_path)
    assert "allow_missing_references" in error.value.hint
    assert read(tmp_path) == {}, "either all or nothing"
    assert read(artifact.download(tmp_path, allow_missing_references=True)) == {"here.txt": b"here"}
    assert artifact.get_entry("far").ref_target() == "s3://b/k"


def test_bytes_that_nobody_wanted_say_what_wants_them(sandbox: Sandbox, mirror: Mirror, tmp_path: Path) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r1")
    sandbox.state.add_artifact(ENTITY, PROJECT, "data", files={"a.txt": b"a"}, run="r1")
    mirror.pull()
    artifact = Api(mirror.home).artifact("data:latest")
    assert artifact.manifest.entries["a.txt"].size == 1
    with offline(), pytest.raises(NotMirrored, match=r"'a\.txt' of team/proj/data:v0 is not in this mirror") as error:
        artifact.download(tmp_path / "out")
    assert "artifacts_include" in error.value.hint
    assert "'data'" in error.value.hint
    assert f"wandb-mirror pull {ENTITY}/{PROJECT}/r1`" in error.value.hint
    wanted(mirror).pull(runs=("r1",))
    assert read(Api(mirror.home).artifact("data").download(tmp_path / "out")) == {"a.txt": b"a"}


def test_an_entry_that_leaves_the_folder_is_refused(sandbox: Sandbox, mirror: Mirror, tmp_path: Path) -> None:
    ways_out = ("../up", "/abs/up", "d/../../up", "C:up", "..\\up")
    sandbox.state.add_run(ENTITY, PROJECT, "r1")
    for number, path in enumerate(ways_out):
        sandbox.state.add_artifact(ENTITY, PROJECT, f"data{number}", files={path: b"evil", "good": b"good"}, run="r1")
    wanted(mirror).pull()
    target = tmp_path / "deep" / "target"
    for number, path in enumerate(ways_out):
        artifact = Api(mirror.home).artifact(f"data{number}")
        with pytest.raises(ValueError, match="Invalid artifact path"):
            artifact.download(target)
        with pytest.raises(ValueError, match="Invalid artifact path"):
            artifact.get_entry(path).download(str(target))
    assert not target.exists()
    assert list(tmp_path.rglob("up")) == []


def test_an_artifact_whose_name_is_a_way_out_needs_a_folder(sandbox: Sandbox, mirror: Mirror, tmp_path: Path) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r1")
    sandbox.state.add_artifact(ENTITY, PROJECT, "../../up", files={"a": b"a"}, run="r1")
    wanted(mirror).pull()
    (artifact,) = Api(mirror.home).run(f"{ENTITY}/{PROJECT}/r1").logged_artifacts()
    with pytest.raises(ValueError, match="Invalid artifact name"):
        artifact.download()
    assert read(artifact.download(tmp_path / "out")) == {"a": b"a"}


def test_a_digest_of_another_kind_is_verified_as_well(sandbox: Sandbox, mirror: Mirror, tmp_path: Path) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r1")
    made = sandbox.state.add_artifact(
        ENTITY, PROJECT, "data", files={"a.bin": b"a" * 999}, run="r1", digest_algorithm="MANIFEST_XXH128"
    )
    wanted(mirror).pull()
    artifact = Api(mirror.home).artifact("data")
    assert (artifact.digest, artifact.digest_algorithm) == (made.digest, "MANIFEST_XXH128")
    assert artifact.manifest.digest() == made.digest
    artifact.verify(artifact.download(tmp_path / "out"))
    (tmp_path / "out" / "a.bin").write_bytes(b"b" * 999)
    with pytest.raises(ValueError, match="Digest mismatch"):
        artifact.verify(str(tmp_path / "out"))


def test_who_made_and_who_used_a_version(world: World) -> None:
    assert world.same("maker", lambda run: {one.logged_by().id for one in run.logged_artifacts()}) == {"maker"}
    world.same("maker", lambda run: {one.name: [by.id for by in one.used_by()] for one in run.logged_artifacts()})


def test_a_maker_that_is_not_mirrored_is_not_said_to_be_nobody(sandbox: Sandbox, mirror: Mirror) -> None:
    sandbox.state.add_run(ENTITY, "other", "maker")
    made = sandbox.state.add_artifact(ENTITY, "other", "data", files={"a": b"a"}, run="maker")
    sandbox.state.note_used(sandbox.state.add_run(ENTITY, PROJECT, "r1"), made)
    mirror.pull()
    (artifact,) = Api(mirror.home).run(f"{ENTITY}/{PROJECT}/r1").used_artifacts()
    assert (artifact.project, [run.id for run in artifact.used_by()]) == ("other", ["r1"])
    with pytest.raises(NotMirrored, match="no run in this mirror logged team/other/data:v0"):
        artifact.logged_by()


def test_what_is_queued_is_among_the_logged_and_used_at_once(sandbox: Sandbox, mirror: Mirror) -> None:
    for run_id in ("maker", "idle"):
        sandbox.state.add_run(ENTITY, PROJECT, run_id)
    for name in ("one", "two"):
        sandbox.state.add_artifact(ENTITY, PROJECT, name, files={"a": b"a"}, run="maker")
    mirror.pull()
    with offline():
        api = Api(mirror.home)
        idle = api.run(f"{ENTITY}/{PROJECT}/idle")
        idle.use_artifact(api.artifact("one:v0"))
        idle.log_artifact(api.artifact("two:v0"), aliases=["again", "latest"], tags=["t"])
        for run in (idle, Api(mirror.home).run(f"{ENTITY}/{PROJECT}/idle")):
            assert [artifact.name for artifact in run.used_artifacts()] == ["one:v0"]
            (logged,) = run.logged_artifacts()
            assert (logged.name, logged.aliases, logged.tags) == ("two:v0", ["latest", "again"], ["t"])
    assert sandbox.state.project(ENTITY, PROJECT).runs["idle"].used == []


def test_aliases_and_tags_change_by_the_outbox_and_show_at_once(sandbox: Sandbox, mirror: Mirror) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "maker")
    for name in ("first", "second"):
        sandbox.state.add_artifact(
            ENTITY, PROJECT, "data", files={"a": name.encode()}, aliases=[name], tags=["t"], run="maker",
            metadata={"n": [1]},
        )  # fmt: skip
    mirror.pull()
    api = Api(mirror.home)
    with offline():
        artifact, before = api.artifact("data:first"), api.artifact("data:v1")
        artifact.save()
        assert [item.kind for item in api.run(f"{ENTITY}/{PROJECT}/maker").pending] == []
        artifact.aliases.append("best")
        artifact.aliases.remove("first")
        artifact.tags = ["t", "good one"]
        artifact.save()
        artifact.save()
        (pending,) = api.run(f"{ENTITY}/{PROJECT}/maker").pending
        assert msgspec.to_builtins(pending.operation) == {
            "kind": "edit_artifact", "artifact_id": artifact.id, "name": f"{ENTITY}/{PROJECT}/data:v0",
            "type": "dataset", "add_aliases": ("best",), "remove_aliases": ("first",), "add_tags": ("good one",),
            "remove_tags": (),
        }  # fmt: skip
        for found in (artifact, api.artifact("data:best"), api.artifacts("dataset", "data", order="+version_index")[0]):
            assert (found.version, found.aliases, found.tags) == ("v0", ["best"], ["t", "good one"])
        with pytest.raises(NotMirrored):
            api.artifact("data:first")
        assert not api.artifact_exists("data:first")
        assert [one.version for one in api.artifacts("dataset", "data", tags=["good one"])] == ["v0"]
        before.aliases += ["best"]
        before.save()
        assert (api.artifact("data:best").version, api.artifact("data:v0").aliases) == ("v1", [])
        assert api.artifact_collection("dataset", "data").aliases == ["best", "latest", "second"]
        (logged, _) = api.run(f"{ENTITY}/{PROJECT}/maker").logged_artifacts()
        assert (logged.version, logged.aliases, logged.tags) == ("v0", [], ["t", "good one"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: found.aliases.append("a/b"), "must not contain any of the following characters: '/', ':'"),
        (lambda found: found.aliases.append("v7"), "'v7' is the name of a version"),
        (lambda found: found.aliases.append(7), "aliases are texts"),
        (lambda found: found.tags.append("no!"), "Invalid tag"),
        (lambda found: found.metadata.update(n=2), "changing metadata of .* needs the server"),
        (lambda found: found.metadata["n"].append(2), "changing metadata of .* needs the server"),
    ],
)
def test_what_cannot_be_queued_of_a_version_is_refused_and_nothing_is(
    sandbox: Sandbox, mirror: Mirror, change: Callable[[Any], Any], words: str
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "maker")
    sandbox.state.add_artifact(ENTITY, PROJECT, "data", files={"a": b"a"}, run="maker", metadata={"n": [1]})
    mirror.pull()
    artifact = Api(mirror.home).artifact("data")
    artifact.tags.append("fine")
    change(artifact)
    with pytest.raises(CommError, match=words):
        artifact.save()
    assert Api(mirror.home).run(f"{ENTITY}/{PROJECT}/maker").pending == []
    with pytest.raises(ValueError, match="Invalid tag"):
        artifact.tags = ["no!"]


def test_a_manifest_that_could_not_be_read_is_an_error_and_not_empty(sandbox: Sandbox, mirror: Mirror) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r1")
    made = sandbox.state.add_artifact(ENTITY, PROJECT, "data", files={"a": b"a"}, run="r1")
    sandbox.state.bucket.put(str(made.manifest_key), b"{torn")
    mirror.pull()
    run = Api(mirror.home).run(f"{ENTITY}/{PROJECT}/r1")
    with pytest.raises(NotMirrored):
        _ = [len(artifact.files()) for artifact in run.logged_artifacts()]


def test_damaged_bytes_of_a_version_are_never_handed_out(sandbox: Sandbox, mirror: Mirror, tmp_path: Path) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r1")
    sandbox.state.add_artifact(ENTITY, PROJECT, "data", files={"a": b"whole"}, run="r1")
    wanted(mirror).pull()
    digest = hashlib.sha256(b"whole").hexdigest()
    path = mirror.home.objects / digest[:2] / digest
    path.chmod(0o644)
    path.write_bytes(b"whol?")
    with pytest.raises(StoreError, match="damaged"):
        Api(mirror.home).artifact("data").download(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_versions_and_lists_travel_to_another_process(world: World) -> None:
    with offline():
        logged = world.run("maker").logged_artifacts(per_page=2)
        names = [artifact.name for artifact in logged]
        assert [artifact.name for artifact in pickle.loads(pickle.dumps(logged))] == names
        artifact = pickle.loads(pickle.dumps(logged[0]))
        assert facts(artifact) == facts(logged[0])
        assert len(artifact.manifest) == 3
