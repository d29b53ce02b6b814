"""Every bench measures something at its smallest size, and what comes out is a table and JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.bench.__main__ import BENCHES
from tests.bench.figures import HEAD, as_json, as_row, at_least, at_most, figure
from tests.bench.measuring import Context
from tests.soaking import thin


@pytest.mark.parametrize("name", thin(BENCHES.keys(), keep=["replays", "disk"]))
def test_a_bench_measures_at_its_smallest_size(tmp_path: Path, name: str) -> None:
    figures = list(BENCHES[name](Context(tmp_path, is_full=False)))
    assert figures
    assert len({(item.work, item.beside, item.unit) for item in figures}) == len(figures)
    for item in figures:
        assert math.isfinite(item.ratio), item
        assert item.ratio > 0, item


def test_a_ratio_is_the_median_of_the_rounds_and_says_whether_its_goal_is_met() -> None:
    slower = figure("ours", "theirs", [3.0, 8.0, 4.0], [2.0, 2.0, 4.0], goal=at_most(1.5))
    assert (slower.ratio, slower.is_met) == (1.5, True)
    faster = figure("ours", "theirs", [1.0, 1.0, 2.0], [20.0, 10.0, 10.0], goal=at_least(25))
    assert (faster.ratio, faster.is_met) == (10, False)
    (row,) = json.loads(as_json([faster]))
    assert (row["goal"], row["met"], row["ratio"]) == ("≥ 25", False, 10)
    assert as_row(slower).count("|") == HEAD.splitlines()[0].count("|")
