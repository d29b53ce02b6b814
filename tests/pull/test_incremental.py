"""A second pull sees what moved, whatever the clocks say, and costs next to nothing when nothing did."""

from __future__ import annotations

import datetime as dt

import pytest

from mirror.sandbox import Sandbox
from tests.mirroring import ENTITY, PROJECT, Away, Mirror

HOUR = 3600.0


def test_heartbeats_creations_and_silent_crashes_are_seen_by_a_plain_second_pull(
    sandbox: Sandbox, mirror: Mirror
) -> None:
    state = sandbox.state
    for name in ("beats", "crashes", "preempted", "ended", "resumed"):
        status = {"beats": "running", "crashes": "running", "preempted": "preempted"}.get(name, "finished")
        state.add_run(ENTITY, PROJECT, name, state=status, heartbeat_at="2024-01-01T00:00:00")
    mirror.pull()
    sandbox.clock.advance(HOUR)
    state.log_rows(ENTITY, PROJECT, "beats", [{"_step": 0, "loss": 0.5}])
    state.edit_run(ENTITY, PROJECT, "crashes", state="crashed")  # the server does so without a heartbeat
    state.edit_run(ENTITY, PROJECT, "preempted", state="finished")
    state.edit_run(ENTITY, PROJECT, "resumed", state="running", touch_heartbeat=True)
    state.add_run(ENTITY, PROJECT, "new")
    (project,) = mirror.pull().projects
    assert (project.kind, project.written) == ("look", 5)
    states = {row["run_id"]: row["state"] for row in mirror.ask("SELECT run_id, state FROM runs")}
    assert states == {run.name: run.state for run in state.project(ENTITY, PROJECT).runs.values()}
    assert mirror.run("beats")["summary"]["loss"] == 0.5


def test_an_edit_of_an_ended_run_that_leaves_updated_at_alone_is_seen_by_a_walk(
    sandbox: Sandbox, mirror: Mirror
) -> None:
    sandbox.state.updated_at_moves = False
    for number in range(20):  # more than the first page of a look shows
        sandbox.state.add_run(ENTITY, PROJECT, f"r{number}", created_at="2024-01-02T00:00:00")
    sandbox.state.add_run(ENTITY, PROJECT, "old", heartbeat_at="2024-01-01T00:00:00", created_at="2024-01-01T00:00:00")
    mirror.pull()
    sandbox.state.edit_run(ENTITY, PROJECT, "old", tags=["new"], config={"lr": 1})
    assert mirror.pull().projects[0].written == 0
    assert mirror.pull(force_walk=True).projects[0].written == 1
    assert (mirror.run("old")["tags"], mirror.run("old")["config"]) == (["new"], {"lr": 1})


def test_a_forced_walk_sees_edits_also_when_an_earlier_walk_was_cut_off(sandbox: Sandbox, mirror: Mirror) -> None:
    for number in range(10):
        sandbox.state.add_run(ENTITY, PROJECT, f"r{number}", created_at=f"2024-01-01T00:00:0{number}")
    small = mirror.using(page_size_start=2, page_size_max=2)

    away = Away(sandbox, after=2)
    cut_off = small.pull(watcher=away)
    away.over()
    assert cut_off.errors
    sandbox.state.edit_run(ENTITY, PROJECT, "r0", notes="edited")
    assert small.pull(force_walk=True).errors == []
    assert mirror.run("r0")["notes"] == "edited"


def test_the_walk_comes_by_itself_when_it_is_due(sandbox: Sandbox, mirror: Mirror) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "old", heartbeat_at="2024-01-01T00:00:00", created_at="2024-01-01T00:00:00")
    mirror.pull()
    sandbox.state.edit_run(ENTITY, PROJECT, "old", notes="edited")
    tomorrow = mirror.using()
    tomorrow.now = lambda: dt.datetime.now(dt.UTC) + dt.timedelta(hours=25)
    assert tomorrow.pull().projects[0].kind == "walk"
    assert mirror.run("old")["notes"] == "edited"


@pytest.mark.parametrize("offset_s", [-HOUR, 0.0, HOUR], ids=["behind", "exact", "ahead"])
def test_a_server_clock_that_disagrees_by_an_hour_loses_nothing(
    sandbox: Sandbox, mirror: Mirror, offset_s: float
) -> None:
    sandbox.clock.advance(offset_s)
    sandbox.state.add_run(ENTITY, PROJECT, "first")
    mirror.pull()
    sandbox.clock.advance(30)
    sandbox.state.add_run(ENTITY, PROJECT, "second")
    sandbox.state.edit_run(ENTITY, PROJECT, "first", notes="beat", touch_heartbeat=True)
    (project,) = mirror.pull().projects
    assert (project.kind, project.error) == ("look", None)
    assert (mirror.run_ids(), mirror.run("first")["notes"]) == (["first", "second"], "beat")


def test_a_write_that_came_late_is_seen_inside_the_overlap(sandbox: Sandbox, mirror: Mirror) -> None:
    early = sandbox.clock.now() - dt.timedelta(minutes=5)
    sandbox.state.add_run(ENTITY, PROJECT, "other", heartbeat_at="2024-01-01T00:00:00")
    sandbox.state.add_run(ENTITY, PROJECT, "late", heartbeat_at="2024-01-01T00:00:00", created_at="2024-01-01T00:00:00")
    mirror.pull()
    stamp = early.strftime("%Y-%m-%dT%H:%M:%S")
    sandbox.state.edit_run(ENTITY, PROJECT, "late", heartbeat_at=stamp, notes="late")
    assert mirror.pull().projects[0].kind == "look"
    assert mirror.run("late")["notes"] == "late"


def test_a_pull_that_finds_nothing_new_costs_one_request_a_project_and_leaves_no_file(
    sandbox: Sandbox, mirror: Mirror
) -> None:
    for number in range(300):
        sandbox.state.add_run(ENTITY, PROJECT, f"r{number}")
    sandbox.clock.advance(2)  # what moved in the second in which a pull begins is looked at again by the next one
    mirror.pull()
    files = sorted(mirror.home.lake_data.rglob("*"))
    sandbox.clock.advance(60)
    report = mirror.pull()
    assert (report.errors, report.requests, report.projects[0].written) == ([], 1, 0)
    assert sorted(mirror.home.lake_data.rglob("*")) == files


def test_the_first_pull_of_many_runs_takes_few_requests(sandbox: Sandbox, mirror: Mirror) -> None:
    """A tenth of the promise for 10,000 runs, at a tenth of the page size; the bench measures the whole."""
    for number in range(1_500):
        sandbox.state.add_run(ENTITY, PROJECT, f"r{number}")
    sandbox.clock.advance(2)
    small = mirror.using(page_size_start=10, page_size_max=100)
    report = small.pull()
    assert (report.errors, report.projects[0].written) == ([], 1_500)
    assert report.requests <= 30
    sandbox.clock.advance(60)
    assert small.pull().requests <= 2
    assert len(mirror.run_ids()) == 1_500
