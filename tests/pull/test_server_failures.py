"""What a server fails at costs that alone: it is found part by part, left out for an hour, and no outage teaches it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from mirror.api.fitting.capabilities import lacks
from mirror.layout import Home
from mirror.records.server import ServerFacts
from mirror.sandbox import Fault, Match, Sandbox
from tests.mirroring import Mirror
from tests.pull.contents import assert_equal, failures, fill, mirror_of
from tests.soaking import thin
from tests.truth import differences

EXPORTS = ("exports of", "tail of")
FILES = ("files of", "file ")
AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

HOW: dict[str, Callable[[Match], Fault]] = {
    "500": lambda match: Fault.status(500, match=match),
    "502": lambda match: Fault.status(502, match=match),
    "a web page": lambda match: Fault.html(500, match=match),
    "200": lambda match: Fault.graphql_error("INTERNAL", match=match),
}


def of_the_project(variables: Any) -> bool:
    """Documents that find something: they fail as they are executed, and not as they are read."""
    return bool(variables.get("project") == "p")


def known_of(home: Home) -> ServerFacts:
    return msgspec.json.decode(home.server_facts.read_bytes(), type=ServerFacts)


def clocked(sandbox: Sandbox, home: Home) -> tuple[Mirror, list[dt.datetime]]:
    mirror, at = mirror_of(sandbox, home, "p"), [AT]
    mirror.now = lambda: at[0]
    return mirror, at


@pytest.mark.parametrize(
    ("how", "executed"),  # fails as it is executed, or as it is read
    thin([(how, executed) for how in HOW for executed in (False, True)], keep=[("500", True), ("200", False)]),
)
def test_a_failure_of_one_field_costs_what_that_tells_and_nothing_else(home: Home, how: str, executed: bool) -> None:
    with Sandbox.start() as sandbox:
        fill(sandbox, "p", runs=4)
        mirror, at = clocked(sandbox, home)
        match = Match(kind="graphql", query="parquetHistory", variables=of_the_project if executed else None)
        sandbox.faults.add(HOW[how](match))
        report = mirror.pull()
        assert (report.errors, report.failures) == ([], 0)
        assert [line for line in differences(sandbox, mirror, project="p") if not line.startswith(EXPORTS)] == []
        (lack,) = lacks(known_of(home))
        assert (lack.capability, lack.fails) == ("history exports", True)
        assert "forbids or fails at history exports: histories come row by row" in str(lack)
        assert report.requests < 120
        assert mirror.pull().requests == 1, "it is left out"
        at[0] += dt.timedelta(minutes=61)
        sandbox.requests.clear()
        mirror.pull(force_walk=False)
        assert any("parquetHistory" in (record.query or "") for record in sandbox.requests), "asked again"
        assert len(sandbox.requests) <= 6
        assert lacks(known_of(home)) == (lack,)
        sandbox.faults.clear()
        at[0] += dt.timedelta(minutes=61)
        mirror.pull(force_walk=True)
        assert lacks(known_of(home)) == ()
        assert_equal(sandbox, mirror, "p")


@pytest.mark.parametrize(
    ("query", "lost"),
    thin({"md5": (), "files(": FILES, "historyKeys": (), "systemMetrics": (), "aliases": ("artifacts of",)}.items(),
         keep=[("files(", FILES)]),
)  # fmt: skip
def test_any_field_may_fail(home: Home, query: str, lost: tuple[str, ...]) -> None:
    with Sandbox.start() as sandbox:
        fill(sandbox, "p", runs=6)
        mirror = mirror_of(sandbox, home, "p")
        sandbox.faults.add(Fault.status(500, match=Match(kind="graphql", query=query, variables=of_the_project)))
        report = mirror.pull()
        assert (report.errors, report.failures) == ([], 0)
        found = differences(sandbox, mirror, project="p")
        assert [line for line in found if not line.startswith((*lost, "\0"))] == []
        assert all(lack.fails for lack in lacks(known_of(home)))


def test_projects_that_are_pulled_at_once_find_it_out_together(home: Home) -> None:
    with Sandbox.start() as sandbox:
        for number in range(4):
            fill(sandbox, f"p{number}", runs=4)
        sandbox.faults.add(Fault.status(500, match=Match(kind="graphql", query="events(")))
        report = mirror_of(sandbox, home, "p*").pull()
        assert (report.errors, report.failures) == ([], 0)
        assert [lack.capability for lack in lacks(known_of(home))] != []


def test_what_fails_for_one_run_costs_that_part_of_that_run(home: Home) -> None:
    with Sandbox.start() as sandbox:
        fill(sandbox, "p", runs=8)
        mirror = mirror_of(sandbox, home, "p")
        sandbox.faults.add(
            Fault.status(500, match=Match(kind="graphql", query="files(", contains_run="r003")),
            Fault.graphql_error("no", match=Match(kind="graphql", query="summaryMetrics", contains_run="r005")),
        )
        report = mirror.pull()
        assert report.errors == []
        assert len(mirror.run_ids()) == 8
        assert sorted(failures(mirror)) == [("r003", "files"), ("r005", "field summary_text")]
        assert lacks(known_of(home)) == ()
        sandbox.faults.clear()
        assert mirror.pull(retry_quarantined=True, force_walk=True).failures == 0
        assert_equal(sandbox, mirror, "p")


@pytest.mark.parametrize("after", thin(range(0, 40, 3), keep=[9]))
def test_an_outage_teaches_nothing_whenever_it_begins(home: Home, after: int) -> None:
    with Sandbox.start() as sandbox:
        fill(sandbox, "p", runs=6)
        mirror = mirror_of(sandbox, home, "p")
        mirror.pull()
        held = [after]

        def is_over(_: object) -> bool:
            held[0] -= 1
            return held[0] < 0

        sandbox.faults.add(
            Fault.status(500, match=Match(kind="graphql", query="logLineCount", contains_run="r001")),
            Fault.status(503, match=Match(kind="graphql", variables=is_over)),
        )
        mirror.pull(force_walk=True)
        sandbox.faults.clear()
        assert lacks(known_of(home)) == ()
        assert mirror.pull(force_walk=True, retry_quarantined=True).failures == 0
        assert_equal(sandbox, mirror, "p")
