"""Sweeps that a server does not tell are no empty list: it is named, readers are told, and the next pull takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mirror.errors import NotMirrored
from mirror.layout import Home
from mirror.run.api import Api
from mirror.sandbox import Fault, Match, Sandbox
from tests.mirroring import ENTITY, Mirror
from tests.pull.contents import assert_equal, failures, fill, mirror_of
from tests.soaking import thin

RUNS = Match(kind="graphql", operation="MirrorRuns")


@pytest.fixture
def server() -> Iterator[Sandbox]:
    with Sandbox.start() as sandbox:
        fill(sandbox, "p", runs=2)
        sandbox.state.add_sweep(ENTITY, "p", "sw1")
        yield sandbox


def null(*, message: str | None = None, climbs: bool = False) -> Fault:
    """`Project.sweeps` is null, with an error or without one; an error may take the runs along."""

    def lie(body: dict[str, Any]) -> None:
        project = (body.get("data") or {}).get("project") or {}
        if "sweeps" in project:
            project["sweeps"] = None
            if message is not None:
                body["errors"] = [{"message": message, "path": ["project", "sweeps"]}]
            if climbs:
                body["data"]["project"] = None

    return Fault.lie(lie, match=RUNS)


FAULTS: dict[str, tuple[Callable[[], Fault], str]] = {
    "an error": (lambda: Fault.field_error("Project.sweeps", message="it broke", match=RUNS), "it broke"),
    "null and an error": (lambda: null(message="it broke"), "it broke"),
    "an error that takes the runs along": (lambda: null(message="it broke", climbs=True), "it broke"),
    "null": (null, "a project without its sweeps"),
}


def sweep_ids(mirror: Mirror) -> list[str]:
    return [sweep.id for sweep in Api(home=mirror.home.root).project("p", entity=ENTITY).sweeps()]


@pytest.mark.parametrize("name", thin(FAULTS.keys(), keep=["an error that takes the runs along"]))
def test_sweeps_that_are_not_told_are_named_and_are_no_empty_list(server: Sandbox, home: Home, name: str) -> None:
    fault, words = FAULTS[name]
    mirror = mirror_of(server, home, "p")
    server.faults.add(fault())
    report = mirror.pull()
    assert (report.errors, report.failures) == ([], 1)
    assert set(failures(mirror)) == {("(sweeps)", "sweeps")}
    with pytest.raises(NotMirrored, match=words):
        sweep_ids(mirror)
    assert mirror.run_ids() == ["r000", "r001"]
    server.requests.clear()
    mirror.pull()
    assert failures(mirror)["(sweeps)", "sweeps"]["attempts"] == 2
    runs = [request for request in server.requests if request.operation == "MirrorRuns"]
    assert not any("(sweeps)" in str(request.variables) for request in runs), "they are no run"
    server.faults.clear()
    assert mirror.pull().failures == 0
    assert failures(mirror) == {}
    assert sweep_ids(mirror) == ["sw1"]
    assert_equal(server, mirror, "p")


def test_sweeps_that_are_held_stay_and_new_ones_are_known_to_be_missing(server: Sandbox, home: Home) -> None:
    mirror = mirror_of(server, home, "p")
    assert mirror.pull().failures == 0
    server.state.add_sweep(ENTITY, "p", "sw2")
    server.faults.add(null())
    assert mirror.pull(force_walk=True).failures == 1
    assert sweep_ids(mirror) == ["sw1"]
    assert set(failures(mirror)) == {("(sweeps)", "sweeps")}
    server.faults.clear()
    mirror.pull()
    assert sweep_ids(mirror) == ["sw1", "sw2"]
    assert failures(mirror) == {}


@pytest.mark.parametrize(
    "hidden",
    thin([None, "Project.sweeps", "SweepConnection.edges", "SweepEdge.node"], keep=[None, "SweepConnection.edges"]),
)
def test_a_project_without_sweeps_and_a_server_without_them_fail_at_nothing(home: Home, hidden: str | None) -> None:
    with Sandbox.start(hide=[hidden] if hidden else []) as sandbox:
        fill(sandbox, "p", runs=1)
        mirror = mirror_of(sandbox, home, "p")
        assert mirror.pull().failures == 0
        assert failures(mirror) == {}


def test_what_is_held_of_a_sweep_stays_when_the_server_fails_at_a_field_of_it(server: Sandbox, home: Home) -> None:
    def lie(body: dict[str, Any]) -> None:
        for place, edge in enumerate(body["data"]["project"].get("sweeps", {}).get("edges", ())):
            edge["node"]["method"] = None
            body["errors"] = [{"message": "no", "path": ["project", "sweeps", "edges", place, "node", "method"]}]

    mirror = mirror_of(server, home, "p")
    mirror.pull()
    held = mirror.ask("SELECT sweep_id, method, config FROM lake.sweeps")
    assert held[0]["method"] is not None
    server.faults.add(Fault.lie(lie, match=RUNS))
    assert mirror.pull(force_walk=True).failures == 1
    assert mirror.ask("SELECT sweep_id, method, config FROM lake.sweeps") == held
    server.faults.clear()
    mirror.pull(force_walk=True)
    assert_equal(server, mirror, "p")
