"""Projects, keys, artifacts and entries are named as people name them: by whatever fits just one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mirror.sandbox import Sandbox
from mirror.texts.naming import meant, near
from tests.cli.conftest import Cli


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """Three projects; a run with some keys and artifacts. Tests only ask it."""
    with Sandbox.start() as server:
        rows = [{"_step": step, "loss": 0.5, "lr": 0.1, "val/acc": 0.5, "val/auc": 0.5} for step in range(3)]
        server.state.add_run("acme", "vision", "v1", state="finished", history=rows, exported=3)
        server.state.add_run("acme", "vision-old", "o1", state="finished")
        server.state.add_run("other", "speech", "s1", state="finished")
        for name in ("model", "mode"):
            server.state.add_artifact("acme", "vision", name, files={"a.txt": b"a"}, run="v1")
        cli = Cli(folder=tmp_path_factory.mktemp("names")).at(server)
        cli.configure("acme/*", "other/*", more="[pull]\npage_size_start = 10\n")
        text = cli.config.read_text(encoding="utf-8")
        cli.config.write_text(text.replace('path = "acme/*"', 'path = "acme/*"\nartifacts_include = ["*"]'))
        cli("pull", code=0)
        yield cli


def listed(held: Cli, project: str) -> list[str]:
    return sorted(run["run_id"] for run in held("runs", "--project", project, "--columns", "run_id", "--json").json)


def lines(hint: str) -> list[str]:
    """Names that are listed below a hint's first line."""
    return [line.strip() for line in hint.splitlines()[1:]]


@pytest.mark.parametrize(
    ("typed", "runs"),
    [
        ("acme/vision", ["v1"]), ("vision", ["v1"]), ("VISION", ["v1"]), ("vision-", ["o1"]), ("spee", ["s1"]),
        ("acme/*", ["o1", "v1"]), ("other/sp", ["s1"]),
    ],
)  # fmt: skip
def test_what_names_one_project_is_enough(held: Cli, typed: str, runs: list[str]) -> None:
    assert listed(held, typed) == runs


def test_what_names_several_projects_lists_them_and_what_names_none_offers_near_ones(held: Cli) -> None:
    said = held.fails(2, "runs", "--project", "vis")
    assert "fits more than one project" in said.error
    assert lines(said.hint) == ["acme/vision", "acme/vision-old"]
    assert "acme/vision" in lines(held.fails(5, "runs", "--project", "acme/vison").hint)
    said = held.fails(5, "edit", "--filter", "{}", "--project", "acme/vison", "--add-tag", "x", "--yes")
    assert "acme/vision" in lines(said.hint)


def test_keys_of_a_history_are_named_by_their_beginning_where_a_person_reads_it(held: Cli) -> None:
    said = held("history", "v1", "--keys", "los", code=0)
    assert "'los' is taken for 'loss'" in said.err
    assert "0.5" in said.out
    assert lines(held.fails(2, "history", "v1", "--keys", "val/a", "--plot").hint) == ["val/acc", "val/auc"]
    drawn = held("history", "v1", "--keys", "los,lr", "--plot", code=0)
    assert drawn.out.startswith("loss  (")
    assert "\nlr  (" in drawn.out
    assert "loss\n" in held("compare", "v1", "o1", "--keys", "los", code=0).out
    said = held("history", "v1", "--keys", "lossy", code=0)
    assert "no row of acme/vision/v1 holds 'lossy'; near are loss" in said.err
    assert held("history", "v1", "--keys", "los", "--json", code=0).json == [], "programs get what they name"


def test_artifacts_are_named_by_what_fits_one(held: Cli) -> None:
    assert held("checkout", "v1", "out", "--artifact", "model", "--json", code=0).json["files"][0]["name"] == "a.txt"
    assert lines(held.fails(2, "checkout", "v1", "out2", "--artifact", "mo").hint) == ["mode:v0", "model:v0"]
    assert "model:v0" in lines(held.fails(5, "checkout", "v1", "out3", "--artifact", "modle:v0").hint)


def test_entries_that_begin_alike_are_listed(held: Cli) -> None:
    held("edit", "v1", "--add-tag", "a", code=0)
    held("edit", "o1", "--add-tag", "a", code=0)
    said = held.fails(2, "outbox", "show", "0")
    assert "acme/vision/v1  edit" in said.hint
    assert "acme/vision-old/o1  edit" in said.hint


def test_the_best_fit_wins() -> None:
    known = ["a/Loss", "a/loss", "b/loss2", "loss/b"]
    assert meant("a/loss", known) == ["a/loss"]
    assert meant("A/LOSS", known) == ["a/Loss", "a/loss"]
    assert meant("loss", known) == ["a/Loss", "a/loss"]
    assert meant("loss/", known) == ["loss/b"]
    assert meant("loss2", known) == ["b/loss2"]
    assert meant("x", known) == []
    assert near("los", ["loss", "acc"]) == ["loss"]
    assert near("acc", ["val/acc", "loss"]) == ["val/acc"]
