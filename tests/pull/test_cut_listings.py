"""A server may cut its listings without a word: nothing that it has is taken for gone, and what it counts is listed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mirror.layout import Home
from mirror.sandbox import Fault, Match, Sandbox
from tests.mirroring import ENTITY, PROJECT, Mirror
from tests.pull.contents import assert_equal, failures, fill, mirror_of
from tests.soaking import thin


@pytest.mark.parametrize(
    ("hide", "state"),
    thin(
        [(hide, at) for hide in ("PageInfo.hasNextPage", "RunConnection.pageInfo") for at in ("finished", "running")],
        keep=[("PageInfo.hasNextPage", "running"), ("RunConnection.pageInfo", "finished")],
    ),
)
def test_what_a_server_counts_is_read_and_nothing_that_it_has_is_gone(home: Home, hide: str, state: str) -> None:
    with Sandbox.start(hide=[hide], page_limit=4) as sandbox:
        for number in range(11):
            when = f"2024-01-01T00:{number:02}:00"
            sandbox.state.add_run(ENTITY, PROJECT, f"r{number:02}", created_at=when, state=state)
        mirror = Mirror(url=sandbox.url, api_key=sandbox.api_key, home=home)
        for _ in range(2):
            report = mirror.pull()
            assert report.errors == []
            assert len(mirror.run_ids()) == 11
            assert len(mirror.ask("FROM failures")) == report.failures, "told alike"
        assert mirror.pull(force_walk=True).errors == []
        assert len(mirror.run_ids()) == 11


def without_places(*path: str) -> Callable[[Any], None]:
    """A lie: every list at the end of a path promises more, and no place to continue from."""

    def lists(value: Any, steps: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        if not steps:
            yield from [value] if isinstance(value, dict) else []
        elif isinstance(value, dict):
            for key in value if steps[0] == "*" else {steps[0]} & value.keys():
                yield from lists(value[key], steps[1:])
        elif isinstance(value, list):
            for each in value:
                yield from lists(each, steps)

    def lie(answer: Any) -> None:
        for found in lists(answer.get("data"), path):
            found["pageInfo"] = {"hasNextPage": True, "endCursor": None}
            for edge in found.get("edges") or ():
                edge.pop("cursor", None)

    return lie


RUN = ("project", "runs", "edges", "node")


LISTS = {
    "files (in part)": (*RUN, "files"),
    "artifacts (in part)": (*RUN, "loggedArtifacts"),
    "console (in part)": ("project", "r0", "logLines"),
}


@pytest.mark.parametrize("items", thin([(tuple(LISTS),), *(((name,),) for name in LISTS)], keep=[(tuple(LISTS),)]))
def test_rows_of_a_list_that_gives_no_place_to_go_on_are_kept_and_the_list_is_named(
    home: Home, items: tuple[str, ...]
) -> None:
    with Sandbox.start(hide=["Run.logLineCount"]) as sandbox:
        fill(sandbox, "p", runs=1)
        mirror = mirror_of(sandbox, home, "p")
        for item in items:
            sandbox.faults.add(Fault.lie(without_places(*LISTS[item]), match=Match(kind="graphql")))
        report = mirror.pull()
        assert report.errors == []
        found = [failure.item for project in report.projects for failure in project.failed]
        assert sorted(found) == sorted(items)
        for item in items:
            assert "no place to continue from" in failures(mirror)["r000", item]["reason"]
        assert_equal(sandbox, mirror, "p")
        assert mirror.pull(force_walk=True).errors == []
        assert_equal(sandbox, mirror, "p")
        sandbox.faults.clear()
        assert mirror.pull(force_walk=True, retry_quarantined=True).failures == 0
        assert failures(mirror) == {}


def test_runs_that_came_without_a_place_to_go_on_are_kept_and_the_walk_goes_on_from_them(home: Home) -> None:
    with Sandbox.start() as sandbox:
        fill(sandbox, "p", runs=9)
        mirror = mirror_of(sandbox, home, "p").using(page_size_start=4, page_size_max=4)
        sandbox.faults.add(Fault.lie(without_places("project", "runs"), match=Match(operation="MirrorRuns")))
        held = []
        for _ in range(3):
            (error,) = mirror.pull().errors
            assert "more runs of team/p but gives no place to continue from" in error.message
            held.append(len(mirror.run_ids()))
        assert held == [4, 7, 9], "each goes on where the one before it ended"
        sandbox.faults.clear()
        assert mirror.pull().errors == []
        assert_equal(sandbox, mirror, "p")


def test_projects_that_came_without_a_place_to_go_on_are_pulled(home: Home) -> None:
    with Sandbox.start() as sandbox:
        fill(sandbox, "p", runs=1)
        fill(sandbox, "q", runs=1)
        mirror = mirror_of(sandbox, home, "*")
        sandbox.faults.add(Fault.lie(without_places("models"), match=Match(operation="MirrorProjects")))
        (error,) = mirror.pull().errors
        assert "projects but gives no place to continue from" in error.message
        assert_equal(sandbox, mirror, "p")
        assert_equal(sandbox, mirror, "q")


def test_a_page_that_comes_empty_once_ends_no_listing(home: Home) -> None:
    with Sandbox.start(page_limit=4) as sandbox:
        for number in range(11):
            sandbox.state.add_run(ENTITY, PROJECT, f"r{number:02}", created_at=f"2024-01-01T00:{number:02}:00")

        def empty(answer: Any) -> None:
            answer["data"]["project"]["runs"] |= {"edges": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}

        behind = Match(operation="MirrorRuns", variables=lambda given: bool(given.get("after")))
        sandbox.faults.add(Fault.lie(empty, times=1, match=behind))
        mirror = Mirror(url=sandbox.url, api_key=sandbox.api_key, home=home)
        assert (mirror.pull().errors, len(mirror.run_ids())) == ([], 11)
