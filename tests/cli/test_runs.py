"""`wandb-mirror runs` and `show`: what is listed, in which order, with which columns."""

from __future__ import annotations

import pytest

from mirror.sandbox import Sandbox
from tests.cli.conftest import Cli


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ["o1", "r3", "r2", "r1"]),
        (["--project", "team/proj", "--limit", "2"], ["r3", "r2"]),
        (["--project", "team/o*"], ["o1"]),
        (["--state", "crashed", "--state", "running"], ["r3", "r2"]),
        (["--tag", "base", "--tag", "good"], ["r1"]),
        (["--group", "b"], ["r2"]),
        (["--filter", '{"config.lr": {"$gt": 0.15}}', "--order", "+created_at"], ["r2", "r3"]),
        (["--state", "no such state"], []),
    ],
)
def test_runs_are_chosen_and_ordered(filled: Cli, options: list[str], expected: list[str]) -> None:
    assert [row["run_id"] for row in filled("runs", *options, "--columns", "run_id", "--json", code=0).json] == expected


def test_columns_reach_into_config_and_summary(filled: Cli) -> None:
    columns = "path,config.lr,summary.loss,summary.big"
    said = filled("runs", "--project", "team/proj", "--columns", columns, "--order", "+created_at", "--json", code=0)
    assert said.json == [
        {"path": "team/proj/r1", "config.lr": 0.1, "summary.loss": 0.123456789012345, "summary.big": 2**63 + 5},
        {"path": "team/proj/r2", "config.lr": 0.2, "summary.loss": "NaN", "summary.big": None},
        {"path": "team/proj/r3", "config.lr": 0.3, "summary.loss": 3, "summary.big": None},
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--group-by", "project"], [{"project": "proj", "runs": 3}, {"project": "other", "runs": 1}]),
        (
            ["--group-by", "project", "--columns", "summary.loss,project", "--project", "team/proj"],
            [
                {
                    "project": "proj", "runs": 3, "mean(summary.loss)": (0.123456789012345 + 3) / 2,
                    "min(summary.loss)": 0.123456789012345, "max(summary.loss)": 3.0,
                }
            ],
        ),
        (
            ["--group-by", "config.lr,state", "--columns", "std(summary.x)", "--order", "-config.lr", "--limit", "2"],
            [
                {"config.lr": 0.3, "state": "running", "runs": 1, "std(summary.x)": None},
                {"config.lr": 0.2, "state": "crashed", "runs": 1, "std(summary.x)": None},
            ],
        ),
        (["--group-by", "tags", "--tag", "good"], [{"tags": ["base", "good"], "runs": 1}]),
    ],
)  # fmt: skip
def test_runs_that_share_something_are_one_row_with_figures(filled: Cli, options: list[str], expected: object) -> None:
    assert filled("runs", *options, "--json", code=0).json == expected


def test_groups_are_a_table_for_people_and_csv_for_programs(filled: Cli) -> None:
    options = ("--group-by", "state", "--columns", "std(config.lr)", "--order", "+state")
    assert [line.split() for line in filled("runs", *options, code=0).out.splitlines()[2:]] == [
        ["crashed", "1"], ["finished", "2"], ["running", "1"],
    ]  # fmt: skip
    assert filled("runs", *options, "--csv", code=0).out.splitlines()[0] == "state,runs,std(config.lr)"


def test_a_table_shows_paths_whole_and_markup_as_it_is_written(filled: Cli) -> None:
    said = filled.using(COLUMNS="80")("runs", "--columns", "path,display_name", code=0)
    assert "team/proj/r1    first [bold]run[/bold] é" in said.out
    assert all(len(line) <= 80 for line in said.out.splitlines())


def test_a_terminal_too_narrow_for_columns_gets_lines(filled: Cli) -> None:
    said = filled.using(COLUMNS="20")("runs", "--limit", "1", code=0)
    assert said.out.startswith("path: team/other/o1\ndisplay_name: o1\nstate: finished\n")


def test_a_table_without_rows_says_so(filled: Cli) -> None:
    assert filled("runs", "--state", "killed", code=0).err == "no rows\n"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--columns", "displayname"], "'displayname' is not a known column"),
        (["--columns", " , "], "no columns are named"),
        (["--order", "nope"], "'nope' is not a known order field"),
        (["--filter", "[1"], "--filter is not JSON"),
        (["--filter", "[1]"], "--filter must be a JSON object"),
        (["--filter", '{"config.lr": {"$gtt": 1}}'], "'$gtt' is not a known filter operator"),
        (["--project", "team*"], "a project is ENTITY/PROJECT"),
        (["--group-by", ","], "no field to group by is named"),
        (["--group-by", "stat"], "'stat' is not a known column"),
        (["--group-by", "state", "--columns", "mean(summry.loss)"], "'summry.loss' is not a known column"),
        (["--group-by", "state", "--columns", "display_name"], "'display_name' is no number"),
        (["--group-by", "state", "--order", "-summary.loss"], "'summary.loss' is no column of these groups"),
    ],
)
def test_a_listing_that_cannot_be_made_says_why(filled: Cli, options: list[str], expected: str) -> None:
    assert expected in filled.fails(3, "runs", *options).error


def test_a_run_is_shown_whole(filled: Cli) -> None:
    said = filled("show", "team/proj/r1", code=0).out
    for expected in [
        "display_name         first [bold]run[/bold] é",
        '"seed": 1152921504606846977',
        "line 1⏎line 2",
        "system.gpu.0.temp",
    ]:
        assert expected in said


def test_a_run_that_is_not_mirrored_is_named_with_the_command_that_fetches_it(filled: Cli) -> None:
    said = filled.fails(5, "show", "team/proj/nope")
    assert said.error == "error: run team/proj/nope is not in this mirror"
    assert "wandb-mirror pull team/proj/nope" in said.hint


@pytest.mark.parametrize(
    ("text", "status"), [("a//b/c/d", 3), ("../../etc/passwd/x/y", 3), ("a/b", 5), ("é" * 5000, 5)]
)
def test_what_names_no_run_is_refused(filled: Cli, text: str, status: int) -> None:
    assert "does not name a run" in filled.fails(status, "show", text).error


def test_values_survive_a_locale_that_is_not_utf_8(filled: Cli) -> None:
    ascii_only = filled.using(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    said = ascii_only("sql", "SELECT display_name, 'ö' AS typed FROM runs WHERE run_id = 'r1'", "--json", code=0)
    assert said.json == [{"display_name": "first [bold]run[/bold] é", "typed": "ö"}]
    assert "run team/proj/ü is not" in ascii_only.fails(5, "show", "team/proj/ü").error


def test_into_a_pipe_a_long_name_widens_its_own_row_alone(cli: Cli, sandbox: Sandbox) -> None:
    for number, name in enumerate(["short", "x" * 300, "名前"]):
        sandbox.state.add_run(
            "team", "proj", f"r{number}", display_name=name, created_at=f"2026-01-0{number + 1}T00:00:00"
        )
    at = cli.at(sandbox).configure("team/proj")
    at("pull", code=0)
    lines = at("runs", "--columns", "run_id,display_name,state", code=0).out.splitlines()
    assert [line for line in lines if "x" not in line] == [
        "run_id   display_name   state",
        "─" * 32,
        "r2       名前           finished",
        "r0       short          finished",
    ]
    (long,) = [line for line in lines if "x" in line]
    assert long == f"r1       {'x' * 300}   finished"
    assert [len(line.split()) for line in lines[2:]] == [3, 3, 3], "as awk takes them apart"
