"""Looks by `updatedAt`: an edit of any run is seen at once, and a server whose `updatedAt` lies hides no run."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator

import pytest

from mirror.sandbox import Sandbox
from mirror.sandbox.state import listings
from mirror.sandbox.state.mongo import _FIELDS
from tests.mirroring import ENTITY, PROJECT, Mirror
from tests.soaking import thin

MANY = 40


@pytest.fixture
def filled(sandbox: Sandbox, mirror: Mirror) -> Sandbox:
    """A mirrored project of many ended runs, a minute ago."""
    for number in range(MANY):
        stamp = f"2024-01-01T00:{number:02}:00"
        sandbox.state.add_run(ENTITY, PROJECT, f"r{number:02}", created_at=stamp, history=[{"_step": 0, "a": number}])
    mirror.pull()
    sandbox.clock.advance(60)
    mirror.pull()
    sandbox.clock.advance(60)
    return sandbox


def orders(sandbox: Sandbox) -> list[object]:
    """The orders of the listings that were asked for since the last question."""
    asked = [request.variables.get("order") for request in sandbox.requests.select("MirrorRuns")]
    sandbox.requests.clear()
    return asked


def distrusts(mirror: Mirror) -> bool:
    """Whether the mirror found that `updatedAt` does not tell what moved."""
    return bool(mirror.source()["distrusts_updates"])


def walk(mirror: Mirror) -> None:
    """The check of all runs."""
    assert mirror.pull(force_walk=True).errors == []


def test_an_edit_of_an_ended_run_is_seen_by_the_next_look_in_one_request(filled: Sandbox, mirror: Mirror) -> None:
    filled.state.edit_run(ENTITY, PROJECT, "r00", tags=["new"], notes="edited", config={"lr": 1})
    report = mirror.pull()
    assert (report.projects[0].kind, report.projects[0].written, report.requests, report.transfers) == ("look", 1, 1, 0)
    run = mirror.run("r00")
    assert (run["tags"], run["notes"], run["config"]) == (["new"], "edited", {"lr": 1})
    assert run["updated_at_text"] == filled.state.run(ENTITY, PROJECT, "r00").updated_at
    filled.clock.advance(60)
    report = mirror.pull()
    assert (report.projects[0].written, report.requests) == (0, 1)
    assert not distrusts(mirror)


def test_edits_of_more_runs_than_a_page_holds_are_all_seen(filled: Sandbox, mirror: Mirror) -> None:
    for number in range(35):
        filled.state.edit_run(ENTITY, PROJECT, f"r{number:02}", notes="edited")
    assert mirror.pull().projects[0].written == 35
    assert mirror.ask("SELECT count(*) AS n FROM runs WHERE notes = 'edited'") == [{"n": 35}]
    assert not distrusts(mirror)


def test_an_edit_that_was_stamped_late_is_seen_inside_the_overlap(filled: Sandbox, mirror: Mirror) -> None:
    early = (filled.clock.now() - dt.timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%S")
    filled.state.edit_run(ENTITY, PROJECT, "r03", notes="late")
    filled.state.run(ENTITY, PROJECT, "r03").updated_at = early
    assert mirror.pull().projects[0].written == 1


def test_what_a_run_that_was_deleted_takes_along_is_seen_by_the_look(filled: Sandbox, mirror: Mirror) -> None:
    filled.state.delete_run(ENTITY, PROJECT, "r39")
    assert mirror.pull().projects[0].gone == 1
    filled.state.delete_run(ENTITY, PROJECT, "r00")
    assert mirror.pull().projects[0].gone == 1
    assert not distrusts(mirror)


def test_a_server_without_updated_at_is_looked_at_as_before(sandbox: Sandbox, mirror: Mirror) -> None:
    state = sandbox.state

    def forget() -> None:
        for run in state.project(ENTITY, PROJECT).runs.values():
            run.updated_at = None  # type: ignore[assignment]

    for number in range(20):
        state.add_run(ENTITY, PROJECT, f"r{number:02}", created_at=f"2024-01-01T00:{number:02}:00")
    forget()
    mirror.pull()
    sandbox.clock.advance(60)
    state.edit_run(ENTITY, PROJECT, "r00", notes="edited")
    state.edit_run(ENTITY, PROJECT, "r01", notes="beat", touch_heartbeat=True)
    state.add_run(ENTITY, PROJECT, "new")
    forget()
    orders(sandbox)
    report = mirror.pull()
    assert (report.requests, report.projects[0].written, orders(sandbox)) == (1, 2, ["+created_at"])
    assert (mirror.run("r01")["notes"], mirror.run("r00")["notes"]) == ("beat", None)
    walk(mirror)
    assert mirror.run("r00")["notes"] == "edited"


def test_a_server_whose_updated_at_does_not_move_on_edits_is_found_out_by_the_walk(
    filled: Sandbox, mirror: Mirror
) -> None:
    filled.state.updated_at_moves = False
    filled.state.edit_run(ENTITY, PROJECT, "r00", notes="edited")
    filled.state.edit_run(ENTITY, PROJECT, "r01", notes="beat", touch_heartbeat=True)
    assert mirror.pull().projects[0].written == 1
    assert (mirror.run("r00")["notes"], mirror.run("r01")["notes"]) == (None, "beat")
    assert not distrusts(mirror)
    walk(mirror)
    assert mirror.run("r00")["notes"] == "edited"
    assert distrusts(mirror)
    orders(filled)
    filled.clock.advance(60)
    filled.state.edit_run(ENTITY, PROJECT, "r02", notes="beat", touch_heartbeat=True)
    report = mirror.pull()
    assert (report.requests, report.projects[0].written, orders(filled)) == (1, 1, ["+created_at"])
    assert distrusts(mirror)
    walk(mirror)  # which finds nothing against it
    assert not distrusts(mirror)


def test_a_server_whose_updated_at_never_moves_hides_no_sign_of_life(filled: Sandbox, mirror: Mirror) -> None:
    run = filled.state.edit_run(ENTITY, PROJECT, "r00", state="running", touch_heartbeat=True)
    run.updated_at = "2024-01-01T00:00:00"
    new = filled.state.add_run(ENTITY, PROJECT, "new")
    new.updated_at = "2024-01-01T00:00:00"
    assert mirror.pull().projects[0].written == 2
    assert (mirror.run("r00")["state"], "new" in mirror.run_ids()) == ("running", True)
    assert distrusts(mirror)
    orders(filled)
    assert mirror.pull().requests == 1
    assert orders(filled) == ["+created_at"]


@contextlib.contextmanager
def another_order(order: str) -> Iterator[None]:
    """The server takes every order for this one."""
    patch = pytest.MonkeyPatch()
    real = listings._order
    patch.setattr(listings, "_order", lambda _: real(order))
    try:
        yield
    finally:
        patch.undo()


@pytest.mark.parametrize("order", thin(["+created_at", "+name", "-name"], keep=["+name"]))
def test_a_server_that_ignores_the_order_is_found_out_and_looked_at_as_before(
    filled: Sandbox, mirror: Mirror, order: str
) -> None:
    with another_order(order):
        filled.state.project(ENTITY, PROJECT).version += 1
        filled.state.edit_run(ENTITY, PROJECT, "r20", notes="edited")
        filled.state.edit_run(ENTITY, PROJECT, "r21", notes="beat", touch_heartbeat=True)
        filled.state.add_run(ENTITY, PROJECT, "a-new-one")
        mirror.pull()
        assert (mirror.run("r21")["notes"], "a-new-one" in mirror.run_ids()) == ("beat", True)
        walk(mirror)
        assert mirror.run("r20")["notes"] == "edited"
        filled.clock.advance(60)
        filled.state.edit_run(ENTITY, PROJECT, "r22", notes="beat", touch_heartbeat=True)
        mirror.pull()
        assert mirror.run("r22")["notes"] == "beat"
        assert distrusts(mirror)
        filled.clock.advance(60)
        assert mirror.pull().requests == 1


def test_a_server_that_refuses_the_order_is_looked_at_as_before(
    filled: Sandbox, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(_FIELDS, "updatedAt")
    filled.state.edit_run(ENTITY, PROJECT, "r01", notes="beat", touch_heartbeat=True)
    report = mirror.pull()
    assert (report.errors, report.failures, mirror.run("r01")["notes"]) == ([], 0, "beat")
    assert distrusts(mirror)
    filled.clock.advance(60)
    assert mirror.pull().requests == 1
