"""Histories that were written again, and runs that were made again: noticed, read anew, and the old state askable."""

from __future__ import annotations

from typing import Any

import pytest

from mirror.layout import Home
from mirror.sandbox import Sandbox
from mirror.sandbox.state.records import RunRecord
from tests.mirroring import ENTITY, Mirror
from tests.pull.contents import assert_equal, history, mirror_of
from tests.soaking import thin

OTHER = [{"_step": n, "loss": n + 0.25, "text": f"again {n}"} for n in range(20)]


@pytest.fixture
def mirror(server: Sandbox, home: Home, project: str) -> Mirror:
    """A mirror of that project."""
    return mirror_of(server, home, project)


def rewrite(server: Sandbox, record: RunRecord, rows: list[dict[str, Any]], *, export: bool, beat: bool) -> None:
    """Put other rows in place of all that the run logged; with or without a sign of life."""
    with server.state.lock:
        record.history = [dict(row) for row in rows]
        record.history_version += 1
        if export:
            server.state.export_history(record)
        if rows:
            last = rows[-1]
            server.state.edit_run(record.project.entity, record.project.name, record.name, summary=last)
        if beat:
            server.state.changed(record, heartbeat=True)


def generations(mirror: Mirror) -> list[tuple[int, str]]:
    """Number and reason."""
    return [(row["generation"], row["reason"]) for row in mirror.ask("FROM generations ORDER BY generation")]


def losses(mirror: Mirror, generation: int) -> list[float]:
    """What a generation held."""
    rows = mirror.ask(
        "SELECT value FROM generation_metrics WHERE generation = ? AND key = 'loss' ORDER BY step", generation
    )
    return [row["value"] for row in rows]


@pytest.mark.parametrize("exported", [True, False], ids=["exported", "not exported"])
def test_rows_of_an_ended_run_that_were_overwritten_without_a_sign_of_life_are_read_again(
    server: Sandbox, project: str, mirror: Mirror, exported: bool
) -> None:
    record = server.state.add_run(ENTITY, project, "r", history=history(0, 20), exported=exported)
    mirror.pull()
    before = [row["loss"] for row in record.history]
    server.clock.advance(60)
    rewrite(server, record, OTHER, export=exported, beat=False)
    mirror.pull()
    assert_equal(server, mirror, project)
    assert generations(mirror) == [(1, "overwritten")]
    assert losses(mirror, 1) == before
    server.clock.advance(60)
    server.requests.clear()
    report = mirror.pull()
    assert (report.requests, report.transfers) == (1, 0)


def test_rows_in_the_middle_that_nothing_but_updated_at_tells_of_are_read_again(
    server: Sandbox, project: str, mirror: Mirror
) -> None:
    record = server.state.add_run(ENTITY, project, "r", history=history(0, 20))
    for number in range(3):
        server.state.add_run(ENTITY, project, f"other{number}", history=history(0, 5))
    mirror.pull()
    server.clock.advance(60)
    with server.state.lock:
        record.history[7]["loss"] = -1.0
        server.state.export_history(record)
        server.state.changed(record)
    assert mirror.pull().projects[0].parts == 1
    assert_equal(server, mirror, project)
    assert generations(mirror) == [(1, "overwritten")]


def test_an_edit_fetches_no_history_again(server: Sandbox, project: str, mirror: Mirror) -> None:
    server.state.add_run(ENTITY, project, "r", history=history(0, 20))
    mirror.pull()
    server.clock.advance(60)
    server.state.edit_run(ENTITY, project, "r", tags=["t"], notes="n", config={"a": 1}, display_name="other")
    report = mirror.pull()
    assert (report.projects[0].written, report.transfers, report.requests) == (1, 0, 1)
    assert generations(mirror) == []


@pytest.mark.parametrize("exported", thin({"live": False, "partly exported": 12}, keep=["partly exported"]))
def test_rows_that_are_overwritten_while_a_run_goes_on_are_read_again(
    server: Sandbox, project: str, mirror: Mirror, exported: bool | int
) -> None:
    record = server.state.add_run(ENTITY, project, "r", state="running", history=history(0, 20), exported=exported)
    mirror.pull()
    server.clock.advance(60)
    rewrite(server, record, OTHER, export=False, beat=True)
    record.exported.clear()
    record.parts = []
    mirror.pull()
    assert_equal(server, mirror, project)
    assert [reason for _, reason in generations(mirror)] == ["overwritten"]


@pytest.mark.parametrize("length", thin({"as long": 20, "longer": 26, "shorter": 19}, keep=["as long"]))
def test_a_run_that_was_rewound_and_logged_on_between_two_looks_holds_what_the_server_has(
    server: Sandbox, project: str, mirror: Mirror, length: int
) -> None:
    record = server.state.add_run(ENTITY, project, "r", state="running", history=history(0, 20), exported=False)
    mirror.pull()
    server.clock.advance(60)
    again = [*history(0, 8), *({"_step": n, "loss": n + 0.25} for n in range(8, length))]
    rewrite(server, record, again, export=False, beat=True)
    mirror.pull()
    assert_equal(server, mirror, project)
    assert len(generations(mirror)) == 1
    server.clock.advance(60)
    server.state.log_rows(ENTITY, project, "r", history(length, length + 3))
    mirror.pull()
    assert_equal(server, mirror, project)
    server.clock.advance(60)
    server.state.finish_run(ENTITY, project, "r")
    mirror.pull()
    assert_equal(server, mirror, project)
    assert len(generations(mirror)) == 1, "an export of the same rows supersedes nothing"


def test_an_equal_rewind_of_an_ended_run_is_noticed(server: Sandbox, project: str, mirror: Mirror) -> None:
    record = server.state.add_run(ENTITY, project, "r", history=history(0, 20))
    mirror.pull()
    server.clock.advance(60)
    again = [*history(0, 8), *({"_step": n, "loss": n + 0.25} for n in range(8, 20))]
    rewrite(server, record, again, export=True, beat=False)
    mirror.pull()
    assert_equal(server, mirror, project)
    assert generations(mirror) == [(1, "overwritten")]


@pytest.mark.parametrize(
    ("state", "same_storage_id"),
    thin(
        [(state, same) for state in ("finished", "running") for same in (False, True)],
        keep=[("running", True)],
    ),
)
def test_a_run_that_was_deleted_and_made_again_under_its_id_is_another_run(
    server: Sandbox, project: str, mirror: Mirror, state: str, same_storage_id: bool
) -> None:
    old = server.state.add_run(
        ENTITY, project, "r", state=state, history=history(0, 20), exported=12, config={"n": 1},
        files={"old.txt": b"old", "both.txt": b"old"}, console=["old 1", "old 2", "old 3"],
        events=[{"_timestamp": 1.7e9 + n, "system.cpu": n + 0.5} for n in range(5)],
    )  # fmt: skip
    server.state.add_artifact(ENTITY, project, "set", files={"a": b"a"}, run="r")
    mirror.pull()
    server.clock.advance(60)
    server.state.delete_run(ENTITY, project, "r")
    new = server.state.add_run(
        ENTITY, project, "r", state=state, history=OTHER[:5], exported=2, config={"n": 2},
        files={"both.txt": b"new", "new.txt": b"new"}, console=["new 1"],
    )  # fmt: skip
    if same_storage_id:
        with server.state.lock:
            server.state.runs_by_id.pop(new.id)
            new.id = old.id
            server.state.runs_by_id[new.id] = new
    report = mirror.pull()
    assert (report.errors, report.failures) == ([], 0)
    assert_equal(server, mirror, project)
    assert generations(mirror) == [(1, "remade")]
    assert len(losses(mirror, 1)) == 20
    (run,) = mirror.ask("SELECT row FROM generation_rows WHERE \"table\" = 'runs'")
    assert (run["row"]["config"], run["row"]["storage_id"]) == ({"n": 1}, old.id)
    names = mirror.ask("SELECT row->>'name' AS name, object FROM generation_rows WHERE \"table\" = 'files' ORDER BY 1")
    assert [row["name"] for row in names] == ["both.txt", "old.txt"]
    assert all((mirror.home.objects / row["object"][:2] / row["object"]).exists() for row in names)
    server.clock.advance(60)
    mirror.pull(force_walk=True)
    assert generations(mirror) == [(1, "remade")]
    assert_equal(server, mirror, project)


def test_a_run_made_again_with_nothing_in_it_holds_nothing(server: Sandbox, project: str, mirror: Mirror) -> None:
    server.state.add_run(ENTITY, project, "r", history=history(0, 20), files={"old.txt": b"old"}, console=["old"])
    server.state.add_run(ENTITY, project, "other", created_at="2024-01-01T00:00:00")  # not all vanish at once
    mirror.pull()
    server.clock.advance(60)
    server.state.delete_run(ENTITY, project, "r")
    mirror.pull()
    assert mirror.run("r")["gone_at"] is not None
    server.clock.advance(60)
    server.state.add_run(ENTITY, project, "r", state="running")
    mirror.pull()
    assert mirror.run("r")["gone_at"] is None
    for table in ("metrics", "exports", "files", "console_lines", "completeness"):
        assert mirror.ask(f"FROM lake.{table}") == []
    assert generations(mirror) == [(1, "remade")]


def test_parts_that_are_named_anew_on_every_listing_are_fetched_again_once(
    server: Sandbox, project: str, mirror: Mirror
) -> None:
    record = server.state.add_run(ENTITY, project, "r", history=history(0, 20))
    mirror.pull()
    fetched = []
    for _ in range(3):
        server.clock.advance(60)
        with server.state.lock:
            server.state.export_history(record)
        fetched.append(mirror.pull(force_walk=True).projects[0].parts)
    assert fetched == [1, 0, 0]
    assert generations(mirror) == []
