"""`wandb-mirror export --parquet`: tables for other engines, and one clear line for what cannot be."""

from __future__ import annotations

import json

import pytest

from mirror.sandbox import Sandbox
from tests.cli.conftest import Cli


@pytest.fixture
def pulled(cli: Cli, sandbox: Sandbox) -> Cli:
    """A mirror of one run."""
    sandbox.state.add_run("team", "proj", "one", history=[{"_step": 0, "loss": 1.0}])
    found = cli.at(sandbox).configure("team/proj")
    found("pull", code=0)
    return found


def test_it_says_what_it_wrote_and_what_was_there(pulled: Cli) -> None:
    said = pulled("export", "--parquet", "tables", code=0)
    assert said.out == "tables/manifest.json\n"
    manifest = json.loads((pulled.folder / said.out.strip()).read_text())
    files = sum(len(table["files"]) for table in manifest["tables"])
    assert f"snapshot {manifest['snapshot']}: 26 tables, " in said.err
    assert f"{files} files of {files} written" in said.err
    assert f"0 files of {files} written" in pulled("export", "team/proj", "--parquet", "tables", code=0).err


def test_what_cannot_be_is_one_line_with_a_hint(pulled: Cli) -> None:
    for arguments, code, why, hint in (
        ((), 3, "export writes pages or tables", "--html DIR, --parquet DIR or --iceberg DIR"),
        (("--html", "a", "--parquet", "b"), 3, "export writes pages or tables", "one of them"),
        (("--html", "a"), 3, "--html is of one project", "name it"),
        (("--parquet", "b", "--filter", "{}"), 3, "--filter and --key are for --html", "filter them where"),
        (("proj", "--parquet", "b"), 3, "a project is ENTITY/PROJECT, not 'proj'", ""),
        (("team/other", "--parquet", "b"), 5, "the project team/other is not in", "wandb-mirror runs"),
        (("--iceberg", "b", "--key", "x"), 3, "--filter and --key are for --html", "filter them where"),
        (("--parquet", "s3://bucket/b"), 3, "is no folder of this machine", "copy that"),
        (("--parquet", "."), 10, "holds other things than an export", "a folder that is empty"),
        (("--parquet", "mirror/mirror.toml"), 3, "is no folder", "name a folder"),
    ):
        said = pulled("export", *arguments, code=code)
        assert why in said.error
        assert hint in said.err
        assert not (pulled.folder / "b").exists()


def test_a_home_without_a_lake_says_how_it_gets_one(cli: Cli, sandbox: Sandbox) -> None:
    said = cli.at(sandbox).configure("team/proj")("export", "--parquet", "tables", code=5)
    assert "nothing is mirrored" in said.error
    assert not (cli.folder / "tables").exists()
