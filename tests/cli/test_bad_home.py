"""A home that cannot be one, or is damaged, taken or of another kind: refused in one line, and never made worse."""

from __future__ import annotations

import hashlib
import resource
import shutil
import subprocess
from pathlib import Path

import pytest

from mirror.errors import HomeUnusable
from mirror.layout import Home
from mirror.sandbox import Sandbox
from mirror.store.engine.filesystem import check_can_hold_lake
from mirror.store.engine.lake import Lake
from tests.cli.conftest import Cli
from tests.soaking import thin


@pytest.fixture
def copied(filled: Cli, cli: Cli) -> Cli:
    """A mirror of this test's own, to be damaged."""
    shutil.copytree(filled.home, cli.home)
    return Cli(folder=cli.folder, env=filled.env)


def catalog(cli: Cli) -> Path:
    return cli.home / "lake" / "catalog.sqlite"


def digest(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "-wal"))]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("command", [("init", "--source", "team/proj"), ("pull", "--source", "team/proj"), ("status",)])
def test_a_file_is_no_home(cli: Cli, server: Sandbox, command: tuple[str, ...]) -> None:
    cli.home.write_text("precious")
    said = cli.at(server).fails(8, *command)
    assert said.error == f"error: {cli.home} is a file, not a folder"
    assert "--home" in said.hint
    assert cli.home.read_text() == "precious"


@pytest.mark.parametrize(
    ("home", "code", "expected"),
    [
        ("{file}/below", 8, "cannot be a home: Not a directory"),
        ("{folder}/" + "x" * 300, 8, "cannot be a home: File name too long"),
        ("~nobody-of-that-name/x", 3, "cannot be a home"),
        ("/proc/no/such/place", 8, "failed: No such file or directory"),
    ],
)
def test_a_path_that_can_be_no_folder_is_refused(
    cli: Cli, server: Sandbox, home: str, code: int, expected: str
) -> None:
    (cli.folder / "file").write_text("")
    home = home.format(file=cli.folder / "file", folder=cli.folder)
    assert expected in cli.at(server).fails(code, "init", "--source", "team/proj", "--home", home).error


def test_a_home_in_a_path_that_is_not_utf_8_is_refused(cli: Cli) -> None:
    assert "not UTF-8" in cli.fails(3, "status", "--home", b"caf\xe9").error


NAMES = ('it\'s; a "höme" --', "C:\\home\\of me", "two\nlines*?[1]", "50%20 #{x} $HOME")
ALL_OF_THEM = " ".join(NAMES)


@pytest.mark.parametrize("home", thin([ALL_OF_THEM, *NAMES], keep=[ALL_OF_THEM]))
def test_a_home_with_whatever_in_its_name_is_a_home_like_others(cli: Cli, server: Sandbox, home: str) -> None:
    cli = cli.at(server)
    cli("init", "--source", "team/other", "--home", home, code=0)
    cli("pull", "--home", home, code=0)
    cli("maintain", "--home", home, code=0)
    cli("verify", "--home", home, code=0)
    assert cli("sql", "SELECT run_id FROM runs", "--csv", "--home", home, code=0).out == "run_id\no1\n"


def test_without_any_variable_the_home_is_in_the_users_data_folder(cli: Cli, tmp_path: Path) -> None:
    said = cli.using(WANDB_MIRROR_HOME=None).fails(5, "status")
    assert str(tmp_path / "data" / "wandb-mirror") in said.error
    assert "wandb-mirror init" in said.hint
    bare = cli.using(WANDB_MIRROR_HOME=None, HOME=None, USERPROFILE=None, XDG_DATA_HOME=str(tmp_path / "data"))
    bare.fails(5, "status")


@pytest.mark.parametrize("limit", thin([2_000, 100_000], keep=[100_000]))
def test_a_full_disk_is_named_and_the_next_pull_completes(cli: Cli, server: Sandbox, limit: int) -> None:
    cli = cli.at(server).configure("team/proj")

    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    with cli.start("pull", stderr=subprocess.PIPE, preexec_fn=lower) as process:
        assert process.stderr is not None
        said = process.stderr.read().decode()
        assert process.wait() == 8
    assert "is full" in said
    assert "\nhint: " in said
    assert "Traceback" not in said
    assert cli("status", "--json").json["runs"] == 0
    cli.fails(5, "edit", "team/proj/r1", "--add-tag", "x")
    assert "damaged" not in cli("verify").out
    cli("pull", code=0)
    assert cli("status", "--json", code=0).json["runs"] == 3


def test_a_network_file_system_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    mounts = f"/dev/sda / ext4 rw 0 0\nserver:/export {tmp_path} nfs4 rw 0 0\n"
    with pytest.raises(HomeUnusable, match="network file system \\(nfs4") as caught:
        check_can_hold_lake(tmp_path / "home", mounts)
    assert "local disk" in caught.value.hint
    assert caught.value.exit_code == 8


def test_a_home_of_another_server_is_refused_and_left_as_it_is(copied: Cli, sandbox: Sandbox) -> None:
    before = digest(copied.home)
    said = copied.at(sandbox).fails(10, "pull")
    assert "but the configured server is" in said.error
    assert "server.aliases" in said.hint
    assert {path: before[path] for path in before if "lake" in path} == {
        path: found for path, found in digest(copied.home).items() if "lake" in path
    }


@pytest.mark.parametrize("command", [("pull",), ("status",)])
@pytest.mark.parametrize("content", [b"garbage" * 999, b""], ids=["garbage", "emptied"])
def test_a_catalog_that_is_damaged_is_reported_and_kept(copied: Cli, content: bytes, command: tuple[str, ...]) -> None:
    for path in (copied.home / "lake").glob("catalog.sqlite*"):
        path.unlink()
    catalog(copied).write_bytes(content)
    before = digest(copied.home)
    said = copied.fails(8, *command)
    assert "catalog" in said.error
    assert "backup" in said.hint
    seal = str(Home(copied.home).catalog_seal)  # notes that it was found broken
    assert {**before, seal: None}.items() <= {**digest(copied.home), seal: None}.items()


@pytest.mark.parametrize("content", [b"x", None], ids=["damaged", "missing"])
def test_a_data_file_that_is_lost_is_reported_as_that(copied: Cli, content: bytes | None) -> None:
    for path in (copied.home / "lake" / "data").rglob("*.parquet"):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
    for command in (["runs"], ["status"]):
        assert "a data file of the lake" in copied.fails(8, *command).error


def test_a_lake_of_a_newer_version_is_left_untouched(copied: Cli) -> None:
    deployment = copied.env["WANDB_BASE_URL"].partition("//")[2]
    with Lake(Home(copied.home), deployment=deployment) as lake, lake.transaction() as engine:
        engine.execute("UPDATE lake.meta SET value = '99' WHERE key = 'schema_version'")
    before = digest(copied.home)
    for command in (["pull"], ["status"]):
        said = copied.fails(8, *command)
        assert "schema version 99" in said.error
        assert "upgrade" in said.hint
    assert before.items() <= digest(copied.home).items()
