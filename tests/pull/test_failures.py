"""One bad run, page or project never stops the others, and what was committed stays."""

from __future__ import annotations

from typing import Any

import pytest

from mirror.api.transport.credentials import ApiKey
from mirror.config import ServerSettings
from mirror.errors import AuthError, FailsForAll, Forbidden, MirrorError, NotFound, ServerError, Unreachable
from mirror.layout import Home
from mirror.sandbox import Fault, Match, Sandbox
from tests.mirroring import ENTITY, PROJECT, Away, Mirror
from tests.soaking import thin


def fill(sandbox: Sandbox, count: int, project: str = PROJECT) -> None:
    for number in range(count):
        when = f"2024-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}"
        sandbox.state.add_run(ENTITY, project, f"r{number:04}", created_at=when)


def heavy(run_id: str) -> Match:
    """Answers that show anything of the run; the server can still list that it exists."""
    return Match(kind="graphql", contains_run=run_id, operation="MirrorRuns")


@pytest.mark.parametrize("status", thin([200, 502], keep=[200]))
def test_one_poisoned_run_never_stops_the_rest_and_is_taken_when_it_recovers(
    sandbox: Sandbox, mirror: Mirror, status: int
) -> None:
    fill(sandbox, 40)
    sandbox.faults.add(Fault.graphql_error("the database says no", status=status, match=heavy("r0023")))
    report = mirror.pull()
    assert (report.errors, report.failures) == ([], 1)
    assert len(mirror.run_ids()) == 39
    assert report.requests <= 60  # a 5xx may be a field's: with it, the page is asked part by part as well
    (failure,) = mirror.ask("SELECT * FROM failures")
    assert failure["run_id"] == "r0023"
    assert "the database says no" in failure["reason"]
    again = mirror.pull()
    assert (again.errors, again.failures) == ([], 1)
    assert again.requests <= 60
    assert mirror.ask("SELECT attempts FROM failures")[0]["attempts"] >= 2
    sandbox.faults.clear()
    assert mirror.pull().failures == 0
    assert (len(mirror.run_ids()), mirror.ask("SELECT * FROM failures")) == (40, [])


def test_a_server_that_fails_at_every_run_costs_few_requests_and_blames_none(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, 60)
    for number in range(60):  # each in words of its own
        place = Match(operation="MirrorRuns", contains_run=f"r{number:04}")  # whatever part of it is left out
        sandbox.faults.add(Fault.graphql_error(f"request {number}7f: 'a{number}' says no", status=502, match=place))
    for _ in range(3):
        report = mirror.pull()
        (error,) = report.errors
        assert isinstance(error, FailsForAll)
        assert (error.exit_code, report.failures) == (7, 0)
        assert report.requests < 120  # those that look for a part that is to blame among them
        assert mirror.ask("SELECT * FROM lake.failures") == []
    assert "fails alike" in mirror.source()["last_error"]
    sandbox.faults.clear()
    assert (mirror.pull().errors, len(mirror.run_ids())) == ([], 60)


def test_many_poisoned_runs_beside_one_another_do_not_stop_the_rest(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, 30)
    for number in range(3, 15):
        sandbox.faults.add(Fault.graphql_error("no", match=heavy(f"r{number:04}")))
    report = mirror.pull()
    assert (report.errors, report.failures, len(mirror.run_ids())) == ([], 12, 18)


def test_the_first_and_the_last_run_may_be_poisoned_together(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, 20)
    for run_id in ("r0000", "r0001", "r0019"):
        sandbox.faults.add(Fault.graphql_error("no", match=heavy(run_id)))
    report = mirror.pull()
    assert (report.errors, report.failures, len(mirror.run_ids())) == ([], 3, 17)


@pytest.mark.parametrize(
    "field", thin(["tags", "config", "name", "historyLineCount"], keep=["name", "historyLineCount"])
)
def test_a_field_that_lies_about_its_type_is_left_behind_alone(sandbox: Sandbox, mirror: Mirror, field: str) -> None:
    fill(sandbox, 5)
    lies: dict[str, Any] = {"tags": 7, "config": {"a": {"value": 1}}, "historyLineCount": "many", "user": "sandy"}

    def lie(answer: Any) -> None:
        for edge in answer["data"]["project"]["runs"]["edges"]:
            if edge["node"]["name"] == "r0002":
                edge["node"][field] = lies.get(field, [1])

    sandbox.faults.add(Fault.lie(lie))
    report = mirror.pull()
    assert report.errors == []
    # A config that is an object and not a text is what some servers send: it is taken.
    assert len(mirror.run_ids()) == (4 if field == "name" else 5)
    assert report.failures == (0 if field == "config" else 1)
    sandbox.faults.clear()
    mirror.pull(force_walk=True)
    assert len(mirror.run_ids()) == 5
    mirror.pull()
    assert mirror.ask("SELECT * FROM failures") == []


def test_the_servers_cap_on_pages_is_learnt(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, 120)
    sandbox.state.limits = type(sandbox.state.limits)(limit=30, mode="cap")
    report = mirror.pull()
    assert (report.errors, len(mirror.run_ids()), report.requests) == ([], 120, 4)


def test_a_refused_page_size_is_halved_until_it_fits(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, 300)
    sandbox.state.limits = type(sandbox.state.limits)(limit=100, mode="error")
    report = mirror.using(page_size_start=300).pull()
    assert (report.errors, len(mirror.run_ids())) == ([], 300)
    assert report.requests <= 14


@pytest.mark.parametrize("status", thin([413, 503], keep=[413]))
def test_large_pages_that_fail_are_asked_again_smaller_and_grow_back(
    sandbox: Sandbox, mirror: Mirror, status: int
) -> None:
    fill(sandbox, 300)
    too_large = Match(operation="MirrorRuns", variables=lambda variables: variables["first"] > 60)
    sandbox.faults.add(Fault.status(status, match=too_large))
    report = mirror.pull()
    assert (report.errors, report.failures, len(mirror.run_ids())) == ([], 0, 300)
    asked = [record.variables["first"] for record in sandbox.requests.select("MirrorRuns") if record.status == 200]
    sizes = [size for size in asked if size > 1]  # a page of one asks which field a 5xx may be of
    assert min(sizes) >= 25
    assert max(sizes) > sizes[0]


def test_a_slow_page_is_asked_again_smaller(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, 60)
    hasty = mirror.using(page_size_start=60)
    hasty.server = ServerSettings(retry_attempts=1, retry_wait_max_s=0.01, timeout_s=0.4)
    slow = Match(operation="MirrorRuns", variables=lambda variables: variables["first"] > 20)
    sandbox.faults.add(Fault.latency(1.0, match=slow))
    report = hasty.pull()
    assert (report.errors, len(mirror.run_ids())) == ([], 60)


def test_large_documents_make_small_pages(sandbox: Sandbox, mirror: Mirror) -> None:
    for number in range(11):
        sandbox.state.add_run(ENTITY, PROJECT, f"r{number:02}", config={"blob": "x" * 4_000_000})
    report = mirror.using(page_size_start=4).pull()
    assert (report.errors, len(mirror.run_ids())) == ([], 11)
    sizes = [record.variables["first"] for record in sandbox.requests.select("MirrorRuns")]
    assert max(sizes) <= 8


def test_a_429_with_retry_after_is_waited_for(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, 3)
    sandbox.faults.add(Fault.status(429, retry_after=0.15, times=1, match=Match(operation="MirrorRuns")))
    report = mirror.pull()
    assert (report.errors, report.retries, len(mirror.run_ids())) == ([], 1, 3)
    assert report.seconds >= 0.15


def test_an_outage_in_the_middle_keeps_the_committed_pages_and_the_next_pull_goes_on(
    sandbox: Sandbox, mirror: Mirror
) -> None:
    fill(sandbox, 30)
    small = mirror.using(page_size_start=5, page_size_max=5)
    away = Away(sandbox, after=3)
    report = small.pull(watcher=away)
    refused = small.pull()
    away.over()
    (error,) = report.errors
    assert isinstance(error, Unreachable)
    assert "cannot connect" in error.message
    assert isinstance(refused.errors[0], Unreachable)
    assert len(mirror.run_ids()) in (15, 20, 25)  # pages behind may have been on their way already
    assert mirror.source()["last_error"] == error.message
    sandbox.requests.clear()
    report = small.pull()
    assert (report.errors, mirror.run_ids()) == ([], [f"r{number:04}" for number in range(30)])
    assert report.requests <= 5  # six pages would be a walk from the start
    assert mirror.source()["last_error"] is None


def test_sources_and_globs_are_pulled_side_by_side_and_one_that_fails_stops_no_other(
    sandbox: Sandbox, mirror: Mirror
) -> None:
    for project in ("alpha", "alps", "beta", "broken"):
        fill(sandbox, 10, project)
    broken = Match(variables=lambda variables: variables.get("project") == "broken")
    sandbox.faults.add(Fault.graphql_error("out of order", match=broken))
    small = mirror.using(page_size_start=5, page_size_max=5)
    report = small.pull(f"{ENTITY}/al*", f"{ENTITY}/broken", f"{ENTITY}/beta", f"{ENTITY}/missing", f"{ENTITY}/zz*")
    errors = {project.key.project: type(project.error) for project in report.projects if project.error}
    assert set(errors) == {"broken", "missing", "zz*"}
    assert (errors["missing"], errors["zz*"]) == (NotFound, NotFound)
    assert issubclass(errors["broken"], ServerError)
    counts = mirror.ask("SELECT project, count(*) AS n FROM runs GROUP BY 1 ORDER BY 1")
    assert counts == [{"project": name, "n": 10} for name in ("alpha", "alps", "beta")]
    assert "out of order" in mirror.source("broken")["last_error"]
    assert mirror.source("alps")["last_error"] is None


def test_a_project_that_this_key_may_not_read_stops_no_other(sandbox: Sandbox, mirror: Mirror) -> None:
    for project in ("closed", "open"):
        fill(sandbox, 3, project)
    closed = Match(variables=lambda variables: variables.get("project") == "closed")
    sandbox.faults.add(Fault.graphql_error("permission denied", status=403, match=closed))
    report = mirror.pull(f"{ENTITY}/closed", f"{ENTITY}/open")
    assert [type(error) for error in report.errors] == [Forbidden]
    assert mirror.ask("SELECT DISTINCT project FROM runs") == [{"project": "open"}]


def test_a_wrong_key_is_one_error_that_never_shows_the_key(sandbox: Sandbox, mirror: Mirror) -> None:
    wrong = Mirror(url=mirror.url, api_key="w" * 40, home=mirror.home)
    report = wrong.pull(*(f"{ENTITY}/p{number}" for number in range(12)))
    assert {type(error) for error in report.errors} == {AuthError}
    assert report.requests <= 12
    assert wrong.api_key not in str(report)
    assert wrong.api_key not in str(mirror.ask("SELECT * FROM lake.sources"))
    assert repr(ApiKey(wrong.api_key, "a test")).count("w" * 10) == 0


def test_named_runs_are_taken_and_a_missing_one_stops_no_other(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, 3)
    report = mirror.pull(runs=("r0000", "nope", "r0002"))
    assert [type(error) for error in report.errors] == [NotFound]
    assert mirror.run_ids() == ["r0000", "r0002"]


NO_PLACE_TO_GO_ON = {"data": {"project": {"id": "x", "runs": {"edges": [None], "pageInfo": {"hasNextPage": True}}}}}
NONSENSE = {
    "in default": [
        Fault.html(200),
        Fault.status(500),
        Fault.status(429, retry_after=10_000),
        Fault.drop_mid_body(match=Match(kind="graphql")),
        Fault.lie(lambda answer: []),
        Fault.lie(lambda answer: NO_PLACE_TO_GO_ON),
        Fault.lie(lambda answer: {"data": None}),
    ],
    "the rest": [
        Fault.html(502),
        Fault.status(200, body="not json"),
        Fault.status(401),
        Fault.status(403),
        Fault.status(404),
        Fault.drop(),
        Fault.truncate_body(match=Match(kind="graphql")),
        Fault.lie(lambda answer: {"data": {"project": {"runs": 7}}}),
    ],
}


@pytest.mark.parametrize("faults", thin(NONSENSE, keep=["in default"]))
def test_a_server_that_answers_nonsense_is_one_error_of_ours_and_loses_nothing(
    sandbox: Sandbox, mirror: Mirror, faults: list[Fault]
) -> None:
    fill(sandbox, 3)
    small = mirror.using(page_size_start=4)
    small.pull()
    for fault in faults:
        sandbox.faults.add(fault)
        (error,) = small.pull().errors
        sandbox.faults.clear()
        assert isinstance(error, MirrorError), fault.label
        assert mirror.api_key not in error.message
        assert "\n" not in error.message
    assert mirror.source()["last_error"] == error.message
    assert small.pull().errors == []
    assert (len(mirror.run_ids()), mirror.source()["last_error"]) == (3, None)


def test_a_page_that_came_is_kept_whatever_the_next_one_answers(home: Home) -> None:
    with Sandbox.start(page_limit=4) as sandbox:
        fill(sandbox, 12)
        mirror = Mirror(url=sandbox.url, api_key=sandbox.api_key, home=home)
        later = Match(kind="graphql", variables=lambda given: bool(given.get("after")))
        sandbox.faults.add(Fault.status(401, match=later))
        assert [type(error) for error in mirror.pull().errors] == [AuthError]
        assert len(mirror.run_ids()) == 4
        sandbox.faults.clear()
        assert mirror.pull().errors == []
        assert len(mirror.run_ids()) == 12
