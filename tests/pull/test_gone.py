"""Nothing mirrored disappears because the server stopped listing it."""

from __future__ import annotations

from typing import Any

import pytest

from mirror.errors import NotFound, SuspiciousListing
from mirror.sandbox import Fault, Match, Sandbox
from tests.mirroring import ENTITY, PROJECT, Mirror
from tests.soaking import thin


def fill(sandbox: Sandbox, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        when = f"2024-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}"
        sandbox.state.add_run(ENTITY, PROJECT, f"r{number:04}", created_at=when)


def test_a_deleted_run_is_kept_and_marked_and_unmarked_when_it_comes_back(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, 5)
    mirror.pull()
    before = mirror.run("r0002")
    record = sandbox.state.run(ENTITY, PROJECT, "r0002")
    sandbox.state.delete_run(ENTITY, PROJECT, "r0002")
    (project,) = mirror.pull().projects  # it is missing among the runs updated last, and no walk has to be asked for
    assert (project.error, project.kind, project.gone) == (None, "look", 1)
    marked = mirror.run("r0002")
    assert marked["gone_at"] is not None
    assert {**marked, "gone_at": None} == before
    sandbox.state.project(ENTITY, PROJECT).runs["r0002"] = record
    sandbox.state.edit_run(ENTITY, PROJECT, "r0001")  # the listing is sorted anew
    mirror.pull(force_walk=True)
    assert mirror.run("r0002")["gone_at"] is None
    assert mirror.run_ids() == [f"r{number:04}" for number in range(5)]


def test_a_deleted_run_that_no_look_lists_is_found_by_the_count(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, 25)
    mirror.pull()
    sandbox.state.delete_run(ENTITY, PROJECT, "r0000")
    (project,) = mirror.pull().projects
    assert (project.error, project.kind, project.gone) == (None, "walk", 1)


def test_a_run_that_was_replaced_by_a_new_one_is_marked_by_a_walk(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, 5)
    mirror.pull()
    sandbox.state.delete_run(ENTITY, PROJECT, "r0000")
    fill(sandbox, 1, start=5)
    mirror.pull(force_walk=True)
    assert mirror.run_ids("gone_at IS NOT NULL") == ["r0000"]


def test_a_run_without_a_creation_time_can_be_gone_too(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, 6)
    sandbox.state.add_run(ENTITY, PROJECT, "undated", created_at="sometime")
    small = mirror.using(page_size_start=2, page_size_max=2)
    small.pull()
    sandbox.state.delete_run(ENTITY, PROJECT, "undated")
    assert small.pull().errors == []
    assert mirror.run_ids("gone_at IS NOT NULL") == ["undated"]
    assert small.pull().projects[0].kind == "look"


def empty_listing(answer: Any) -> None:
    answer["data"]["project"]["runs"] = {"edges": [], "pageInfo": {"endCursor": None, "hasNextPage": False}}
    if "held" in answer["data"]["project"]:
        answer["data"]["project"]["held"] = 0


def lying_count(answer: Any) -> None:
    """The listing is empty, also by name, while the count is still right."""
    answer["data"]["project"]["runs"] = {"edges": [], "pageInfo": {"endCursor": None, "hasNextPage": False}}


def half_is_missing(answer: Any) -> None:
    """Every second run is left out of every listing, while the count is still right."""
    runs = answer["data"]["project"]["runs"]
    runs["edges"] = [edge for edge in runs["edges"] if int(edge["node"]["name"][1:]) % 2]
    if not runs["edges"]:
        runs["pageInfo"] = {"endCursor": None, "hasNextPage": False}


@pytest.mark.parametrize(
    ("lie", "force_walk"),  # a look does not list settled runs, so it meets only the first
    thin(
        [(empty_listing, False), (lying_count, True), (half_is_missing, True)],
        keep=[(empty_listing, False), (half_is_missing, True)],
    ),
)
def test_a_listing_that_is_suddenly_shorter_is_refused_and_nothing_is_marked(
    sandbox: Sandbox, mirror: Mirror, lie: Any, force_walk: bool
) -> None:
    fill(sandbox, 24)
    small = mirror.using(page_size_start=7, page_size_max=7)
    small.pull()
    sandbox.faults.add(Fault.lie(lie, match=Match(operation="MirrorRuns")))
    (error,) = small.pull(force_walk=force_walk).errors
    assert isinstance(error, SuspiciousListing)
    assert "--accept-missing" in error.hint
    assert mirror.run_ids("gone_at IS NOT NULL") == []
    assert mirror.source()["last_error"] == error.message
    for _ in range(2):  # the pulls that follow refuse it as well, whatever came of the walk before
        assert isinstance(small.pull().errors[0], SuspiciousListing)
        assert mirror.run_ids("gone_at IS NOT NULL") == []
    sandbox.faults.clear()
    assert small.pull(force_walk=True).errors == []
    assert (len(mirror.run_ids()), mirror.source()["last_error"]) == (24, None)


def test_accept_missing_marks_what_a_person_agreed_to(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, 30)
    mirror.pull()
    for number in range(25):
        sandbox.state.delete_run(ENTITY, PROJECT, f"r{number:04}")
    assert isinstance(mirror.pull().errors[0], SuspiciousListing)
    report = mirror.pull(accept_missing=True)
    assert (report.errors, report.projects[0].gone) == ([], 25)
    assert len(mirror.run_ids()) == 5
    assert len(mirror.run_ids("true")) == 30
    assert mirror.pull().errors == []


def test_a_listing_that_forgets_runs_which_it_finds_by_name_loses_nothing(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, 24)
    mirror.pull()

    def walks(variables: Any) -> bool:
        return '"name"' not in variables["filters"]

    sandbox.faults.add(Fault.lie(half_is_missing, match=Match(operation="MirrorRuns", variables=walks)))
    report = mirror.pull(force_walk=True)
    assert (report.errors, report.projects[0].gone) == ([], 0)
    assert len(mirror.run_ids()) == 24


def test_a_project_that_became_null_is_not_found_and_nothing_changes(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, 3)
    mirror.pull()
    project = sandbox.state.projects.pop((ENTITY, PROJECT))
    (error,) = mirror.pull().errors
    assert isinstance(error, NotFound)
    assert (mirror.run_ids("gone_at IS NOT NULL"), len(mirror.run_ids())) == ([], 3)
    sandbox.state.projects[ENTITY, PROJECT] = project
    assert mirror.pull().errors == []


def test_deleted_runs_that_were_never_held_raise_no_suspicion(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, 6)
    for number in range(3):
        sandbox.faults.add(
            Fault.graphql_error("boom", match=Match(contains_run=f"r{number:04}", operation="MirrorRuns"))
        )
    assert mirror.pull().failures == 3
    for number in range(3):
        sandbox.state.delete_run(ENTITY, PROJECT, f"r{number:04}")
    sandbox.faults.clear()
    report = mirror.pull()
    assert (report.errors, mirror.ask("SELECT * FROM failures"), len(mirror.run_ids())) == ([], [], 3)
    assert report.projects[0].gone == 0


def test_a_run_that_the_server_cannot_even_name_is_not_taken_for_gone(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, 3)
    sandbox.state.add_run(ENTITY, PROJECT, "live", state="running", created_at="2024-01-02T00:00:00")
    mirror.pull()
    poison = Fault.graphql_error(
        "boom", match=Match(kind="graphql", contains_run="live", query="node {")
    )  # the bare cursors alone are served
    sandbox.faults.add(poison)
    report = mirror.pull()
    assert (report.errors, report.projects[0].gone) == ([], 0)
    assert "live" in mirror.run_ids()


def test_sweeps_are_taken_changed_and_marked_across_pages(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, 1)
    for number in range(120):
        sandbox.state.add_sweep(ENTITY, PROJECT, f"s{number:03}", config_text=f"method: grid # {number} é\0\n")
    mirror.pull()
    query = "SELECT sweep_id, config, state, gone_at IS NULL AS held FROM lake.sweeps ORDER BY 1"
    rows = mirror.ask(query)
    assert [row["sweep_id"] for row in rows] == [f"s{number:03}" for number in range(120)]
    assert rows[7]["config"] == "method: grid # 7 é␀\n"
    sweeps = sandbox.state.project(ENTITY, PROJECT).sweeps
    sweeps["s007"].state = "FINISHED"
    dropped = sweeps.pop("s110")
    mirror.pull()
    held = {row["sweep_id"]: (row["state"], row["held"]) for row in mirror.ask(query)}
    assert (held["s007"], held["s110"], held["s008"]) == (("FINISHED", True), ("RUNNING", False), ("RUNNING", True))
    sweeps["s110"] = dropped
    mirror.pull()
    assert {row["sweep_id"] for row in mirror.ask(query) if row["held"]} == set(sweeps)


def test_a_sweep_whose_best_loss_is_nan_is_written_once(sandbox: Sandbox, mirror: Mirror) -> None:
    sandbox.state.add_sweep(ENTITY, PROJECT, "s")

    def nan(answer: Any) -> None:
        answer["data"]["project"]["sweeps"]["edges"][0]["node"]["bestLoss"] = float("nan")

    sandbox.faults.add(Fault.lie(nan, match=Match(operation="MirrorRuns")))
    assert mirror.pull().errors == []
    assert mirror.ask("SELECT best_loss FROM sweeps") == [{"best_loss": "NaN"}]
    files = sorted(mirror.home.lake_data.rglob("*.parquet"))
    mirror.pull()
    assert sorted(mirror.home.lake_data.rglob("*.parquet")) == files
