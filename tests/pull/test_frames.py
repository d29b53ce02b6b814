"""What stands around the runs of a page never costs the runs: errors, lies and circles in the frame of an answer."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from mirror.errors import Forbidden, ServerError
from mirror.layout import Home
from mirror.sandbox import Fault, Match, Sandbox
from tests.mirroring import ENTITY
from tests.pull.contents import assert_equal, fill, mirror_of
from tests.soaking import thin

RUNS = Match(kind="graphql", operation="MirrorRuns")
Lie = Callable[[dict[str, Any]], Any]


@pytest.fixture
def project(server: Sandbox, project: str) -> str:
    """A project of its own, of three runs with something of everything."""
    fill(server, project, runs=3)
    return project


@pytest.mark.parametrize(
    "field",
    thin(
        [
            "Query.serverInfo",
            "ServerInfo.features",
            "Project.runCount",
            "Project.sweeps",
            "Project.internalId",
            "Project.createdAt",
            "Project.id",
        ],
        keep=["Project.runCount"],
    ),
)
def test_a_field_beside_the_runs_that_fails_costs_itself_alone(
    server: Sandbox, project: str, home: Home, field: str
) -> None:
    mirror = mirror_of(server, home, project)
    server.faults.add(Fault.field_error(field, message="it broke", match=RUNS))
    (report,) = mirror.pull().projects
    assert report.error is None
    assert [failure for failure in report.failed if failure.run_id != "(sweeps)"] == []
    server.faults.clear()
    assert_equal(server, mirror, project)


def in_project(edit: Lie) -> Lie:
    """Edit the project of an answer, where there is one."""

    def lie(body: dict[str, Any]) -> None:
        if found := (body.get("data") or {}).get("project"):
            edit(found)

    return lie


def of_edges(edit: Lie) -> Lie:
    def lie(project: dict[str, Any]) -> None:
        for edge in (project.get("runs") or {}).get("edges") or []:
            edit(edge)

    return in_project(lie)


def info(**values: Any) -> Lie:
    return in_project(lambda project: project["runs"]["pageInfo"].update(values))


def told(**values: Any) -> Lie:
    return in_project(lambda project: project.update({name: values[name] for name in values if name in project}))


def features(value: Any) -> Lie:
    def lie(body: dict[str, Any]) -> None:
        if (server := (body.get("data") or {}).get("serverInfo")) is not None:
            server["features"] = value

    return lie


def with_error(path: list[str | int] | None, edit: Lie = lambda _: None) -> Lie:
    def lie(body: dict[str, Any]) -> None:
        in_project(edit)(body)
        body["errors"] = [{"message": "slow query"} | ({"path": path} if path is not None else {})]

    return lie


LIES: Mapping[str, Lie] = {
    "createdAt a number": told(createdAt=17),
    "id a list": told(id=["x"]),
    "internalId an object": told(internalId={}),
    "a count that is a list": told(held=[4], counted=[4]),
    "cursors that are numbers": of_edges(lambda edge: edge.update(cursor=7)),
    "hasNextPage a text": info(hasNextPage="false"),
    "endCursor a number": info(endCursor=3),
    "sweeps an object": told(sweeps={"edges": {}}),
    "sweeps null": told(sweeps={"edges": None}),
    "sweeps that go on nowhere": told(sweeps={"edges": [], "pageInfo": {"hasNextPage": True, "endCursor": None}}),
    "features texts": features(["A"]),
    "features with numbers": features([{"name": "A", "isEnabled": 1}]),
    "an error without a path": with_error(None),
    "an error at no run": with_error(["project", "runs", "edges", "x"]),
    "an error behind the last run": with_error(["project", "runs", "edges", 99, "node", "config"]),
    "an error at a run that is there": with_error(["project", "runs", "edges", 0, "node"]),
    "pageInfo fails": with_error(["project", "runs", "pageInfo"], lambda p: p["runs"].update(pageInfo=None)),
    "a cursor fails": with_error(
        ["project", "runs", "edges", 0, "cursor"], lambda p: p["runs"]["edges"][0].update(cursor=None)
    ),
}


@pytest.mark.parametrize(
    "lie",
    thin(
        LIES,
        keep=[
            "cursors that are numbers",
            "an error without a path",
            "an error at no run",
        ],
    ),
)
def test_a_lie_around_the_runs_costs_none_of_them(server: Sandbox, project: str, home: Home, lie: Lie) -> None:
    mirror = mirror_of(server, home, project)
    server.faults.add(Fault.lie(lie, match=RUNS))
    (report,) = mirror.pull().projects
    assert report.error is None
    assert [failure for failure in report.failed if failure.run_id != "(sweeps)"] == []
    server.faults.clear()
    assert_equal(server, mirror, project)


def test_what_is_null_beside_an_error_that_names_no_field_replaces_nothing_that_is_held(
    server: Sandbox, project: str, home: Home
) -> None:
    def forget(edge: dict[str, Any]) -> None:
        edge["node"] |= {"config": None, "summaryMetrics": None, "displayName": None, "state": "crashed"}

    mirror = mirror_of(server, home, project)
    mirror.pull()
    held = "SELECT run_id, config_wire, summary_wire, display_name FROM lake.runs ORDER BY run_id"
    before = mirror.ask(held)
    fault = Fault.lie(lambda body: (of_edges(forget)(body), with_error(None)(body))[0], match=RUNS)
    server.faults.add(fault)
    (report,) = mirror.pull(force_walk=True).projects
    assert report.error is None
    assert mirror.ask(held) == before
    assert {row["state"] for row in mirror.ask("SELECT state FROM lake.runs")} == {"crashed"}
    server.faults.clear()
    mirror.pull(force_walk=True)
    assert_equal(server, mirror, project)


def test_a_run_that_may_not_be_shown_costs_no_other_run_of_its_page(server: Sandbox, project: str, home: Home) -> None:
    def forbid(body: dict[str, Any]) -> None:
        edges = ((body.get("data") or {}).get("project") or {}).get("runs", {}).get("edges") or []
        for place, edge in enumerate(edges):
            if (edge["node"] or {}).get("name") == "r001" and "state" in edge["node"]:
                edge["node"] = None
                path = ["project", "runs", "edges", place, "node"]
                body["errors"] = [{"message": "permission denied", "path": path, "extensions": {"code": "FORBIDDEN"}}]

    server.faults.add(Fault.lie(forbid, match=RUNS))
    mirror = mirror_of(server, home, project)
    (report,) = mirror.pull().projects
    assert report.error is None
    assert {failure.run_id for failure in report.failed} == {"r001"}
    assert mirror.run_ids() == ["r000", "r002"]


def test_sweeps_whose_second_page_fails_are_named_and_the_runs_are_taken(
    server: Sandbox, project: str, home: Home
) -> None:
    for number in range(130):
        server.state.add_sweep(ENTITY, project, f"sw{number:03}")
    mirror = mirror_of(server, home, project)
    server.faults.add(Fault.graphql_error("sweeps broke", match=Match(kind="graphql", operation="MirrorSweeps")))
    (report,) = mirror.pull().projects
    assert report.error is None
    assert [(failure.run_id, "sweeps broke" in failure.reason) for failure in report.failed] == [("(sweeps)", True)]
    assert len(mirror.ask("SELECT * FROM lake.sweeps")) == 100
    server.faults.clear()
    assert mirror.pull().failures == 0
    assert_equal(server, mirror, project)


@pytest.mark.parametrize("places", [["A", "B"], None], ids=["places that come again", "fresh places"])
def test_a_listing_that_goes_in_circles_ends_with_an_error(
    server: Sandbox, project: str, home: Home, places: list[str] | None
) -> None:
    numbers, canned = itertools.count(), dict[str, str]()

    def circle(body: dict[str, Any]) -> Any:
        body = json.loads(canned.setdefault("body", json.dumps(body)))
        runs, number = body["data"]["project"]["runs"], next(numbers)
        place = places[number % len(places)] if places else f"place {number}"
        runs["pageInfo"] = {"hasNextPage": True, "endCursor": place}
        for edge in runs["edges"]:
            edge["cursor"] = place
        return body

    server.faults.add(Fault.lie(circle, match=RUNS))
    mirror = mirror_of(server, home, project)
    report = mirror.pull()
    assert isinstance(report.errors[0], ServerError)
    assert "in circles" in report.errors[0].message
    assert report.requests < 25
    assert len(mirror.ask("SELECT * FROM lake.runs")) == 3, "what came is kept"


def test_a_project_that_may_not_be_read_is_not_called_missing(server: Sandbox, project: str, home: Home) -> None:
    def forbid(body: dict[str, Any]) -> None:
        body["data"]["project"] = None
        body["errors"] = [{"message": "permission denied", "path": ["project"]}]

    server.faults.add(Fault.lie(forbid, match=RUNS))
    assert isinstance(mirror_of(server, home, project).pull().errors[0], Forbidden)


@pytest.mark.parametrize("operation", ["MirrorRunStreams", "MirrorRunContents"])
def test_a_field_of_one_run_that_takes_its_project_along_costs_no_other_run(
    server: Sandbox, project: str, home: Home, operation: str
) -> None:
    field = "logLines" if operation == "MirrorRunStreams" else "files"

    def climb(body: dict[str, Any]) -> None:  # nulls climb from the field through `Project.run: Run!`
        for alias, run in (body["data"].get("project") or {}).items():
            if isinstance(run, dict) and run.get("name") == "r001" and run.get(field) is not None:
                body["data"]["project"] = None
                body["errors"] = [{"message": "no such shard", "path": ["project", alias, field]}]
                return

    server.faults.add(Fault.lie(climb, match=Match(kind="graphql", operation=operation)))
    mirror = mirror_of(server, home, project)
    (report,) = mirror.pull().projects
    assert report.error is None
    assert {failure.run_id for failure in report.failed} <= {"r001"}
    lines = mirror.ask("SELECT run_id, count(*) AS n FROM lake.console_lines GROUP BY ALL ORDER BY ALL")
    assert [(row["run_id"], row["n"]) for row in lines if row["run_id"] != "r001"] == [("r000", 4), ("r002", 4)]
    assert mirror.ask("SELECT * FROM lake.system_metrics WHERE run_id = 'r001'"), "the rest of the run is there"
    server.faults.clear()
    mirror.pull(force_walk=True)
    assert_equal(server, mirror, project)
