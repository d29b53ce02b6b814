"""A server that says "too many requests" for a while costs time and nothing else, whatever the page size."""

from __future__ import annotations

import time

import anyio
import msgspec
import pytest

from mirror.config import SourceSettings
from mirror.errors import RateLimited
from mirror.pull import PullRequest
from mirror.sandbox import Fault, Match, Sandbox
from tests.mirroring import ENTITY, PROJECT, SERVER, SOURCE, Mirror
from tests.soaking import thin

GRAPHQL = Match(kind="graphql")
RUNS = Match(operation="MirrorRuns")


def fill(sandbox: Sandbox, count: int, project: str = PROJECT) -> None:
    for number in range(count):
        files = {"a.txt": f"{number}".encode()} if number < 4 else {}
        when = f"2024-01-01T00:{number // 60:02}:{number % 60:02}"
        sandbox.state.add_run(ENTITY, project, f"r{number:03}", created_at=when, files=files)


def sizes_of(sandbox: Sandbox) -> list[int]:
    """Sizes of the pages that came, in order."""
    return [request.variables["first"] for request in sandbox.requests.select("MirrorRuns") if request.status == 200]


@pytest.mark.parametrize(
    ("retry_after", "size"),
    thin(
        [(retry_after, size) for retry_after in (None, 0, 0.01) for size in (1, 2, 7, 1000)],
        keep=[(None, 1), (0.01, 7)],
    ),
)
def test_a_storm_of_429_ends_in_a_complete_pull_at_every_page_size(
    sandbox: Sandbox, mirror: Mirror, size: int, retry_after: float | None
) -> None:
    fill(sandbox, 12)
    storm = Fault.status(429, retry_after=retry_after, times=20, match=RUNS, body='{"error": "rate limit exceeded"}')
    sandbox.faults.add(storm)
    report = mirror.using(page_size_start=size).pull()
    assert (report.errors, report.failures, report.retries) == ([], 0, 20)
    assert mirror.run_ids() == [f"r{number:03}" for number in range(12)]
    assert mirror.ask("SELECT * FROM failures") == []
    assert sizes_of(sandbox)[0] == size
    assert sizes_of(sandbox) == sorted(sizes_of(sandbox)), "no page was halved"


@pytest.mark.parametrize("match", [GRAPHQL, RUNS], ids=["everything", "listings alone"])
def test_a_storm_in_the_middle_never_shrinks_the_pages(sandbox: Sandbox, mirror: Mirror, match: Match) -> None:
    fill(sandbox, 40)
    large = Match(kind=match.kind, operation=match.operation, variables=lambda given: given.get("after") is not None)
    sandbox.faults.add(Fault.status(429, times=9, match=large))
    report = mirror.using(page_size_start=5).pull()
    assert (report.errors, report.failures, len(mirror.run_ids())) == ([], 0, 40)
    assert sizes_of(sandbox) == sorted(sizes_of(sandbox))


def test_files_behind_429s_come_without_a_failure(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, 4)
    sandbox.faults.add(Fault.status(429, times=30, match=Match(kind="storage")))
    report = mirror.pull()
    assert (report.errors, report.failures) == ([], 0)
    rows = mirror.ask("SELECT status FROM files WHERE name = 'a.txt'")
    assert [row["status"] for row in rows] == ["held"] * 4


def test_a_server_that_refuses_for_ever_ends_the_pull_and_loses_nothing(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, 4)
    mirror.server = msgspec.structs.replace(SERVER, rate_limit_patience_minutes=0.3 / 60)
    small = mirror.using(page_size_start=2, page_size_max=2)
    assert small.pull().errors == []
    for number in range(4, 10):
        sandbox.state.add_run(ENTITY, PROJECT, f"r{number:03}", created_at=f"2024-01-01T01:00:{number:02}")
    later = Match(operation="MirrorRuns", variables=lambda given: given["after"] is not None)
    sandbox.faults.add(Fault.status(429, match=later))
    begun = time.monotonic()
    (error,) = small.pull(force_walk=True).errors
    assert isinstance(error, RateLimited)
    assert (error.exit_code, "429" in error.message) == (6, True)
    assert time.monotonic() - begun < 20
    assert (len(mirror.run_ids()), mirror.ask("SELECT * FROM failures")) == (4, [])
    sandbox.faults.clear()
    assert small.pull().errors == []
    assert len(mirror.run_ids()) == 10


def test_storage_that_refuses_for_ever_leaves_its_files_behind_and_nothing_else(
    sandbox: Sandbox, mirror: Mirror
) -> None:
    fill(sandbox, 4)
    mirror.server = msgspec.structs.replace(SERVER, rate_limit_patience_minutes=0.2 / 60)
    sandbox.faults.add(Fault.status(429, match=Match(kind="storage")))
    report = mirror.pull()
    assert (report.errors, len(mirror.run_ids())) == ([], 4)
    assert report.failures == len(mirror.ask("SELECT * FROM files WHERE name = 'a.txt' AND status = 'failed'")) == 4
    sandbox.faults.clear()
    assert mirror.pull(retry_quarantined=True).errors == []


def test_a_budget_by_requests_is_kept_without_a_single_refusal(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, 12)
    sandbox.faults.add(Fault.rate_limit(5, 0.4))
    report = mirror.using(page_size_start=1, page_size_max=1).pull()
    assert (report.errors, len(mirror.run_ids())) == ([], 12)
    assert sum(request.status == 429 for request in sandbox.requests) <= 3, "others may share it, so some are borne"


def test_no_pull_asks_faster_than_the_ceiling(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, 5)
    times: list[float] = []

    def note(_: object) -> bool:
        times.append(time.monotonic())
        return False

    sandbox.faults.add(Fault.latency(0.0, match=Match(operation="MirrorRuns", variables=note)))
    assert mirror.using(page_size_start=1, page_size_max=1, requests_per_second=20.0).pull().errors == []
    assert len(times) >= 5
    assert times[-1] - times[0] >= 0.05 * (len(times) - 1) - 0.02


def test_a_pull_that_waits_for_a_limit_can_be_cancelled(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, 3)
    sandbox.faults.add(Fault.status(429, retry_after=60))

    async def interrupted() -> bool:
        with anyio.move_on_after(0.5) as scope:
            await mirror.pull_async(PullRequest(sources=(SourceSettings(path=SOURCE),)), None)
        return scope.cancelled_caught

    begun = time.monotonic()
    assert anyio.run(interrupted)
    assert time.monotonic() - begun < 20
    sandbox.faults.clear()
    assert mirror.pull().errors == []
    assert len(mirror.run_ids()) == 3
