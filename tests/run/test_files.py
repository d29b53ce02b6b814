"""Files of a run: listed and found as the SDK does, downloaded out of the mirror, queued and hidden."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mirror as package
from mirror import Api, NotMirrored, StoreError
from mirror.errors import CommError
from mirror.layout import Home
from mirror.run.sdk.like import like
from mirror.sandbox import Sandbox
from mirror.sandbox.faults.fault import Fault, Match
from tests.mirroring import ENTITY, PROJECT, Mirror
from tests.run.conftest import HOSTILE_NAMES
from tests.run.world import World, offline

RUN = f"{ENTITY}/{PROJECT}/r1"
FIELDS = ("id", "name", "sizeBytes", "mimetype", "updatedAt", "md5")
BODY = b"first line\nsecond\r\nl\xc3\xa4st"


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """A run with some files, of which the policy leaves one out; for copying."""
    files = {"a.txt": BODY, "d/b.bin": bytes(range(256)) * 300, "left.out": b"x", "empty": b""}
    home = Home(tmp_path_factory.mktemp("files") / "home")
    with Sandbox.start() as sandbox:
        sandbox.state.add_run(ENTITY, PROJECT, "r1", files=files)
        policy = {"files_exclude": ("*.out",)}
        mirror = Mirror(url=sandbox.url, api_key=sandbox.api_key, home=home, policy=policy)
        assert mirror.pull().failures == 0
        yield mirror


@pytest.fixture
def held(pulled: Mirror, home: Home) -> Mirror:
    """A mirror of that run of a test's own."""
    return pulled.copied(home)


def run_of(mirror: Mirror) -> package.Run:
    return Api(mirror.home).run(RUN)


def names(run: Any) -> list[str]:
    return [file.name for file in run.files()]


@pytest.mark.parametrize("run_id", ["many", "hostile", "empty"])
def test_fields_order_and_names_are_those_that_the_sdk_lists(world: World, run_id: str) -> None:
    def listed(run: Any) -> Any:
        files = run.files(per_page=33)
        return repr(files), [({field: file._attrs[field] for field in FIELDS}, repr(file), file.size) for file in files]

    _, files = world.same(run_id, listed)
    assert len(files) == {"many": 121, "hostile": len(HOSTILE_NAMES), "empty": 0}[run_id]


def test_both_spellings_give_a_field_and_a_wrong_one_fails_alike(world: World) -> None:
    world.same("many", lambda run: (lambda f: (f.updated_at, f.updatedAt, f.size_bytes, f.sizeBytes))(run.files()[3]))
    world.same("many", lambda run: run.files()[3].nothing_of_this_name)


@pytest.mark.parametrize(
    "pattern",
    ["%.txt", "%", "", "_", "F/%", "f/00_.txt", "under_score.txt", "under\\_score.txt", "100\\%%", "%é%☃%", "%\n%"],
)
@pytest.mark.parametrize("run_id", ["many", "hostile"])
def test_a_pattern_selects_as_sql_does_and_the_length_stays_that_of_all(
    world: World, run_id: str, pattern: str
) -> None:
    def selected(run: Any) -> Any:
        files = run.files(pattern=pattern)
        return [file.name for file in files], len(files)

    world.same(run_id, selected)


def test_a_pattern_of_many_wildcards_takes_no_longer_than_a_plain_one() -> None:
    assert not like("%a" * 200 + "b")("a" * 4000)
    assert like("%a_" * 20 + "%")("ab" * 40)
    assert [name for name in ("ab", "aab", "abab", "b") if like("a%b")(name)] == ["ab", "aab", "abab"]
    assert not like("ab%ba")("aba"), "what stands before a wildcard is not what stands behind it"


def test_names_select_exactly_and_unknown_ones_nothing(world: World) -> None:
    wanted = ["f/001.txt", "nothing", "f/000.txt", "f/%"]
    assert world.same("many", lambda run: [file.name for file in run.files(names=wanted)]) == ["f/000.txt", "f/001.txt"]
    world.same("hostile", lambda run: [file.name for file in run.files(names=list(HOSTILE_NAMES))])
    assert world.same("many", lambda run: len(run.files(names=["nothing"]))) == 121


def test_names_and_a_pattern_together_and_a_missing_file_are_the_errors_of_the_sdk(world: World) -> None:
    assert world.same("many", lambda run: run.files(names=["a"], pattern="b")).kind == "CommError"
    assert world.same("many", lambda run: run.file("nothing")).text == "list index out of range"
    assert world.same("many", lambda run: run.file("f/007.txt").name) == "f/007.txt"


def test_pages_indexes_and_slices_are_those_of_the_sdk(world: World) -> None:
    world.same("many", lambda run: [file.name for file in run.files(per_page=7)[3:20]])
    world.same("many", lambda run: run.files(per_page=7)[119].name)
    world.same("many", lambda run: run.files(per_page=7)[121])
    world.same("many", lambda run: (lambda files: (next(files).name, files.next().name))(run.files(per_page=1)))

    def twice(run: Any) -> Any:
        files = run.files(per_page=50)
        return [file.name for file in files] == [file.name for file in files], files.more, len(files.objects)

    assert world.same("many", twice) == (True, False, 121)
    with offline():
        assert world.run("many").files()[-1].name == "wandb-metadata.json", "unlike the SDK's, a fresh list has an end"


@pytest.mark.parametrize("run_id", ["many", "odd", "empty"])
def test_metadata_is_parsed_or_none(world: World, run_id: str) -> None:
    world.same(run_id, lambda run: run.metadata)


def test_metadata_is_the_same_object_once_it_was_found(world: World) -> None:
    run = world.run("many")
    assert run.metadata is not None
    assert run.metadata is run.metadata


def test_addresses_of_the_bucket_are_not_pretended(world: World) -> None:
    with offline():
        file = world.run("many").file("f/001.txt")
        assert file.url == f"{world.run('many').url}/files/f/001.txt"
        assert file.direct_url is None
        with pytest.warns(UserWarning, match="direct_url"):
            assert file.path_uri == ""


def test_files_travel_to_another_process_and_answer_there(world: World) -> None:
    files = world.run("many").files(per_page=7)
    assert files[5].name == "f/005.txt"
    with offline():
        copied = pickle.loads(pickle.dumps(files))
        assert [file.name for file in copied] == [file.name for file in files]
        one = pickle.loads(pickle.dumps(files[5]))
        assert (one.name, one.run.id, one.size) == ("f/005.txt", "many", 1)


def test_a_download_is_the_file_opened_as_text_below_its_folder(world: World, tmp_path: Path) -> None:
    def read(run: Any) -> Any:
        with run.file("f/001.txt").download(root=str(tmp_path), replace=True) as file:
            return file.name, file.mode, file.read(), type(file).__name__

    world.same("many", read)


def test_every_name_that_a_folder_can_hold_arrives_with_its_bytes(world: World, tmp_path: Path) -> None:
    with offline():
        for file in world.run("hostile").files():
            file.download(root=str(tmp_path)).close()
    there = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert there == set(HOSTILE_NAMES)
    assert all((tmp_path / name).read_bytes() == name.encode() * 3 for name in HOSTILE_NAMES)


def test_a_name_that_leaves_the_folder_is_refused(sandbox: Sandbox, mirror: Mirror, tmp_path: Path) -> None:
    ways_out = ("../up", "d/../../up", "/abs", "C:/abs", "..\\up", "\\\\host\\share", ".")
    sandbox.state.add_run(ENTITY, PROJECT, "r1", files=dict.fromkeys(ways_out, b"evil"))
    mirror.pull()
    for name in ways_out:
        with pytest.raises(CommError, match="Invalid path"):
            run_of(mirror).file(name).download(root=str(tmp_path / "target"))
    assert list(tmp_path.rglob("up")) == []
    assert not (tmp_path / "target").exists()


def test_a_link_inside_the_folder_is_never_followed(held: Mirror, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "d").symlink_to(tmp_path / "outside")
    with pytest.raises(CommError, match="symbolic link"):
        run_of(held).file("d/b.bin").download(root=str(tmp_path / "target"))
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_file_that_is_there_is_replaced_only_when_asked(held: Mirror, tmp_path: Path) -> None:
    file = run_of(held).file("a.txt")
    (tmp_path / "a.txt").write_bytes(b"mine")
    with pytest.raises(CommError, match="pass replace=True to overwrite or exist_ok=True"):
        file.download(root=str(tmp_path))
    assert (tmp_path / "a.txt").read_bytes() == b"mine"
    file.download(root=str(tmp_path), replace=True).close()
    assert (tmp_path / "a.txt").read_bytes() == BODY


def test_exist_ok_takes_whole_files_and_never_half_of_one(held: Mirror, tmp_path: Path) -> None:
    file = run_of(held).file("a.txt")
    file.download(root=str(tmp_path)).close()
    before = (tmp_path / "a.txt").stat().st_mtime_ns
    file.download(root=str(tmp_path), exist_ok=True).close()
    assert (tmp_path / "a.txt").stat().st_mtime_ns == before
    for partial in (BODY[:-1], BODY[:-1] + b"?"):
        (tmp_path / "a.txt").write_bytes(partial)
        with pytest.raises(CommError, match="other bytes"):
            file.download(root=str(tmp_path), exist_ok=True)


def test_damaged_bytes_are_never_handed_out(held: Mirror, tmp_path: Path) -> None:
    digest = hashlib.sha256(BODY).hexdigest()
    path = held.home.objects / digest[:2] / digest
    path.chmod(0o644)
    path.write_bytes(BODY[:-1] + b"?")
    with pytest.raises(StoreError, match="damaged"):
        run_of(held).file("a.txt").download(root=str(tmp_path))
    assert list(tmp_path.glob("a.txt")) == []


def test_bytes_that_the_policy_left_out_say_so_and_how_to_have_them(held: Mirror, tmp_path: Path) -> None:
    with offline(), pytest.raises(NotMirrored, match=r"left out, files_exclude has '\*\.out'") as error:
        run_of(held).file("left.out").download(root=str(tmp_path))
    assert f"wandb-mirror pull {RUN}" in error.value.hint
    assert "files_exclude" in error.value.hint
    held.policy = {}
    held.pull(runs=("r1",))
    with run_of(held).file("left.out").download(root=str(tmp_path)) as file:
        assert file.read() == "x"


def test_bytes_that_could_not_be_fetched_say_why(sandbox: Sandbox, mirror: Mirror, tmp_path: Path) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r1")
    sandbox.state.add_file(ENTITY, PROJECT, "r1", "lie.txt", b"true", md5="AAAAAAAAAAAAAAAAAAAAAA==")
    mirror.pull()
    file = run_of(mirror).file("lie.txt")
    with pytest.raises(NotMirrored, match=r"'lie\.txt' of .*: md5 is"):
        file.download(root=str(tmp_path))


def test_an_upload_reads_at_once_and_takes_the_place_of_the_file_before(held: Mirror, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name, body in (("a.txt", b"new"), ("new.txt", b"newer")):
        (source / name).write_bytes(body)
        uploaded = run_of(held).upload_file(str(source / name), root=str(source))
        (source / name).write_bytes(b"changed afterwards")
        assert (uploaded.name, uploaded.size) == (name, len(body))
    run = run_of(held)
    assert names(run) == ["a.txt", "d/b.bin", "empty", "left.out", "new.txt"]
    for name, text in (("a.txt", "new"), ("new.txt", "newer")):
        with run.file(name).download(root=str(tmp_path / "out")) as file:
            assert file.read() == text
    assert run.file("a.txt").id is not None
    assert run.file("new.txt").id is None
    assert [file.name for file in run.files(pattern="n%")] == ["new.txt"]
    assert len(run.files(names=["new.txt"])) == 5


def test_a_deleted_file_is_gone_at_once_and_what_is_queued_names_it(held: Mirror) -> None:
    run = run_of(held)
    file = run.file("a.txt")
    file.delete()
    for seen in (run, run_of(held)):
        assert names(seen) == ["d/b.bin", "empty", "left.out"]
        (pending,) = seen.pending
        assert (pending.kind, pending.operation.name) == ("delete_file", "a.txt")  # type: ignore[union-attr]
        assert pending.operation.file_id == file.id  # type: ignore[union-attr]
        with pytest.raises(CommError, match="list index out of range"):
            seen.file("a.txt")


def test_a_list_that_the_pull_could_not_read_is_an_error_and_not_empty(sandbox: Sandbox, mirror: Mirror) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r1", files={"a.txt": b"a"})
    sandbox.state.log_console(ENTITY, PROJECT, "r1", ["a line"])
    for part in ("files(", "logLines(", "outputArtifacts("):
        place = Match(kind="graphql", query=part, variables=lambda given: given.get("project") == PROJECT)
        sandbox.faults.add(Fault.graphql_error("boom", status=500, match=place))
    mirror.pull()
    run = run_of(mirror)
    for question in (lambda: len(run.files()), lambda: list(run.console_logs()), lambda: list(run.logged_artifacts())):
        with pytest.raises(NotMirrored, match=r"(are|is) not in this mirror: .*boom"):
            question()
    assert run.metadata is None
