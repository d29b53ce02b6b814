"""Histories that grow, are resumed, rewound and exported while mirrored: every step once, as the server has it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from mirror.layout import Home
from mirror.sandbox import Fault, Match, Sandbox
from tests.mirroring import ENTITY, Mirror
from tests.pull.contents import assert_equal, history, mirror_of
from tests.soaking import thin


@pytest.fixture
def mirror(server: Sandbox, home: Home, project: str) -> Mirror:
    """A mirror of that project."""
    return mirror_of(server, home, project)


def run(server: Sandbox, project: str, **options: Any) -> Any:
    options.setdefault("state", "running")
    return server.state.add_run(ENTITY, project, "r", **options)


def completeness(mirror: Mirror) -> dict[str, Any]:
    (row,) = mirror.ask("SELECT * FROM lake.completeness")
    return row


@pytest.mark.parametrize(
    "repeats",
    thin({"history repeats exported rows": True, "history leaves them out": False}, keep=["history leaves them out"]),
)
def test_a_running_run_is_read_on_from_the_last_step_and_its_export_replaces_the_tail_once(
    server: Sandbox, project: str, mirror: Mirror, repeats: bool
) -> None:
    server.state.history_includes_exported = repeats
    record = run(server, project, history=history(0, 3))
    for stop in (3, 5, 5, 9):
        server.state.log_rows(ENTITY, project, "r", history(len(record.history), stop))
        server.requests.clear()
        mirror.pull()
        assert_equal(server, mirror, project)
        asked = [r.variables for r in server.requests.select("MirrorRunStreams")]
        assert all(one["minStep0"] is None or one["minStep0"] >= min(len(record.history) - 5, 2) for one in asked[1:])
    assert completeness(mirror)["reason"] == "the run is still active"
    server.state.export_history(record, rows=6)
    server.state.log_rows(ENTITY, project, "r", history(9, 11))
    mirror.pull()
    assert_equal(server, mirror, project)
    server.state.finish_run(ENTITY, project, "r")
    mirror.pull()
    assert_equal(server, mirror, project)
    facts = completeness(mirror)
    assert (facts["complete"], facts["tail_rows"], facts["rows_held"], facts["parts"]) == (True, 0, 11, 1)


def test_a_poll_that_finds_new_rows_appends_them_and_rewrites_nothing(
    server: Sandbox, project: str, mirror: Mirror
) -> None:
    run(server, project, history=history(0, 30), exported=10)
    mirror.pull()
    before = {row["data_file"] for row in mirror.ask("SELECT data_file FROM ducklake_list_files('lake', 'metrics')")}
    server.state.log_rows(ENTITY, project, "r", history(30, 33))
    assert mirror.pull().projects[0].parts == 0
    after = mirror.ask("SELECT data_file, delete_file FROM ducklake_list_files('lake', 'metrics')")
    assert {row["data_file"] for row in after} > before
    assert all(row["delete_file"] is None for row in after)
    assert_equal(server, mirror, project)


def test_a_row_that_grew_is_held_as_it_is_now(server: Sandbox, project: str, mirror: Mirror) -> None:
    run(server, project, history=history(0, 5))
    mirror.pull()
    server.state.log_rows(ENTITY, project, "r", [{"_step": 4, "loss": 9.5, "late": 1}, {"_step": 5, "loss": 8.5}])
    mirror.pull()
    assert_equal(server, mirror, project)


@pytest.mark.parametrize("steps", thin([[1, 5, 7], [2, 14, 15, 16], [0, 30]], keep=[[2, 14, 15, 16]]))
def test_live_rows_below_and_between_exported_ones_are_merged(
    server: Sandbox, project: str, mirror: Mirror, steps: list[int]
) -> None:
    record = run(server, project, history=[row for row in history(0, 20) if row["_step"] not in steps])
    server.state.export_history(record, parts=2)
    mirror.pull()
    assert_equal(server, mirror, project)
    server.state.log_rows(ENTITY, project, "r", [{"_step": step, "loss": step + 0.25} for step in steps])
    mirror.pull()
    assert_equal(server, mirror, project)
    server.state.log_rows(ENTITY, project, "r", history(40, 43))
    mirror.pull()
    assert_equal(server, mirror, project)


def test_a_rewound_and_resumed_run_keeps_no_step_that_is_not_there_any_more(
    server: Sandbox, project: str, mirror: Mirror
) -> None:
    record = run(server, project, history=history(0, 20), exported=12)
    mirror.pull()
    with server.state.lock:
        record.history = record.history[:8]
        record.history_version += 1
        server.state.export_history(record, rows=4)
        server.state.changed(record, heartbeat=True)
    mirror.pull()
    assert_equal(server, mirror, project)
    server.state.log_rows(ENTITY, project, "r", [{"_step": n, "other": n / 4} for n in range(8, 15)])
    mirror.pull()
    assert_equal(server, mirror, project)
    server.state.finish_run(ENTITY, project, "r")
    mirror.pull()
    assert_equal(server, mirror, project)
    server.state.edit_run(ENTITY, project, "r", state="running", touch_heartbeat=True)
    server.state.log_rows(ENTITY, project, "r", history(15, 18))
    mirror.pull()
    assert_equal(server, mirror, project)


def test_a_step_written_again_after_it_was_exported_arrives_with_the_end_of_the_run(
    server: Sandbox, project: str, mirror: Mirror
) -> None:
    record = run(server, project, history=history(0, 10), exported=10)
    mirror.pull()
    server.state.log_rows(ENTITY, project, "r", [{"_step": 4, "loss": -1.0}])
    server.state.finish_run(ENTITY, project, "r")
    mirror.pull()
    assert len(record.parts) == 1
    assert_equal(server, mirror, project)


def test_a_run_without_export_and_live_rows_is_read_through_history_pages(
    server: Sandbox, project: str, mirror: Mirror
) -> None:
    rows = [*history(0, 5), *history(2500, 2503), {"_step": 1_700_000_000, "loss": 1.5}, {"_step": 1_700_000_900}]
    run(server, project, history=rows, exported=False, live_data=False, state="finished")
    mirror.pull()
    assert_equal(server, mirror, project)
    assert completeness(mirror)["complete"]
    assert server.requests.count("MirrorHistory") < 60


def test_rows_that_only_history_serves_behind_the_exports_are_read(
    server: Sandbox, project: str, mirror: Mirror
) -> None:
    run(server, project, history=history(0, 20), exported=7, live_data=False, state="finished")
    mirror.pull()
    assert_equal(server, mirror, project)
    assert completeness(mirror)["complete"]


def test_exports_whose_steps_are_null_leave_no_row_without_its_step(
    server: Sandbox, project: str, mirror: Mirror
) -> None:
    record = run(server, project, history=history(0, 6), exported=True, step_type="null", state="finished")
    mirror.pull()
    rows = mirror.ask("SELECT DISTINCT step FROM lake.metrics ORDER BY 1")
    assert [row["step"] for row in rows] == [row["_step"] for row in record.history]


def test_two_empty_parts_are_fetched_once(server: Sandbox, project: str, mirror: Mirror) -> None:
    record = run(server, project, history=history(0, 6), state="finished", exported=False)
    server.state.export_history(record, parts=2, empty_part=True)
    with server.state.lock:
        record.parts.append(record.parts[-1])
    mirror.pull()
    assert mirror.pull(force_walk=True).transfers == 0
    assert completeness(mirror)["complete"]


def test_a_run_that_just_ended_is_complete_though_no_row_came(server: Sandbox, project: str, mirror: Mirror) -> None:
    run(server, project, history=history(0, 6))
    mirror.pull()
    assert not completeness(mirror)["complete"]
    server.state.edit_run(ENTITY, project, "r", state="crashed")  # without a heartbeat, as W&B's server does it
    mirror.pull()
    assert completeness(mirror)["complete"]
    assert_equal(server, mirror, project)


def test_an_export_that_comes_late_without_a_sign_of_life_is_looked_for_with_growing_waits(
    server: Sandbox, project: str, mirror: Mirror
) -> None:
    record = run(server, project, history=history(0, 6))
    now = dt.datetime.now(dt.UTC)
    mirror.now = lambda: now
    mirror.pull()
    server.state.finish_run(ENTITY, project, "r", export=False)
    server.clock.advance(1)
    for number in range(15):  # so that the next looks begin behind the run's last heartbeat, and end before it
        server.state.add_run(ENTITY, project, f"newer{number}")
    server.clock.advance(2)
    mirror.pull()
    server.clock.advance(600)
    server.state.add_run(ENTITY, project, "newest")
    looked = []
    for minute in range(1, 25):
        now += dt.timedelta(minutes=1)
        if minute in (3, 5, 6, 9, 24):
            server.requests.clear()
            mirror.pull()
            asked = [r.variables for r in server.requests.select(kind="graphql")]
            looked.append((minute, any('"r"' in str(one.get("filters")) for one in asked)))
    assert [minute for minute, was in looked if was] == [3, 5, 9, 24]
    server.state.export_history(record)
    now += dt.timedelta(minutes=2)
    mirror.pull()
    assert completeness(mirror)["tail_rows"] == 6, "not yet its time"
    now += dt.timedelta(hours=1)
    mirror.pull()
    assert_equal(server, mirror, project)
    assert (completeness(mirror)["tail_rows"], completeness(mirror)["parts"]) == (0, 1)


def test_a_lost_export_object_of_a_live_run_is_fetched_again(server: Sandbox, project: str, mirror: Mirror) -> None:
    run(server, project, history=history(0, 20), exported=12)
    mirror.pull()
    (row,) = mirror.ask("SELECT object FROM lake.exports")
    (mirror.home.objects / row["object"][:2] / row["object"]).unlink()
    server.state.log_rows(ENTITY, project, "r", history(20, 22))
    assert mirror.pull().errors == []
    assert_equal(server, mirror, project)


@pytest.mark.parametrize("cap", [10_000, 700], ids=["served whole", "cut short by the server"])
def test_a_growing_console_costs_one_request_a_look_and_its_rewritten_tail_is_seen(
    server: Sandbox, project: str, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, cap: int
) -> None:
    record = run(server, project, console=[f"line {number}" for number in range(4_000)])
    mirror.pull()
    monkeypatch.setattr(server.state, "log_page_lines", cap)
    for turn in range(2):
        with server.state.lock:
            for number in (-1, -32):
                record.console[number].line = f"{turn} of 2, line {number}"
            server.state.log_console(ENTITY, project, "r", [f"more {turn}, {number}" for number in range(500)])
            server.clock.advance(1)  # a sign of life in the same second is none
            server.state.changed(record, heartbeat=True)
        server.requests.clear()
        assert mirror.pull().failures == 0
        assert_equal(server, mirror, project)
        sent = sum(len(one.variables) > 0 for one in server.requests.select(kind="graphql"))
        if cap > 1500:
            assert sent == 2, "the listing, and the streams of all runs"
            assert server.requests.count("MirrorLogLines") == 0
            (asked,) = server.requests.select("MirrorRunStreams")
            assert asked.variables["logLast0"] == 1500
    with server.state.lock:
        record.console[0].line = "no client of today reaches back so far"
    server.state.finish_run(ENTITY, project, "r")
    mirror.pull()
    assert_equal(server, mirror, project)


def test_a_console_that_shrank_is_read_whole(server: Sandbox, project: str, mirror: Mirror) -> None:
    record = run(server, project, console=[f"line {number}" for number in range(3000)])
    mirror.pull()
    with server.state.lock:
        del record.console[2000:]
        record.console[5].line = "begun anew"
        server.clock.advance(1)
        server.state.changed(record, heartbeat=True)
    mirror.pull()
    assert_equal(server, mirror, project)


def test_console_lines_rewritten_by_later_output_are_read_again_also_by_the_last_look(
    server: Sandbox, project: str, mirror: Mirror
) -> None:
    record = run(server, project, console=["start", "10 %"])
    mirror.pull()
    with server.state.lock:
        server.clock.advance(1)  # a sign of life in the same second is none
        record.console[1].line = "50 %"
        server.state.changed(record, heartbeat=True)
    mirror.pull()
    assert_equal(server, mirror, project)
    with server.state.lock:
        server.clock.advance(1)
        record.console[1].line = "100 %"
    server.state.finish_run(ENTITY, project, "r")
    mirror.pull()
    assert_equal(server, mirror, project)


APART: dict[str, tuple[list[int], dict[bool, int]]] = {
    "powers": ([0, 2**31, 2**40, 2**52], {True: 4, False: 3}),  # without live steps, the last one is not found
    "milliseconds behind 0": ([0, *(1_700_000_000_000 + 1000 * n for n in range(5))], {True: 6, False: 6}),
    "nanoseconds": ([1_700_000_000_000_000_000 + 10**9 * n for n in range(5)], {True: 5, False: 5}),
}


@pytest.mark.parametrize(
    ("steps", "held", "hide"),
    thin(
        [(*APART[name], hide) for name in APART for hide in ((), ("Run.parquetHistory",))],
        keep=[
            *((*APART["powers"], hide) for hide in ((), ("Run.parquetHistory",))),
            (*APART["nanoseconds"], ("Run.parquetHistory",)),
        ],
    ),
)
def test_steps_that_lie_far_apart_end_and_cost_no_other_run(
    home: Home, hide: tuple[str, ...], steps: list[int], held: dict[bool, int]
) -> None:
    with Sandbox.start(hide=hide) as sandbox:
        rows = [{"_step": step, "x": number} for number, step in enumerate(steps)]
        sandbox.state.add_run(ENTITY, "p", "far", state="finished", history=rows, exported=0)
        sandbox.state.add_run(ENTITY, "p", "near", state="finished", history=history(0, 3))
        mirror = mirror_of(sandbox, home, "p")
        report = mirror.pull()
        assert (report.errors, report.failures) == ([], 0)
        assert report.requests < 250
        found = mirror.ask("SELECT run_id, rows_held, complete FROM lake.completeness ORDER BY 1")
        expected = held[not hide]
        assert found == [
            {"run_id": "far", "rows_held": expected, "complete": expected == len(steps)},
            {"run_id": "near", "rows_held": 3, "complete": True},
        ]


@pytest.mark.parametrize(
    "hidden", thin(["Run.history", "Run.history(minStep)", "Run.history(samples)"], keep=["Run.history(minStep)"])
)
def test_a_server_without_rows_of_histories_is_not_asked_for_them_again_and_again(home: Home, hidden: str) -> None:
    with Sandbox.start(hide=[hidden, "Run.events", "Run.logLines"]) as sandbox:
        for number in range(5):
            sandbox.state.add_run(ENTITY, "p", f"r{number}", state="finished", history=history(0, 3), exported=0)
        mirror = mirror_of(sandbox, home, "p")
        mirror.pull()
        assert [mirror.pull().requests, mirror.pull().requests] == [1, 1]


def test_a_server_that_gives_the_same_rows_for_any_steps_is_found_out(home: Home) -> None:
    def lie(body: dict[str, Any]) -> None:
        for node in (body["data"].get("project") or {}).values():
            if isinstance(node, dict) and "history" in node and node["name"] == "far":
                node["history"] = ['{"_step": 0, "x": 0}']

    with Sandbox.start() as sandbox:
        rows = [{"_step": step, "x": step} for step in (0, 10**6, 2**52)]
        sandbox.state.add_run(ENTITY, "p", "far", state="finished", history=rows, exported=0)
        sandbox.state.add_run(ENTITY, "p", "near", state="finished", history=history(0, 3))
        sandbox.faults.add(Fault.lie(lie, match=Match(kind="graphql", query="history(")))
        mirror = mirror_of(sandbox, home, "p")
        report = mirror.pull()
        assert report.requests < 40
        assert [(failure.run_id, failure.item) for failure in report.projects[0].failed] == [("far", "history")]
        assert "gives others" in report.projects[0].failed[0].reason
        sandbox.faults.clear()
        assert mirror.pull(retry_quarantined=True).failures == 0
        assert_equal(sandbox, mirror, "p")
