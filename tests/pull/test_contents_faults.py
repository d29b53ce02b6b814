"""Faults while contents are fetched: they cost a retry or a named failure, and leave nothing wrong behind."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from mirror.errors import Unreachable
from mirror.layout import Home
from mirror.pull import ProjectReport, SilentPull
from mirror.records.passes import MOST_ATTEMPTS
from mirror.sandbox import Fault, Match, Sandbox
from tests.mirroring import ENTITY
from tests.pull.contents import assert_equal, failures, fill, mirror_of
from tests.soaking import thin
from tests.truth import broken_objects


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    """One sandbox for this file; its addresses last a minute of its own clock."""
    with Sandbox.start(storage_url_ttl_s=60.0) as sandbox:
        yield sandbox


STORAGE = Match(kind="storage")
GRAPHQL = Match(kind="graphql")


FAULTS = {
    f"{fault.label} {fault.match.kind}": fault
    for fault in (
        Fault.status(429, retry_after=0.01, times=4, match=GRAPHQL),
        Fault.status(429, retry_after=0.01, times=12, match=STORAGE),
        Fault.status(502, times=5, match=GRAPHQL),
        Fault.status(503, times=15, match=STORAGE),
        Fault.drop(times=15, match=STORAGE),
        Fault.lost_answer(times=3, match=GRAPHQL),
        Fault.drop_mid_body(times=15),
        Fault.truncate_body(times=15),
        Fault.corrupt_body(times=15),
        Fault.expired_urls(times=15),
        Fault.html(200, times=10, match=STORAGE),
    )
}


@pytest.mark.parametrize(
    "fault",
    thin(
        FAULTS,
        keep=[
            *("lost_answer graphql", "corrupt_body storage"),
        ],
    ),
)
def test_after_a_storm_a_plain_pull_makes_the_lake_equal_to_the_server(
    server: Sandbox, home: Home, project: str, fault: Fault
) -> None:
    fill(server, project)
    mirror = mirror_of(server, home, project)
    server.faults.add(fault)
    mirror.pull()
    assert broken_objects(mirror) == []
    server.faults.clear()
    for _ in range(2):  # a pass that stopped before its end, and then what it could not look at
        report = mirror.pull()
    assert (report.errors, report.failures) == ([], 0)
    assert failures(mirror) == {}
    assert_equal(server, mirror, project)


def test_a_file_that_fails_keeps_its_own_reason_and_stops_nothing_else(
    server: Sandbox, home: Home, project: str
) -> None:
    fill(server, project, runs=2)
    add = server.state.add_file
    for number in range(6):
        add(ENTITY, project, "r000", f"lie{number}.bin", b"true bytes", md5="AAAAAAAAAAAAAAAAAAAAAA==")
        record = add(ENTITY, project, "r000", f"lost{number}.bin", b"never there")
        server.state.bucket.remove(record.object_key)
    mirror = mirror_of(server, home, project)
    report = mirror.pull()
    assert (report.errors, report.failures) == ([], 12)
    files = {row["name"]: row for row in mirror.ask("SELECT * FROM lake.files WHERE run_id = 'r000'")}
    for number in range(6):
        assert "md5" in files[f"lie{number}.bin"]["reason"]
        assert f"lie{number}.bin" in files[f"lie{number}.bin"]["reason"]
        assert "404" in files[f"lost{number}.bin"]["reason"]
        assert files[f"lost{number}.bin"]["status"] == "failed"
        assert files[f"lost{number}.bin"]["object"] is None
    assert [files[name]["status"] for name in ("config.yaml", "same.bin", "big.bin")] == ["held"] * 3
    assert len(mirror.ask("SELECT DISTINCT step FROM lake.metrics WHERE run_id = 'r000'")) == 20
    recorded = failures(mirror)
    assert {item for _, item in recorded} == {f"file {kind}{n}.bin" for kind in ("lie", "lost") for n in range(6)}
    assert {row["attempts"] for row in recorded.values()} == {1}
    for number in range(6):  # deleted upstream: nothing is left to fail
        for kind in ("lie", "lost"):
            server.state.remove_file(server.state.run(ENTITY, project, "r000").files[f"{kind}{number}.bin"].id)
    assert mirror.pull().failures == 0
    assert failures(mirror) == {}


def test_what_fails_again_and_again_is_backed_off_quarantined_and_tried_when_asked(
    server: Sandbox, home: Home, project: str
) -> None:
    fill(server, project, runs=1)
    server.state.add_file(ENTITY, project, "r000", "lie.bin", b"x", md5="AAAAAAAAAAAAAAAAAAAAAA==")
    mirror = mirror_of(server, home, project)
    today = dt.datetime.now(dt.UTC)
    mirror.now = lambda: today
    waits = []
    for attempt in range(1, MOST_ATTEMPTS + 1):
        mirror.pull()
        row = failures(mirror)["r000", "file lie.bin"]
        assert (row["attempts"], row["quarantined"]) == (attempt, attempt == MOST_ATTEMPTS)
        due = dt.datetime.fromisoformat(row["next_at"]).replace(tzinfo=dt.UTC)
        waits.append((due - today).total_seconds())
        if waits[-1] > 0:
            today += dt.timedelta(seconds=waits[-1] - 1)
            if attempt in {4, MOST_ATTEMPTS - 1}:
                asked = server.requests.count(kind="storage")
                mirror.pull()
                assert server.requests.count(kind="storage") == asked, "tried before it was due"
            today += dt.timedelta(seconds=2)
    assert waits == sorted(waits)
    assert waits[3:6] == [300, 600, 1200]
    server.state.add_file(ENTITY, project, "r000", "lie.bin", b"x")
    today += dt.timedelta(days=3)
    mirror.pull()
    assert failures(mirror)["r000", "file lie.bin"]["attempts"] == MOST_ATTEMPTS
    assert mirror.pull(retry_quarantined=True).failures == 0
    assert failures(mirror) == {}
    assert_equal(server, mirror, project)


@pytest.mark.parametrize(
    ("size", "md5"),
    thin(
        [(None, None), (0, None), (0, "computed"), (None, "no md5 at all")],
        keep=[(0, None)],
    ),
)
def test_a_missing_md5_and_a_listed_size_of_zero_are_no_failure(
    server: Sandbox, home: Home, project: str, size: int | None, md5: str | None
) -> None:
    fill(server, project, runs=1)
    server.state.add_file(ENTITY, project, "r000", "odd.bin", b"bytes all the same", md5=md5, size=size)
    mirror = mirror_of(server, home, project)
    assert mirror.pull().failures == 0
    assert_equal(server, mirror, project)


def test_a_stale_size_is_named_and_taken_once_the_server_knows_better(
    server: Sandbox, home: Home, project: str
) -> None:
    fill(server, project, runs=1)
    server.state.add_file(ENTITY, project, "r000", "stale.bin", b"twelve bytes", size=5)
    mirror = mirror_of(server, home, project)
    assert mirror.pull().failures == 1
    assert "more came than the 5 bytes that are listed" in failures(mirror)["r000", "file stale.bin"]["reason"]
    server.state.add_file(ENTITY, project, "r000", "stale.bin", b"twelve bytes")
    assert mirror.pull().failures == 0
    assert_equal(server, mirror, project)


def test_addresses_that_expire_in_the_middle_are_renewed_together(server: Sandbox, home: Home, project: str) -> None:
    fill(server, project, runs=9)
    listing = Match(kind="graphql", query="parquetHistory")
    server.faults.add(Fault.lie(lambda _: server.clock.advance(61), times=1, match=listing))
    mirror = mirror_of(server, home, project)
    report = mirror.pull()
    assert (report.errors, report.failures) == ([], 0)
    assert server.requests.count("MirrorRunContents") == 1
    assert_equal(server, mirror, project)


def test_addresses_that_never_hold_are_a_failure_not_a_loop(server: Sandbox, home: Home, project: str) -> None:
    fill(server, project, runs=2)
    server.faults.add(Fault.expired_urls())
    report = mirror_of(server, home, project).pull()
    assert report.errors == []
    assert report.failures > 0
    assert server.requests.count("MirrorRunContents") <= 6


class OutageAfterFirstPage(SilentPull):
    """The server goes away once something is committed."""

    def __init__(self, sandbox: Sandbox, ending: contextlib.ExitStack) -> None:
        self._sandbox, self._ending, self._away = sandbox, ending, False

    def page_done(self, report: ProjectReport, expected: int | None) -> None:
        if not self._away:
            self._away = True
            self._ending.enter_context(self._sandbox.outage())


def test_an_outage_in_the_middle_of_a_pass_leaves_what_was_committed_and_the_next_pull_ends_it(
    server: Sandbox, home: Home, project: str
) -> None:
    fill(server, project, runs=6)
    mirror = mirror_of(server, home, project).using(page_size_start=2, page_size_max=2)
    with contextlib.ExitStack() as ending:
        report = mirror.pull(watcher=OutageAfterFirstPage(server, ending))
    assert [type(error) for error in report.errors] == [Unreachable]
    held = mirror.run_ids()
    assert 2 <= len(held) < 6
    assert failures(mirror) == {}, "an outage is nobody's own failure"
    assert broken_objects(mirror) == []
    assert mirror.pull().errors == []
    assert_equal(server, mirror, project)


def test_a_host_that_is_away_costs_its_own_files_alone(server: Sandbox, home: Home, project: str) -> None:
    fill(server, project, runs=3)
    server.state.add_file(ENTITY, project, "r000", "elsewhere", b"", reference="http://127.0.0.1:9/gone")
    mirror = mirror_of(server, home, project)
    report = mirror.pull()
    assert (report.errors, report.failures) == ([], 1)
    assert "cannot connect" in failures(mirror)["r000", "file elsewhere"]["reason"]
    server.state.remove_file(server.state.run(ENTITY, project, "r000").files["elsewhere"].id)
    mirror.pull()
    assert failures(mirror) == {}
    assert_equal(server, mirror, project)


def test_a_broken_download_goes_on_where_it_stopped(server: Sandbox, home: Home, project: str) -> None:
    server.state.add_run(ENTITY, project, "r", files={"big.bin": bytes(range(256)) * 4000})
    server.faults.add(Fault.drop_mid_body(times=4))
    mirror = mirror_of(server, home, project)
    for _ in range(3):
        mirror.pull()
    assert_equal(server, mirror, project)
    ranges = [record.headers.get("range") for record in server.requests.select(kind="storage")]
    assert sum(offset is not None for offset in ranges) >= 2


def test_bytes_of_an_artifact_that_failed_come_with_a_later_pull(server: Sandbox, home: Home, project: str) -> None:
    fill(server, project, runs=1)
    bad = next(key for key in server.state.bucket._objects if key.startswith("wandb_artifacts/"))
    body = server.state.bucket.get(bad)
    server.state.bucket.remove(bad)
    mirror = mirror_of(server, home, project)
    assert mirror.pull().failures >= 1
    statuses: list[dict[str, Any]] = mirror.ask("SELECT path, status FROM lake.artifact_files ORDER BY path")
    assert {row["status"] for row in statuses} == {"held", "failed"}
    assert body is not None
    server.state.bucket.put(bad, body)
    assert mirror.pull().failures == 0
    assert failures(mirror) == {}
    assert_equal(server, mirror, project)
