"""A run is named as people name it: by what names just one run of the mirror; a slip is met with what may be meant."""

from __future__ import annotations

import pytest

from mirror.sandbox import Sandbox
from tests.cli.conftest import Cli


@pytest.fixture
def at(cli: Cli, sandbox: Sandbox) -> Cli:
    """Runs of two projects: one name comes twice, one id is the beginning of another."""
    for project, run_id, name in (
        ("vision", "big50k", "happy-sun-1"),
        ("vision", "abc", "Baseline"),
        ("vision", "abcd", "calm-lake"),
        ("speech", "xyz1", "happy-sun-1"),
    ):
        sandbox.state.add_run("acme", project, run_id, display_name=name, history=[{"_step": 0, "loss": 1.0}])
    found = cli.at(sandbox).configure("acme/vision", "acme/speech")
    found("pull", code=0)
    return found


@pytest.mark.parametrize(
    ("typed", "run_id"),
    [
        ("big50k", "big50k"),
        ("big", "big50k"),
        ("vision/big50k", "big50k"),
        ("abc", "abc"),  # a whole id, though another begins with it
        ("abcd", "abcd"),
        ("baseline", "abc"),
        ("Base", "abc"),
        ("speech/happy-sun-1", "xyz1"),
        ("vision:happy", "big50k"),
    ],
)
def test_what_names_one_run_is_enough(typed: str, run_id: str, at: Cli) -> None:
    assert at("show", typed, "--json", code=0).json["run_id"] == run_id


def test_every_command_that_takes_a_run_takes_such_a_name(at: Cli) -> None:
    assert at("history", "calm-lake", "--json", code=0).json == [{"_step": 0, "loss": 1.0}]
    assert at("status", "calm-lake", "--json", code=0).json["run_id"] == "abcd"
    at("checkout", "calm-lake", "out", code=0)
    at("edit", "calm-lake", "--notes", "x", code=0)
    assert [entry["run_id"] for entry in at("outbox", "list", "--run", "calm-lake", "--json", code=0).json] == ["abcd"]


def test_several_that_fit_are_listed_with_what_tells_them_apart(at: Cli) -> None:
    said = at.fails(2, "show", "happy-sun-1")
    assert said.error == "error: 'happy-sun-1' fits 2 runs"
    assert "acme/vision/big50k" in said.hint
    assert "acme/speech/xyz1" in said.hint
    assert "finished" in said.hint


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("acme/vison/big50k", "acme/vision/big50k"),
        ("vision/big5k", "acme/vision/big50k"),
        ("calm-lak3", "acme/vision/abcd"),
        ("acme/vision/calm-lake", "acme/vision/abcd"),  # a name where a path has the id
    ],
)
def test_a_slip_is_met_with_what_may_be_meant(typed: str, meant: str, at: Cli) -> None:
    assert meant in at.fails(5, "show", typed).hint


def test_what_is_like_nothing_is_met_with_no_guess(at: Cli) -> None:
    assert "did you mean" not in at.fails(5, "show", "entirely-different").hint
