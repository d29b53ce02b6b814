"""A source of which some runs are wanted: those are kept as any others, and the rest costs nothing."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from mirror.config import Narrowing, SourceSettings
from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.mirroring import ENTITY
from tests.pull.contents import mirror_of


@pytest.fixture
def server(sandbox: Sandbox) -> Sandbox:
    """Runs of each kind; every other one is tagged."""
    for number in range(12):
        sandbox.state.add_run(
            ENTITY, "p", f"r{number:02}", state="running" if number == 11 else "finished",
            created_at=f"2024-01-{number + 1:02}T00:00:00", config={"lr": number / 10},
            tags=["best", "x"] if number % 2 == 0 else ["x"], files={"a.txt": b"a"},
        )  # fmt: skip
    return sandbox


EVEN = [f"r{number:02}" for number in range(0, 12, 2)]


@pytest.mark.parametrize(
    ("narrow", "runs"),
    [
        ({"tags": ("best",)}, EVEN),
        ({"tags": ("best", "x"), "since": "2024-01-06"}, ["r06", "r08", "r10"]),
        ({"filter": '{"config.lr": {"$gt": 0.85}}', "states": ("finished",)}, ["r09", "r10"]),
    ],
)
def test_only_what_is_wanted_is_taken_and_nothing_of_it_is_gone(
    server: Sandbox, home: Home, narrow: dict[str, Any], runs: list[str]
) -> None:
    mirror = mirror_of(server, home, "p", **narrow)
    (report,) = mirror.pull().projects
    assert (mirror.run_ids(), report.error, report.failed) == (runs, None, [])
    assert server.requests.count(kind="storage") == len(runs)
    server.requests.clear()
    assert [project.kind for project in mirror.pull().projects] == ["look"]
    assert len(server.requests) <= 2
    server.state.edit_run(ENTITY, "p", runs[-1], notes="moved")
    server.state.edit_run(ENTITY, "p", "r01", notes="not wanted", touch_heartbeat=True)
    mirror.pull()
    assert mirror.run(runs[-1])["notes"] == "moved"
    assert mirror.run_ids() == runs


def test_a_run_that_is_wanted_no_more_is_kept_up_to_date_and_one_that_is_deleted_is_gone(
    server: Sandbox, home: Home
) -> None:
    mirror = mirror_of(server, home, "p", tags=("best",))
    mirror.pull()
    server.state.edit_run(ENTITY, "p", "r02", tags=["x"], notes="lost its tag")
    server.state.edit_run(ENTITY, "p", "r03", tags=["best"], notes="got one")
    server.state.delete_run(ENTITY, "p", "r04")
    for force_walk in (False, True, False):
        (report,) = mirror.pull(force_walk=force_walk).projects
        assert (report.error, report.failed) == (None, [])
    assert mirror.run_ids() == sorted({*EVEN, "r03"} - {"r04"})
    assert mirror.run("r02")["notes"] == "lost its tag"


def test_a_pull_of_some_runs_leaves_the_others_held_and_the_next_one_takes_all(server: Sandbox, home: Home) -> None:
    whole = mirror_of(server, home, "p")
    assert mirror_of(server, home, "p", states=("running",)).pull().projects[0].new == 1
    assert whole.pull().projects[0].new == 11
    mirror_of(server, home, "p", tags=("best",)).pull()
    assert len(whole.run_ids()) == 12
    assert whole.pull().projects[0].gone == 0
    assert len(whole.run_ids()) == 12


def test_a_server_without_filters_gives_all_runs(home: Home) -> None:
    with Sandbox.start(hide=["Project.runs(filters)"]) as old:
        old.state.add_run(ENTITY, "p", "a", tags=["best"])
        old.state.add_run(ENTITY, "p", "b")
        mirror = mirror_of(old, home, "p", tags=("best",))
        mirror.pull()
        assert mirror.run_ids() == ["a", "b"]


def test_what_is_wanted_has_the_digest_that_it_always_had() -> None:
    assert SourceSettings(path="e/p").wanted == "fc59289b479841db"
    assert SourceSettings(path="e/p", tags=("a",)).wanted != SourceSettings(path="e/p").wanted


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"filter": "{"}, "not JSON"),
        ({"filter": "[]"}, "must be a JSON object"),
        ({"since": "yesterday"}, "since is a day"),
        ({"since": "99999999999d"}, "since is a day"),
    ],
)
def test_what_is_wrong_is_one_sentence(said: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Narrowing(**said).of([SourceSettings(path="e/p")])


def test_days_are_reckoned_from_now() -> None:
    now = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
    assert SourceSettings(path="e/p", since="30d").narrowed(now) == {"createdAt": {"$gte": "2024-01-31T12:00:00"}}
