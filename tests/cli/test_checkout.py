"""`checkout RUN [DIR]`: the files of a run, byte for byte, and nothing outside the folder, whatever their names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import unquote

import pytest

from mirror.errors import EXIT_PARTIAL
from mirror.sandbox import Fault, Sandbox
from tests.cli.conftest import Cli

PLAIN = {
    "model.pt": b"\x00weights" * 1000,
    "a/b/notes.txt": b"",
    "caf\u00e9.txt": b"1",
    "Model.pt": b"other",
    "-rf": b"x",
}
HOSTILE = {
    "../evil": b"1", "a/../../evil": b"2", "/etc/evil": b"3", "C:\\evil": b"4", "x" * 300: b"5", "a/./evil": b"6",
    "a//evil": b"7", "a": b"a file where others need a folder",
}  # fmt: skip

ACTING = ("bad\x1b[31mname\x07.txt", "two\nlines", "txt.\u202eexe", "d\rir/a")


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A mirror of one run with plain files, one with hostile ones, one with an artifact and one without anything."""
    with Sandbox.start() as sandbox:
        state = sandbox.state
        state.add_run("team", "proj", "plain", files=PLAIN)
        state.add_run("team", "proj", "hostile", files={**PLAIN, **HOSTILE})
        state.add_run("team", "proj", "odd", files={"/x": b"x"})
        state.add_run("team", "proj", "other", files={"/w": b"w"})
        state.add_run("team", "proj", "taker", files={"odd-names/y": b"y", "/z": b"z"})
        state.add_run("team", "proj", "maker")
        state.add_artifact(
            "team", "proj", "model", type="model", files={"w/1.bin": b"one"}, run="maker", aliases=["best"]
        )
        state.add_run("team", "proj", "acting", files={"plain é.txt": b"p", **dict.fromkeys(ACTING, b"a")})
        state.add_run("team", "proj", "..", files={"x": b"1"})
        cli = Cli(folder=tmp_path_factory.mktemp("checkout")).at(sandbox).configure("team/proj")
        cli.config.write_text(cli.config.read_text() + 'artifacts_include = ["*"]\nfiles_exclude = ["*.tmp"]\n')
        state.add_run("team", "proj", "partly", files={"kept": b"k", "left.tmp": b"l"})
        cli("pull", code=0)
    return cli


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_files_of_a_run_are_written_byte_for_byte(held: Cli, tmp_path: Path) -> None:
    said = held("checkout", "plain", str(tmp_path / "new" / "out"), code=0)
    assert sorted(said.out.splitlines()) == sorted(PLAIN)
    assert tree(tmp_path / "new" / "out") == PLAIN
    assert f"5 files (8.0 kB) written to {tmp_path / 'new' / 'out'}" in said.err
    for path in (tmp_path / "new" / "out").rglob("*"):
        assert os.access(path, os.W_OK), "a copy of one's own"


def test_without_a_folder_it_is_named_for_the_run(held: Cli) -> None:
    held("checkout", "team/proj/maker", "--artifact", "model:v0", code=0)
    assert tree(held.folder / "model-v0") == {"w/1.bin": b"one"}
    held("checkout", "team/proj/plain", code=0)
    assert tree(held.folder / "plain") == PLAIN
    assert "cannot be the name of a folder" in held.fails(3, "checkout", "team/proj/..").error


def test_nothing_leaves_the_folder_and_odd_names_are_written_under_others_that_a_table_names(
    held: Cli, tmp_path: Path
) -> None:
    before = tree(tmp_path)
    folder = tmp_path / "deep" / "down" / "out"
    report = held("checkout", "hostile", str(folder), "--json", code=0).json
    table = json.loads((folder / "odd-names.json").read_text(encoding="ascii"))
    # "a" sorts before "a/b/notes.txt", so that the latter is the one without a place.
    assert {row["name"] for row in table} == {*HOSTILE, "a/b/notes.txt"} - {"a"}
    assert all(row["reason"] for row in table)
    bodies = {**PLAIN, **HOSTILE}
    for row in table:
        assert (folder / row["path"]).read_bytes() == bodies[row["name"]]
        if "%~" not in row["path"]:
            assert unquote(row["path"].removeprefix("odd-names/")) == row["name"]
    assert {file["name"]: file["path"] for file in report["files"] if file["path"] != file["name"]} == {
        row["name"]: row["path"] for row in table
    }
    plain = {name: body for name, body in tree(folder).items() if not name.startswith("odd-names")}
    assert plain == {"a": HOSTILE["a"]} | {name: body for name, body in PLAIN.items() if "/" not in name}
    assert {name for name in tree(tmp_path) if not name.startswith("deep/down/out/")} == before.keys()
    again = held("checkout", "hostile", str(folder), code=0)
    assert again.out == "", "what is there already is left alone"
    assert f"8 names cannot be those of files here; {folder}/odd-names.json says under which they are" in again.err
    assert json.loads((folder / "odd-names.json").read_text()) == table


def test_the_table_takes_no_files_place_and_keeps_what_another_checkout_noted(held: Cli, tmp_path: Path) -> None:
    held("checkout", "odd", str(tmp_path), code=0)
    assert tree(tmp_path / "odd-names") == {"%2Fx": b"x"}
    said = held("checkout", "taker", str(tmp_path), code=0)
    assert said.out.splitlines() == ["odd-names-2/%2Fz", "odd-names/y"], "a file has the name of the folder"
    held("checkout", "other", str(tmp_path), code=0)
    names = [row["name"] for row in json.loads((tmp_path / "odd-names.json").read_text())]
    assert names == ["/w", "/x"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "odd-names.json").write_text("mine")
    held("checkout", "odd", str(tmp_path / "mine"), code=0)
    assert tree(tmp_path / "mine").keys() == {"odd-names.json", "odd-names-2.json", "odd-names-2/%2Fx"}
    assert (tmp_path / "mine" / "odd-names.json").read_text() == "mine"
    (tmp_path / "out").mkdir()
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "odd-names").symlink_to(tmp_path / "out")
    assert "is a symbolic link" in held("checkout", "odd", str(tmp_path / "link"), code=9).err
    assert list((tmp_path / "out").iterdir()) == []


def test_a_symbolic_link_in_the_folder_is_not_followed(held: Cli, tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "out"
    for place in (outside, folder):
        place.mkdir()
    (folder / "a").symlink_to(outside)
    (folder / "model.pt").symlink_to(outside / "target")
    said = held("checkout", "plain", str(folder), code=9)
    assert "'a' is there and is no folder, or is a symbolic link" in said.err
    assert "skipped 'model.pt': something that is no file is there; --force replaces it" in said.err
    assert list(outside.iterdir()) == []
    held("checkout", "plain", str(folder), "--force", code=9)
    assert list(outside.iterdir()) == []
    assert not (folder / "model.pt").is_symlink()
    assert (folder / "model.pt").read_bytes() == PLAIN["model.pt"]


def test_equal_files_are_left_alone_and_others_only_replaced_by_force(held: Cli, tmp_path: Path) -> None:
    held("checkout", "plain", str(tmp_path), code=0)
    stamp = (tmp_path / "model.pt").stat()
    (tmp_path / "Model.pt").write_bytes(b"mine!")
    (tmp_path / "unknown").write_bytes(b"stays")
    said = held("checkout", "plain", str(tmp_path), code=9)
    assert said.out == ""
    assert "skipped 'Model.pt': a file with other bytes is there; --force replaces it" in said.err
    assert (tmp_path / "Model.pt").read_bytes() == b"mine!"
    assert held("checkout", "plain", str(tmp_path), "--force", code=0).out == "Model.pt\n"
    assert tree(tmp_path) == {**PLAIN, "unknown": b"stays"}
    after = (tmp_path / "model.pt").stat()
    assert (after.st_ino, after.st_mtime_ns) == (stamp.st_ino, stamp.st_mtime_ns)


def test_hard_links_are_made_only_when_asked_for_and_are_read_only(held: Cli, tmp_path: Path) -> None:
    if held.home.stat().st_dev != tmp_path.stat().st_dev:
        pytest.skip("two file systems")
    report = held("checkout", "plain", str(tmp_path), "--link", "--json", code=0).json
    assert {file["outcome"] for file in report["files"]} == {"linked"}
    found = (tmp_path / "model.pt").stat()
    assert found.st_nlink == 2
    assert found.st_mode & 0o222 == 0
    assert not list(tmp_path.rglob(".tmp-*"))


def test_an_artifact_is_written_by_version_and_by_alias(held: Cli, tmp_path: Path) -> None:
    for version in ("v0", "best", "latest"):
        held("checkout", "maker", str(tmp_path / version), "--artifact", f"model:{version}", code=0)
        assert tree(tmp_path / version) == {"w/1.bin": b"one"}
    failed = held.fails(5, "checkout", "maker", str(tmp_path / "no"), "--artifact", "model:v9")
    assert "status team/proj/maker" in failed.hint
    assert not (tmp_path / "no").exists()


def test_what_is_not_mirrored_is_named_with_its_reason(held: Cli, tmp_path: Path) -> None:
    said = held("checkout", "partly", str(tmp_path), code=0)
    assert said.out == "kept\n"
    assert "not mirrored 'left.tmp': files_exclude has '*.tmp'" in said.err
    assert "pull team/proj/nope" in held.fails(5, "checkout", "nope").hint


def test_what_could_not_be_listed_is_no_run_without_files(sandbox: Sandbox, cli: Cli, tmp_path: Path) -> None:
    sandbox.state.add_run("team", "proj", "r", files={"a": b"1"})
    sandbox.state.add_run("team", "proj", "s", files={"a": b"1"})
    sandbox.state.add_artifact("team", "proj", "model", type="model", files={"w": b"one"}, run="r")
    cli = cli.at(sandbox).configure("team/proj")
    cli.config.write_text(cli.config.read_text() + 'artifacts_include = ["*"]\n')
    sandbox.faults.add(
        Fault.field_error("Run.files", run="r"),
        Fault.field_error("ArtifactManifest.file"),
    )
    cli("pull", code=EXIT_PARTIAL)
    for asked in (("checkout", "r", str(tmp_path / "r")), ("code", "r", "--list"), ("code", "r")):
        refused = cli.fails(5, *asked)
        assert "the files of team/proj/r are not in this mirror: " in refused.error
        assert "wandb-mirror pull team/proj/r" in refused.hint
    refused = cli.fails(5, "checkout", "r", str(tmp_path / "r"), "--artifact", "model:v0")
    assert "the manifest of model:v0 is not in this mirror" in refused.error
    assert "wandb-mirror pull" in refused.hint


def test_what_was_listed_before_is_written_and_there_may_be_more(sandbox: Sandbox, cli: Cli, tmp_path: Path) -> None:
    for run_id in ("r", "s"):
        sandbox.state.add_run("team", "proj", run_id, files={"a": b"1"}, state="running")
    cli = cli.at(sandbox).configure("team/proj")
    cli("pull", code=0)
    sandbox.state.add_file("team", "proj", "r", "b", b"2")
    sandbox.faults.add(Fault.field_error("Run.files", run="r"))
    cli("pull", code=EXIT_PARTIAL)
    said = cli("checkout", "r", str(tmp_path / "r"), code=EXIT_PARTIAL)
    assert tree(tmp_path / "r") == {"a": b"1"}
    assert "there may be more files: " in said.err


def test_a_damaged_object_is_never_written(held: Cli, tmp_path: Path) -> None:
    digest = held("sql", "SELECT object FROM files WHERE name = 'kept'", "--json", code=0).json[0]["object"]
    path = held.home / "objects" / "sha256" / digest[:2] / digest
    path.chmod(0o644)
    path.write_bytes(b"j")
    try:
        said = held("checkout", "partly", str(tmp_path), code=9)
    finally:
        path.write_bytes(b"k")
        path.chmod(0o444)
    assert "is damaged" in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_one_clear_line(held: Cli, tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    held.fails(8, "checkout", "plain", str(tmp_path / "x"))


def test_a_file_in_place_of_the_folder_is_one_clear_line(held: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    held.fails(8, "checkout", "plain", str(tmp_path / "file" / "sub"))


def test_names_that_a_terminal_would_act_on_are_written_under_others(held: Cli, tmp_path: Path) -> None:
    said = held("checkout", "acting", str(tmp_path), code=0)
    assert tree(tmp_path).keys() == {
        "plain é.txt", "odd-names.json", "odd-names/bad%1B%5B31mname%07.txt", "odd-names/two%0Alines",
        "odd-names/txt.%E2%80%AEexe", "odd-names/d%0Dir%2Fa",
    }  # fmt: skip
    assert all(line.isprintable() for line in (said.out + said.err).splitlines())
    rows = json.loads((tmp_path / "odd-names.json").read_text(encoding="ascii"))
    assert {unquote(row["path"].removeprefix("odd-names/")) for row in rows} == set(ACTING)
    assert {row["reason"] for row in rows} == {"its name holds control characters, or some that nobody sees"}
