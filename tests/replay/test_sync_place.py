"""Where a log goes on upstream is told by what the server counts and its last row, whoever sent what is there."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.records.contents import TailRow
from mirror.replay.sync.place import Place, place_of_events, place_of_rows


def rows(steps: list[int], began: float = 100.0) -> list[TailRow]:
    return [TailRow(step=step, row=json.dumps({"_step": step, "_timestamp": began + step, "x": 1})) for step in steps]


increasing = st.lists(st.integers(0, 1000), unique=True, min_size=1, max_size=30).map(sorted)


@given(steps=increasing, there=st.integers(0, 30), before=st.integers(0, 50))
def test_a_log_goes_on_behind_the_last_row_that_is_there(steps: list[int], there: int, before: int) -> None:
    log, there = rows(steps), min(there, len(steps))
    if there:
        assert place_of_rows(log, before + there, log[there - 1].row, before) == Place(base=before, begin=there)
        assert place_of_rows(log, None, log[there - 1].row, before) == Place(base=before, begin=there)
        assert place_of_rows(log, None, None, before, log[there - 1].step) == Place(base=before, begin=there)
    assert place_of_rows(log, before + there, None, before) == Place(base=before if before + there else 0, begin=there)


@given(steps=increasing, there=st.integers(1, 30))
def test_other_rows_clash(steps: list[int], there: int) -> None:
    log, others = rows(steps), rows(steps, began=500.0)
    there = min(there, len(steps))
    assert place_of_rows(log, there, others[there - 1].row, 0).clash is not None
    beyond = rows([steps[-1] + 1])[0]
    assert "more than the log" in str(place_of_rows(log, len(steps) + 1, beyond.row, 0).clash)


def test_a_log_that_goes_on_from_an_earlier_one_comes_behind_it() -> None:
    log, earlier = rows([5, 6, 7]), rows([0, 1, 2, 3, 4], began=1.0)
    assert place_of_rows(log, 5, earlier[-1].row, 5) == Place(base=5)
    assert place_of_rows(log, 7, log[1].row, 5) == Place(base=5, begin=2)
    assert "fewer than the 5" in str(place_of_rows(log, 3, earlier[2].row, 5).clash)


@pytest.mark.parametrize("there", range(4))
def test_system_metrics_go_on_behind_the_last_row_that_is_there(there: int) -> None:
    events = [row.row for row in rows([0, 1, 2])]
    last = events[there - 1] if there else None
    assert place_of_events(events, there, last) == Place(base=0, begin=there)
    assert place_of_events(events, 4, rows([9])[0].row) == Place(base=4)


@given(steps=st.lists(st.integers(0, 9), min_size=1, max_size=30), there=st.integers(1, 30), before=st.integers(0, 5))
def test_no_row_is_sent_again_where_steps_of_a_log_go_back(steps: list[int], there: int, before: int) -> None:
    """Whether the server's last row is the one that was sent last, or the one of the highest step."""
    log = [
        TailRow(step=step, row=json.dumps({"_step": step, "_timestamp": 100.0 + number}))
        for number, step in enumerate(steps)
    ]
    there = min(there, len(log))
    highest = max(log[:there], key=lambda row: (row.step, json.loads(row.row)["_timestamp"]))
    for last in (highest, log[there - 1]):
        found = place_of_rows(log, before + there, last.row, before)
        assert (found.base, found.begin, found.clash) == (before, there, None)
