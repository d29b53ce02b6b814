"""`compare` and plots of several runs: in what runs differ, and their curves over one another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import UNSET

from mirror.cli.differences import compared
from mirror.sandbox import Sandbox
from tests.cli.conftest import Cli
from tests.cli.test_json import agrees
from tests.terminal import plain


def history(scale: float, **more: Any) -> list[dict[str, Any]]:
    return [{"_step": step, "loss": scale * 10.0**-step, "epoch": step, **more} for step in range(5)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A mirror of runs that differ in little."""
    metadata = {"host": "gpu1", "gpu": {"count": 8, "type": "H100"}}
    with Sandbox.start() as sandbox:
        for run_id, name, lr, more in (
            ("r1", "base", 0.1, {}),
            ("r2", "wide", 0.1, {"wide": True}),
            ("r3", "wide", 1, {"model": {"layers": [1, 2], "act": "relu"}}),
        ):
            host = {**metadata, "host": f"gpu-{run_id}"}
            sandbox.state.add_run(
                "team", "proj", run_id, display_name=name, config={"lr": lr, "model": {"layers": [1, 2]}, **more},
                summary={"loss": lr / 10, "_timestamp": lr, "_wandb": {"runtime": lr}}, history=history(lr),
                state="finished", files={"wandb-metadata.json": json.dumps(host).encode()},
                created_at="2026-01-01T00:00:00Z", heartbeat_at="2026-01-01T01:00:00Z",
            )  # fmt: skip
        sandbox.state.add_run("team", "proj", "bare", config={"lr": 0.1}, history=[{"_step": 0, "acc": 1.0}])
        cli = Cli(folder=tmp_path_factory.mktemp("trained")).at(sandbox).configure("team/proj")
        cli("pull", code=0)
        yield cli


def test_runs_are_compared_key_by_key(trained: Cli) -> None:
    said = trained("compare", "base", "r2", "r3", "--no-plot", code=0).out
    assert [line.split() for line in said.splitlines() if line and "─" not in line] == [
        ["config", "base", "wide", "(r2)", "wide", "(r3)"],
        ["lr", "0.1", "0.1", "1"],
        ["wide", "–", "true", "–"],
        ["model.act", "–", "–", "relu"],
        ["summary", "base", "wide", "(r2)", "wide", "(r3)"],
        ["loss", "0.01", "0.01", "0.1"],
        ["metadata", "base", "wide", "(r2)", "wide", "(r3)"],
        ["host", "gpu-r1", "gpu-r2", "gpu-r3"],
        *[line.split() for line in said.splitlines() if line.endswith("--all shows them")],
    ]
    assert "model.layers" in trained("compare", "r1", "r2", "--no-plot", "--all", code=0).out


def test_a_comparison_for_programs_is_what_is_documented(trained: Cli) -> None:
    said = trained("compare", "r1", "r3", "--json", code=0).json
    agrees(said, "wandb-mirror compare RUN RUN… --json")
    for one in said["runs"]:
        agrees(one, "runs[] of compare")
    for one in said["differences"]:
        agrees(one, "differences[] of compare")
    found = {(one["part"], one["key"]): (one["values"], one["present"]) for one in said["differences"]}
    assert found["config", "lr"] == ([0.1, 1], [True, True])
    assert found["config", "model.act"] == ([None, "relu"], [False, True])
    assert said["runs"][1] == {"path": "team/proj/r3", "display_name": "wide"}
    assert ("config", "model.layers") not in found
    every = trained("compare", "r1", "r3", "--json", "--all", code=0).json
    assert len(every["differences"]) == len(found) + said["equal"]


def test_what_waits_in_the_outbox_counts(trained: Cli) -> None:
    before = trained("compare", "r1", "r2", "--no-plot", code=0).out
    trained("edit", "r1", "--config", "wide=true", code=0)
    assert "wide  " in before.partition("summary")[0]
    after = trained("compare", "r1", "r2", "--no-plot", code=0).out
    assert "\nwide  " not in after.partition("\n\n")[0]
    trained("outbox", "drop", trained("outbox", "list", "--json").json[0]["id"], "--yes", code=0)


def test_curves_lie_over_one_another_with_a_letter_for_each_run_where_there_are_no_colours(trained: Cli) -> None:
    said = trained("compare", "r1", "r3", "--log", code=0)
    _, _, drawn = said.out.partition("\nloss\n")
    assert "A base  (min 1e-05 at 4, max 0.1 at 0, last 1e-05; 5 points)" in drawn
    assert "B wide  (min 0.0001 at 4, max 1 at 0, last 0.0001; 5 points)" in drawn
    rows = [line.partition("┤")[2] or line.partition("│")[2] for line in drawn.splitlines()[:10]]
    assert set("".join(rows)) == set("AB ")
    assert all(row.find("A") < row.find("B") for row in rows if "A" in row and "B" in row), "B is ten times as high"
    assert said.out.index("\nloss\n") < said.out.index("\nepoch\n"), "a counter tells little"
    assert "no curves: " not in said.err


def test_on_a_terminal_the_curves_have_colours(trained: Cli) -> None:
    with trained.at_terminal("history", "r1", "r2", "r3", "--plot", "--keys", "loss", "--log") as terminal:
        assert terminal.ends() == 0
    drawn = plain(terminal.drawn)
    assert "━━ base  (" in drawn
    assert "━━ wide (r2)  (" in drawn
    assert len({part for part in terminal.drawn.split("\x1b[") if part[:2] in {"36", "35", "33"}}) >= 3
    assert any(chr(0x2800) < character < chr(0x2900) for character in drawn)
    assert all(len(line) <= 80 for line in drawn.splitlines())


def test_a_key_that_one_run_lacks_is_said(trained: Cli) -> None:
    said = trained("history", "r1", "bare", "--plot", "--keys", "acc", code=0)
    assert "A bare  (" in said.out
    assert "'acc'" in said.err


def test_keys_that_no_run_logged_are_said_once_with_near_ones(trained: Cli) -> None:
    said = trained("compare", "r1", "r3", "--keys", "losss,nonsuch,los", code=0)
    assert said.err.splitlines() == [
        "'los' is taken for 'loss'",
        "none of these runs logged 'losss'; near are loss",
        "none of these runs logged 'nonsuch'; known are epoch, loss",
    ]
    assert "\nloss\n" in said.out
    said = trained("history", "r1", "bare", "--plot", "--keys", "ac", code=0)
    assert "A bare  (" in said.out, "which one run alone logged"
    assert "there is nothing to draw" in trained("compare", "r1", "r3", "--keys", "nonsuch", code=0).err


def test_curves_that_coincide_take_turns_and_the_legend_says_so(trained: Cli) -> None:
    said = trained("history", "r1", "r2", "--plot", "--keys", "loss", code=0).out
    assert "B wide  (the same points as base)" in said
    assert "ABAB" in said


def test_a_constant_has_one_label_beside_its_line_on_either_axis(trained: Cli) -> None:
    for axis in ([], ["--log"]):
        drawn = trained("history", "bare", "--plot", "--keys", "acc", *axis, code=0).out.splitlines()
        (labelled,) = [line for line in drawn[1:] if "┤" in line]
        assert labelled.startswith("1 ┤")
        assert labelled.removeprefix("1 ┤").strip(), "the value lies beside its label"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["compare", "r1", "r1"], 3, "1 run cannot be compared"),
        (["compare", "r1", "r1", "--keys", ","], 3, "--keys names no key"),
        (["compare", "r1", "team/proj/nope"], 5, "run team/proj/nope is not in this mirror"),
        (["history", "r1", "r2"], 3, "several runs are drawn, not printed"),
        (["history", "r1", "--log"], 3, "--log is about the axis of a plot"),
        (["history", "r1", "r2", "--plot", "--every-key"], 3, "--every-key is about the rows of one run"),
    ],
)
def test_what_cannot_be_compared_or_drawn_says_why(trained: Cli, arguments: list[str], status: int, words: str) -> None:
    assert words in trained.fails(status, *arguments).error


def test_numbers_are_equal_as_people_read_them() -> None:
    found = compared(
        "config",
        [
            {"a": 1, "b": True, "c": [1, {"d": 1}], "e": {}, "f": None},
            {"a": 1.0, "b": 1, "c": [1.0, {"d": 1}], "e": {}},
        ],
    )
    assert {one.key: one.is_one for one in found} == {"a": True, "b": False, "c": True, "e": True, "f": False}
    assert found[-1].values == (None, UNSET)
    assert compared("config", [None, None]) == []


def test_a_document_that_is_deeper_than_is_read_is_compared_whole() -> None:
    nested: Any = {"n": 1}
    for _ in range(200):
        nested = {"n": nested}
    (one,) = compared("config", [nested, nested])
    assert one.key == ".".join("n" * 9)
    assert one.is_one
