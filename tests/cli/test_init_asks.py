"""`init` on a terminal asks for what is missing, and says what a first pull will take."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from mirror.cli.first_steps.questions import chosen
from mirror.sandbox import Sandbox
from tests.cli.conftest import Cli
from tests.terminal import CTRL_C, CTRL_D, plain


@pytest.fixture
def offering(sandbox: Sandbox) -> Sandbox:
    for project, runs in (("big", 5), ("small", 1)):
        for number in range(runs):
            sandbox.state.add_run("sandy", project, f"r{number}", state="finished", files={"a.bin": b"x" * 2000})
    return sandbox


def test_it_asks_for_server_key_and_projects_and_estimates_the_first_pull(cli: Cli, offering: Sandbox) -> None:
    with cli.at_terminal("init", columns=120) as terminal:
        for asked, typed in (
            ("api.wandb.ai]: ", offering.url),
            ("API key: ", "too short"),
            ("API key: ", offering.api_key),
            ("~/.netrc, as `wandb login` does? [Y/n]: ", "y"),
            ("with commas: ", "9"),
            ("with commas: ", "1, sandy/smal*"),
        ):
            terminal.reads(asked)
            terminal.types(f"{typed}\n")
        assert terminal.ends() == 0, terminal.drawn
    seen = plain(terminal.drawn).replace("\r", "")
    assert "does not look like one" in seen
    assert "no number of the list" in seen
    assert offering.api_key not in seen
    netrc = Path(cli.environment()["NETRC"])
    assert netrc.stat().st_mode & 0o777 == 0o600
    assert offering.api_key in netrc.read_text()
    held = tomllib.loads(cli.config.read_text(encoding="utf-8"))
    assert held["server"] == {"base_url": offering.url}
    assert [source["path"].partition("/")[2] for source in held["source"]] == ["big", "smal*"]
    assert re.search(r"1 +\S+/big +5 runs", seen), seen
    assert re.search(r"a first pull of 6 runs takes about \d+ requests?, 6 downloads and 12\.0 kB", seen)
    assert seen.rstrip().endswith("next: wandb-mirror pull")
    said = cli("pull", code=0)
    assert "5 new or changed" in said.err


def test_the_estimate_counts_the_bytes_of_exports_by_one_of_each_project(cli: Cli, sandbox: Sandbox) -> None:
    for number in range(4):
        rows = [{"_step": step, "loss": step / (number + 1)} for step in range(2000)]
        sandbox.state.add_run("sandy", "p", f"r{number}", state="finished", history=rows, exported=2000)
    at = cli.at(sandbox)
    with at.at_terminal("init", columns=200) as terminal:
        terminal.reads("]: ")
        terminal.types("\n")
        terminal.reads("with commas: ")
        sandbox.requests.clear()
        terminal.types("sandy/p\n")
        assert terminal.ends() == 0
    (estimate,) = [line for line in plain(terminal.drawn).splitlines() if "a first pull of" in line]
    told = re.search(r"4 downloads and (\d+\.\d) kB: some ", estimate)
    assert told, estimate
    assert sandbox.requests.count(kind="storage") == 1
    report = at("pull", "--json", code=0).json["projects"][0]
    assert float(told[1]) * 1000 == pytest.approx(report["bytes_fetched"], rel=0.25)


@pytest.mark.parametrize("typed", [CTRL_C, CTRL_D], ids=["ctrl-c", "ctrl-d"])
def test_a_question_that_is_left_ends_its_line(cli: Cli, offering: Sandbox, typed: str) -> None:
    with cli.at(offering).at_terminal("init") as terminal:
        terminal.reads("]: ")
        terminal.types("\n")
        terminal.reads("with commas: ")
        terminal.types_until(typed, "interrupted; ")
        assert terminal.ends() == 130
    last = plain(terminal.drawn).replace("\r", "").rstrip("\n").split("\n")
    assert last[-1].startswith("interrupted; nothing is lost"), last
    assert last[-2].replace("^C", "").endswith("with commas: ")


@pytest.mark.parametrize(
    ("typed", "paths"),
    [
        ("2", ["b/y"]),
        ("1-3", ["a/x", "b/y", "c/z"]),
        ("3, 1 3", ["c/z", "a/x"]),
        ("e/p, 1", ["e/p", "a/x"]),
        ("e/*", ["e/*"]),
        ("", "at least one"),
        ("0", "no number"),
        ("4", "no number"),
        ("3-1", "no number"),
        ("nonsense", "wandb.ai/ENTITY/PROJECT"),
    ],
)
def test_projects_are_chosen_by_number_or_name(typed: str, paths: list[str] | str) -> None:
    listed = ["a/x", "b/y", "c/z"]
    if isinstance(paths, list):
        assert chosen(typed, listed) == paths
    else:
        with pytest.raises(ValueError, match=re.escape(paths)):
            chosen(typed, listed)
