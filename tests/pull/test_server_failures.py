"""What a server fails at costs that alone: it is found part by part, left out for an hour, and no outage teaches it."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from mirror.errors import NotMirrored
from mirror.layout import Home
from mirror.records.capabilities import lacks
from mirror.records.server import ServerFacts
from mirror.run.api import Api
from mirror.sandbox import Fault, Match, Sandbox
from tests.mirroring import ENTITY, Mirror
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
    thin([(how, executed) for how in HOW for executed in (False, True)], keep=[("200", False)]),
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


@pytest.mark.parametrize("projects", thin([1, 2, 3], keep=[1]))
def test_what_a_server_serves_again_is_fetched_for_runs_that_settled_without_it(home: Home, projects: int) -> None:
    with Sandbox.start() as sandbox:
        names = [f"p{number}" for number in range(projects)]
        for name in names:
            fill(sandbox, name, runs=3)
        mirror, at = mirror_of(sandbox, home, "p*"), [AT]
        mirror.now = lambda: at[0]
        sandbox.faults.add(Fault.status(500, match=Match(kind="graphql", query="files(")))
        mirror.pull(force_walk=True)
        assert files_of(mirror, names[-1]) is None, "nothing was listed, and that is no empty list"
        for _ in range(2):  # it goes on to fail: asking again is no reason to walk
            at[0] += dt.timedelta(minutes=61)
            assert [project.kind for project in mirror.pull().projects] == ["look"] * projects
        sandbox.faults.clear()
        at[0] += dt.timedelta(minutes=61)
        mirror.pull()
        for name in names:
            assert differences(sandbox, mirror, project=name) == []
        assert files_of(mirror, names[-1]), "they are there"
        at[0] += dt.timedelta(minutes=61)
        assert [project.kind for project in mirror.pull().projects] == ["look"] * projects, "once is enough"


def files_of(mirror: Mirror, project: str) -> list[str] | None:
    """Names of files of all runs; None where the mirror says that it does not have them."""
    with contextlib.suppress(NotMirrored):
        return [file.name for run in Api(home=mirror.home.root).runs(f"{ENTITY}/{project}") for file in run.files()]
    return None


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
