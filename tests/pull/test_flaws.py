"""A field that the server cannot serve costs that field of that run: named, tried again, and what was held stays."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mirror.layout import Home
from mirror.sandbox import Fault, Match, Sandbox
from tests.mirroring import ENTITY
from tests.pull.contents import assert_equal, failures, fill, mirror_of
from tests.soaking import thin


@pytest.fixture
def server() -> Any:
    with Sandbox.start() as sandbox:
        fill(sandbox, "p")
        yield sandbox


ITEMS = {
    "Run.summaryMetrics": "field summary_text",
    "Run.config": "field config_text",
    "Run.files": "files",
    "Run.parquetHistory": "history",
    "Run.outputArtifacts": "artifacts",
    "Run.logLines": "console",
    "Run.events": "system metrics",
}


# What says nothing of one another fails at once; one after the other, it is for `soak`.
AT_ONCE = ("Run.config", "Run.files", "Run.parquetHistory", "Run.events")


@pytest.mark.parametrize(
    ("fields", "status"),
    thin(
        [(AT_ONCE, 200), *(((field,), status) for field in ITEMS for status in (200, 500))],
        keep=[(AT_ONCE, 200), (("Run.summaryMetrics",), 500)],
    ),
)
def test_a_field_that_fails_for_one_run_costs_that_field_alone(
    server: Sandbox, home: Home, fields: tuple[str, ...], status: int
) -> None:
    mirror = mirror_of(server, home, "p")
    server.faults.add(*(Fault.field_error(field, run="r000", message="it broke", status=status) for field in fields))
    report = mirror.pull()
    assert report.errors == []
    assert set(failures(mirror)) == {("r000", ITEMS[field]) for field in fields}
    assert all("it broke" in failure["reason"] for failure in failures(mirror).values())
    assert mirror.run_ids() == ["r000", "r001", "r002", "r003"]
    server.faults.clear()
    assert mirror.pull().failures == 0
    assert failures(mirror) == {}
    assert_equal(server, mirror, "p")


def test_what_was_held_of_a_field_stays_when_the_server_cannot_serve_it_any_more(server: Sandbox, home: Home) -> None:
    server.state.edit_run(ENTITY, "p", "r000", summary={"best": 1}, tags=["a", "b"])
    mirror = mirror_of(server, home, "p")
    assert mirror.pull().failures == 0
    server.faults.add(Fault.field_error("Run.summaryMetrics", run="r000", message="it broke"))
    server.state.edit_run(ENTITY, "p", "r000", notes="moved", summary={"best": 2}, touch_heartbeat=True)
    server.clock.advance(60)
    mirror.pull()
    held = mirror.run("r000")
    assert (held["notes"], held["summary"], held["tags"]) == ("moved", {"best": 1}, ["a", "b"])
    server.faults.clear()
    mirror.pull()
    assert mirror.run("r000")["summary"] == {"best": 2}
    assert failures(mirror) == {}


@pytest.mark.parametrize("cut", thin(['{"best": ', "nonsense", "[" * 100_000], keep=['{"best": ']))
def test_a_document_that_is_no_json_replaces_none_that_is_held(server: Sandbox, home: Home, cut: str) -> None:
    server.state.edit_run(ENTITY, "p", "r000", summary={"best": 1}, config={"lr": 2})
    mirror = mirror_of(server, home, "p")
    assert mirror.pull().failures == 0
    run, new = server.state.run(ENTITY, "p", "r000"), server.state.add_run(ENTITY, "p", "new", summary={"best": 3})
    texts = run.summary_text, run.config_text, new.summary_text
    run.summary_text = run.config_text = new.summary_text = cut
    server.state.edit_run(ENTITY, "p", "r000", notes="moved", touch_heartbeat=True)
    server.clock.advance(60)
    for _ in range(2):
        mirror.pull()
        held = mirror.run("r000")
        assert (held["notes"], held["summary"], held["config"]) == ("moved", {"best": 1}, {"lr": 2})
        assert mirror.ask("SELECT summary_wire FROM lake.runs WHERE run_id = 'new'") == [{"summary_wire": cut}]
        reasons = {key: failure["reason"] for key, failure in failures(mirror).items()}
        assert reasons == dict.fromkeys(
            [("r000", "field summary_text"), ("r000", "field config_text")], "it is no JSON"
        )
    run.summary_text, run.config_text, new.summary_text = texts
    for name in ("r000", "new"):
        server.state.edit_run(ENTITY, "p", name, touch_heartbeat=True)
    server.clock.advance(60)
    mirror.pull()
    assert (mirror.run("r000")["summary"], mirror.run("new")["summary"]) == ({"best": 1}, {"best": 3})
    assert failures(mirror) == {}


def test_a_time_that_is_none_replaces_none_that_is_held(server: Sandbox, home: Home) -> None:
    mirror = mirror_of(server, home, "p")
    assert mirror.pull().failures == 0
    run, held = server.state.run(ENTITY, "p", "r000"), mirror.run("r000")
    right, run.created_at = run.created_at, "2026-13-45T99:00:00"
    server.state.edit_run(ENTITY, "p", "r000", notes="moved", touch_heartbeat=True)
    server.clock.advance(60)
    mirror.pull()
    assert mirror.run("r000")["notes"] == "moved"
    assert mirror.run("r000")["created_at"] == held["created_at"]
    assert {failure["reason"] for failure in failures(mirror).values()} == {"it is no time"}
    run.created_at = right
    mirror.pull(force_walk=True)
    assert failures(mirror) == {}


def test_places_without_anything_are_skipped_and_counted_and_nothing_is_gone(server: Sandbox, home: Home) -> None:
    mirror = mirror_of(server, home, "p")
    assert mirror.pull().failures == 0
    places: list[tuple[Any, int]] = [("runs", 2), ("files", 2), ("artifacts", 1), ("edges", 2)]
    for connection, every in places:
        server.faults.clear()
        server.faults.add(Fault.null_node(connection, every=every))
        report = mirror.pull(force_walk=True)
        assert report.errors == []
        assert sum(project.skipped for project in report.projects) > 0, connection
        assert mirror.run_ids() == ["r000", "r001", "r002", "r003"], connection
        assert mirror.ask("SELECT count(*) AS gone FROM files WHERE status = 'gone'") == [{"gone": 0}], connection
        assert mirror.ask("SELECT count(*) AS links FROM run_artifacts") == [{"links": 2}], connection
    server.faults.clear()
    mirror.pull(force_walk=True)
    assert_equal(server, mirror, "p")


def test_a_refusal_of_the_form_is_no_size_problem_and_no_bad_run(server: Sandbox, home: Home) -> None:
    mirror = mirror_of(server, home, "p")
    mirror.pull()
    server.faults.add(Fault.graphql_error('Cannot query field "never" on type "Nothing".', status=400))
    server.requests.clear()
    (error,) = mirror.pull(force_walk=True).errors
    assert "never" in error.message
    assert len(server.requests) <= 6  # not in halves, and not run by run; some look for what is to blame
    assert failures(mirror) == {}
    assert json.loads(home.server_facts.read_text()).get("lacking", []) == []


def null_inside_of_the_tags(answer: Any) -> Any:
    """What a GraphQL engine answers where one tag of a list of tags that are never null is null."""
    for place, edge in enumerate(answer["data"]["project"]["runs"]["edges"]):
        if edge["node"]["name"] == "r001":
            edge["node"]["tags"] = None
            path = ["project", "runs", "edges", place, "node", "tags", 1]
            words = "Cannot return null for non-nullable field Run.tags."
            answer = answer | {"errors": [{"message": words, "path": path}]}
    return answer


def test_an_error_at_a_place_inside_of_a_field_costs_that_field_alone(server: Sandbox, home: Home) -> None:
    server.state.edit_run(ENTITY, "p", "r001", tags=["a"])
    mirror = mirror_of(server, home, "p")
    assert mirror.pull().failures == 0
    server.faults.add(Fault.lie(null_inside_of_the_tags, match=Match(kind="graphql", operation="MirrorRuns")))
    for number in range(2):
        server.state.edit_run(ENTITY, "p", "r001", notes=f"note {number}")
        server.state.edit_run(ENTITY, "p", "r002", notes=f"note {number}")
        assert mirror.pull().errors == []
        assert set(failures(mirror)) == {("r001", "field tags")}
        held = mirror.ask("SELECT run_id, notes, tags FROM runs WHERE run_id IN ('r001', 'r002') ORDER BY 1")
        assert [run["notes"] for run in held] == [f"note {number}"] * 2
        assert held[0]["tags"] == ["a"], "as they were held"
    server.faults.clear()
    assert mirror.pull().failures == 0
    assert_equal(server, mirror, "p")
