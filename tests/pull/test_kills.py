"""Kill -9 at any instant: the next pull goes on by itself and ends equal to the server's truth."""

from __future__ import annotations

import random
import signal

import pytest

from mirror.errors import NotMirrored, StoreError
from mirror.sandbox import Sandbox
from tests.forking import Forker
from tests.mirroring import ENTITY, PROJECT, SOURCE, Mirror

pytestmark = pytest.mark.crash

RUNS = 120
PAGE = 4
KILLS = 7
LONGEST_S = 0.5  # a part of what the pull takes


def begins_at(mirror: Mirror) -> int:
    """The number of the run that the next walk lists first: the last one of a page that is held."""
    try:
        through = mirror.source()["walk_through"]
    except (NotMirrored, StoreError, ValueError):  # nothing was committed yet
        return 0
    return 0 if through is None else int(through[14:16]) * 60 + int(through[17:19])


def test_a_killed_pull_goes_on_where_it_stopped_and_holds_no_run_twice(sandbox: Sandbox, mirror: Mirror) -> None:
    for number in range(RUNS):
        when = f"2024-01-01T00:{number // 60:02}:{number % 60:02}"
        sandbox.state.add_run(ENTITY, PROJECT, f"r{number:04}", created_at=when, config={"n": number})
    chance = random.Random(20240101)
    killed = 0
    held = 0
    forker = Forker(sandbox, mirror.home, SOURCE, settings={"page_size_start": PAGE, "page_size_max": PAGE})
    for _ in range(KILLS):
        first = begins_at(mirror)
        killed += forker.pull(kill_after_s=chance.uniform(0.0, LONGEST_S)) == -signal.SIGKILL
        try:
            ids = mirror.run_ids("true")
        except (NotMirrored, StoreError):  # killed while it made the tables
            assert held == 0
            continue
        assert len(ids) == len(set(ids))
        assert len(ids) >= held
        # The last page has what is left of the runs.
        assert len(ids) in (held, RUNS) or (len(ids) - first) % PAGE == 0, "half a page was committed"
        held = len(ids)
    forker.close()
    assert killed >= 3
    report = mirror.using(page_size_start=50).pull()
    assert report.errors == []
    assert mirror.run_ids("true") == [f"r{number:04}" for number in range(RUNS)]
    assert {row["run_id"]: row["config"] for row in mirror.ask("SELECT run_id, config FROM runs")} == {
        f"r{number:04}": {"n": number} for number in range(RUNS)
    }
    assert mirror.run_ids("gone_at IS NOT NULL") == []
