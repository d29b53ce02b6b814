"""A plot in a terminal shows where the values are, and leaves gaps where they are no numbers."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.cli.terminal.plot import Series, draw

WIDTH, HEIGHT = 60, 8


def series(values: list[float], steps: list[float] | None = None) -> Series:
    made = Series(name="loss")
    for step, value in zip(steps or [float(place) for place in range(len(values))], values, strict=True):
        made.add(step, value)
    return made


def cells(lines: list[str]) -> list[str]:
    """The rows of the plot without title, axis and steps."""
    return [line.partition("│")[2] or line.partition("┤")[2] for line in lines[1:-2]]


def test_a_falling_line_falls_from_the_upper_left_to_the_lower_right() -> None:
    rows = cells(draw(series([10.0 - number for number in range(11)]), width=WIDTH, height=HEIGHT))
    starts = [len(row) - len(row.lstrip()) for row in rows]
    assert all(row.strip() for row in rows)
    assert starts == sorted(starts)
    assert all(left < right for left, right in pairwise(starts))


def test_title_and_axis_name_minimum_maximum_last_value_and_steps() -> None:
    lines = draw(series([3.0, 1.0, 2.0], [10.0, 20.0, 400.0]), width=WIDTH, height=HEIGHT)
    assert lines[0] == "loss  (min 1 at 20, max 3 at 10, last 2; 3 points)"
    assert lines[1].split()[0] == "3"
    assert lines[-3].split()[0] == "1"
    assert lines[-1].split() == ["10", "400"]


def test_values_that_are_no_numbers_leave_a_gap_and_are_counted() -> None:
    whole = cells(draw(series([1.0] * 40 + [2.0]), width=WIDTH, height=HEIGHT))
    gap = draw(series([1.0] * 10 + [math.nan] * 20 + [1.0] * 10 + [2.0]), width=WIDTH, height=HEIGHT)
    assert "20 not finite" in gap[0]
    assert "   " in cells(gap)[-1].strip()
    assert "   " not in whole[-1].strip()


def test_on_a_logarithmic_axis_what_falls_tenfold_a_step_is_a_straight_line() -> None:
    lines = draw(series([10.0**-step for step in range(9)] + [0.0, -1.0]), width=WIDTH, height=HEIGHT, log=True)
    starts = [len(row) - len(row.lstrip()) for row in cells(lines)]
    widths = [after - before for before, after in pairwise(starts)]
    assert max(widths) - min(widths) <= 2
    assert "2 not above 0" in lines[0]
    assert lines[1 + HEIGHT // 2].split()[0] == f"{10 ** (-8 * 4 / 7):.4g}"
    assert draw(series([0.0, -1.0]), width=WIDTH, height=HEIGHT, log=True) == ["loss: 2 points, none of them above 0"]


def test_a_series_without_one_number_says_so() -> None:
    assert draw(series([math.nan, math.inf]), width=WIDTH, height=HEIGHT) == [
        "loss: 2 points, none of them a finite number"
    ]


@pytest.mark.parametrize("values", [[7.0], [7.0] * 5, [-1.7e308, 1.7e308], [5e-324, 0.0], [2.0**53, 2.0**53 + 2]])
def test_extreme_values_are_drawn(values: list[float]) -> None:
    lines = draw(series(values), width=WIDTH, height=HEIGHT)
    assert "".join(cells(lines)).strip()


def test_the_axis_tells_close_values_apart() -> None:
    lines = draw(series([2.0**53, 2.0**53 + 200]), width=WIDTH, height=HEIGHT)
    assert lines[1].split()[0] != lines[-3].split()[0]


@given(
    st.lists(st.floats(), min_size=1, max_size=50),
    st.integers(min_value=20, max_value=120),
    st.integers(min_value=2, max_value=20),
    st.booleans(),
)
def test_every_plot_fits_its_frame(values: list[float], width: int, height: int, log: bool) -> None:
    lines = draw(series(values), width=width, height=height, log=log)
    if len(lines) > 1:
        assert len(lines) == height + 3
        assert len({line.find("┤") for line in lines[1:-2] if "┤" in line}) == 1
        assert all(len(line) <= max(width, 40) for line in lines[1:])
