"""`wandb-mirror init`: it checks before it writes, and never loses what people wrote."""

from __future__ import annotations

import tomllib

import pytest

from mirror.sandbox import Sandbox
from tests.cli.conftest import IMPATIENT, Cli


def test_a_new_file_says_which_server_and_sources_and_explains_every_setting(cli: Cli, server: Sandbox) -> None:
    cli.at(server)("init", "--source", "team/proj", "--source", "team/*", "--source", "team/proj", code=0)
    text = cli.config.read_text(encoding="utf-8")
    held = tomllib.loads(text)
    assert held["server"] == {"base_url": server.url}
    assert held["source"] == [{"path": "team/proj"}, {"path": "team/*"}]
    for setting in ("timeout_s", "retry_attempts", "page_size_max", "gone_fraction_max", "memory_limit_mb"):
        assert f"# {setting} = " in text


def test_further_sources_join_an_edited_file_whose_comments_stay(cli: Cli, server: Sandbox) -> None:
    cli = cli.at(server)
    cli("init", "--source", "team/proj", code=0)
    edited = cli.config.read_text(encoding="utf-8").replace("# threads = 2", "threads = 1 # mine: é") + "# the end\n"
    cli.config.write_text(edited, encoding="utf-8")
    said = cli("init", "--source", "team/proj", "--source", "team/other", code=0)
    assert said.out.startswith(f"updated {cli.config} (2 sources)")
    text = cli.config.read_text(encoding="utf-8")
    assert text.startswith(edited.rstrip())
    assert [source["path"] for source in tomllib.loads(text)["source"]] == ["team/proj", "team/other"]


def test_a_file_of_another_server_is_left_alone(cli: Cli, server: Sandbox) -> None:
    cli = cli.at(server)
    cli.home.mkdir()
    cli.config.write_text('[server]\nbase_url = "https://wandb.example.com"\n')
    said = cli.fails(10, "init", "--source", "team/proj")
    assert "is for https://wandb.example.com" in said.error
    assert "another --home" in said.hint
    assert cli.config.read_text() == '[server]\nbase_url = "https://wandb.example.com"\n'


def test_a_wrong_key_writes_nothing(cli: Cli, server: Sandbox) -> None:
    said = cli.at(server).using(WANDB_API_KEY="0" * 40).fails(4, "init", "--source", "team/proj")
    assert "refused the API key" in said.error
    assert not cli.home.exists()


def test_a_server_that_is_down_writes_nothing_unless_told_so(cli: Cli) -> None:
    with Sandbox.start() as gone:
        cli = cli.at(gone)
    said = cli.fails(6, "init", "--source", "team/proj")
    assert "--no-check" in said.hint
    assert not cli.home.exists()
    cli("init", "--source", "team/proj", "--no-check", code=0)
    assert cli.config.exists()


def test_a_project_that_cannot_be_read_writes_nothing(cli: Cli, server: Sandbox) -> None:
    said = cli.at(server).fails(5, "init", "--source", "team/nope")
    assert "project team/nope does not exist" in said.error
    assert "--no-check" in said.hint
    assert not cli.home.exists()


@pytest.mark.parametrize("source", ["", "team", "a/b/c", "*/proj", "team/", " team/proj", "team/\x07", "te\nam/p"])
def test_what_is_no_source_is_refused(cli: Cli, server: Sandbox, source: str) -> None:
    assert "source" in cli.at(server).fails(3, "init", "--source", source).error
    assert not cli.home.exists()


def test_without_a_source_the_usage_tells_how_to_name_one(cli: Cli, server: Sandbox) -> None:
    assert "give at least one --source ENTITY/PROJECT" in cli.at(server)("init", code=2).err


def test_an_address_corrected_after_a_failed_pull_is_taken(cli: Cli, server: Sandbox) -> None:
    """Nothing was mirrored from the wrong address, so the home does not belong to it."""
    with Sandbox.start() as wrong:
        script = cli.at(wrong).configure("team/proj")
    script.fails(6, "pull")
    cli.at(server)("pull", code=0)
    assert cli.at(server)("status", "--json", code=0).json["deployment"] == server.url.partition("//")[2]
    assert "mirrors" in script.fails(10, "pull").error, "and now it belongs to the right one"
    assert IMPATIENT in cli.config.read_text()
