"""A pull of some runs: slips are met before the server is asked, and a server that does not narrow is named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mirror.sandbox import Sandbox
from tests.cli.conftest import Cli


@pytest.fixture(scope="module")
def unnarrowing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cli, Sandbox]]:
    """A mirror of nothing yet, beside a server that lists every run, whatever is asked."""
    with Sandbox.start(hide=["Project.runs(filters)"]) as server:
        for number in range(4):
            server.state.add_run(
                "team", "proj", f"r{number}", state="finished" if number else "crashed",
                tags=["best"] if number == 3 else [], created_at=f"2024-01-0{number + 1}T00:00:00",
            )  # fmt: skip
        yield Cli(folder=tmp_path_factory.mktemp("unnarrowing")).at(server), server


def test_a_server_that_does_not_narrow_is_named_once_and_its_runs_are_kept(unnarrowing: tuple[Cli, Sandbox]) -> None:
    cli = unnarrowing[0].configure("team/proj")
    said = cli("pull", "--state", "finished", "--since", "2024-01-03", code=0).err
    assert "the server did not narrow team/proj: 2 runs beyond what the source asks were mirrored" in said, (
        "neither the crashed one nor those of the first two days"
    )
    assert len(cli("runs", "--json", code=0).json) == 4
    report = cli("pull", "--tag", "best", "--json", code=0).json["projects"][0]
    assert (report["beyond"], report["left_behind"]) == (0, 0), "they were said before"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--filter", '{"config.lr": {"$gtt": 1}}'], "'$gtt' is not a known filter operator; did you mean $gt"),
        (["--filter", '{"$an": []}'], "did you mean $and"),
        (["--filter", '{"$and": {}}'], "$and of the filter needs a list"),
        (["--filter", '{"$or": [1]}'], "a filter is made of objects, not 1"),
        (["--filter", '{"state": {"$in": "finished"}}'], "$in of the filter needs a list"),
        (["--filter", '{"stat": "finished"}'], "'stat' is not a known filter field"),
        (["--filter", "[1]"], "must be a JSON object"),
        (["--filter", "["], "not JSON"),
        (["--filter", "[" * 100_000], "not JSON"),
    ],
)
def test_what_no_server_can_take_is_refused_before_one_is_asked(
    unnarrowing: tuple[Cli, Sandbox], arguments: list[str], words: str
) -> None:
    cli, server = unnarrowing[0].configure("team/proj"), unnarrowing[1]
    server.requests.clear()
    said = cli.fails(3, "pull", *arguments)
    assert words in said.error
    assert len(server.requests) == 0
    cli.configure("team/proj", more="")
    named = "stat'" if "stat'" in words else words.removesuffix("$gt")
    assert named.split(";")[0].replace("the filter", "--filter") in cli.fails(3, "runs", *arguments).error
    assert cli.fails(3, "edit", *arguments, "--add-tag", "x", "--yes").error


def test_a_filter_of_the_configuration_is_refused_as_well(unnarrowing: tuple[Cli, Sandbox]) -> None:
    cli, server = unnarrowing[0].configure("team/proj"), unnarrowing[1]
    server.requests.clear()
    text = cli.config.read_text(encoding="utf-8")
    cli.config.write_text(f'{text}filter = \'{{"config.lr": {{"$gtt": 1}}}}\'\n', encoding="utf-8")
    assert "'$gtt' is not a known filter operator" in cli.fails(3, "pull").error
    cli.config.write_text(f"{text}filter = '{{\"stat\": 1}}'\n", encoding="utf-8")
    assert "'stat' is not a known filter field" in cli.fails(3, "pull").error
    assert len(server.requests) == 0


def test_a_misspelt_state_is_asked_for_and_said(unnarrowing: tuple[Cli, Sandbox]) -> None:
    cli = unnarrowing[0].configure("team/proj")
    warning = "warning: 'fnished' is no state that W&B or this mirror knows; near are finished"
    assert warning in cli("pull", "--state", "fnished", "--quiet", code=0).err
    said = cli("runs", "--state", "fnished", "--state", "crashed", "--json", code=0)
    assert warning in said.err
    assert [run["path"] for run in said.json] == ["team/proj/r0"], "no state is refused: a server may have others"
    assert "'Finished'" in cli("runs", "--state", "Finished", code=0).err, "states have a case"
    assert cli("runs", "--state", "killed", code=0).err == "no rows\n"
    text = cli.config.read_text(encoding="utf-8")
    cli.config.write_text(f'{text}states = ["fnished"]\n', encoding="utf-8")
    assert warning in cli("pull", code=0).err
