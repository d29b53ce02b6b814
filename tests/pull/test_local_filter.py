"""The filters that a pull makes select the same runs here as on a server."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from mirror.api.rows.runs import to_run
from mirror.pull import plan
from mirror.pull.listing.local_filter import matches
from mirror.records.runs import RunRecord

NOON = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)


def run_of(name: str, *, created: str | None, heartbeat: str | None) -> RunRecord:
    node = {"id": name, "name": name, "createdAt": created, "heartbeatAt": heartbeat}
    return to_run(json.dumps(node).encode(), "e", "p")


OLD = run_of("old", created="2024-01-01T10:00:00", heartbeat="2024-01-01T11:00:00")
MOVED = run_of("moved", created="2024-01-01T10:00:00", heartbeat="2024-01-01T12:00:00")
NEW = run_of("new", created="2024-01-01T13:00:00", heartbeat=None)
TIMELESS = run_of("timeless", created=None, heartbeat=None)


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (None, {"old", "moved", "new", "timeless"}),
        (plan.names_filter(["old", "timeless"]), {"old", "timeless"}),
        (plan.walk_filter("2024-01-01T12:30:00"), {"new"}),
        (plan.look_filter(NOON, ()), {"moved", "new"}),
        (plan.look_filter(NOON, ["old"]), {"old", "moved", "new"}),
        (plan.overlap_filter(plan.Look(since=NOON, overlap_from=NOON - dt.timedelta(hours=2))), {"old"}),
    ],
)
def test_each_filter_of_a_pull_selects_the_runs_that_it_means(
    filters: dict[str, object] | None, names: set[str]
) -> None:
    assert {run.run_id for run in (OLD, MOVED, NEW, TIMELESS) if matches(run, filters)} == names
