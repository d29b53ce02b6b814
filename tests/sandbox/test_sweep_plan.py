"""What a sweep's configuration asks for."""

from __future__ import annotations

import random

import pytest

from mirror.sandbox.state.sweep_plan import expected_runs, goal, next_parameters, parse_config

GRID = {
    "method": "grid",
    "parameters": {"a": {"values": [1, 2]}, "b": {"parameters": {"c": {"values": ["x", "y", "z"]}, "d": {"value": 4}}}},
}


def test_a_grid_is_walked_whole_each_point_once() -> None:
    source = random.Random(0)
    points = [next_parameters(GRID, given, source) for given in range(6)]
    assert points[0] == {"a": 1, "b": {"c": "x", "d": 4}}
    assert sorted(str(point) for point in points) == sorted(
        str({"a": a, "b": {"c": c, "d": 4}}) for a in (1, 2) for c in "xyz"
    )
    assert next_parameters(GRID, 6, source) is None


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (GRID, 6),
        (GRID | {"run_cap": 2}, 2),
        ({"method": "random", "parameters": {"a": {"values": [1]}}}, None),
        ({"method": "bayes", "run_cap": 5}, 5),
        ({"method": "grid", "parameters": {"a": {"min": 1, "max": 9, "q": 2}}}, 5),
    ],
)
def test_only_a_grid_or_a_cap_bounds_the_runs(config: dict[str, object], expected: int | None) -> None:
    assert expected_runs(config) == expected


@pytest.mark.parametrize(
    ("parameter", "low", "high"),
    [
        ({"min": 1, "max": 3}, 1, 3),
        ({"min": 0.5, "max": 1.5}, 0.5, 1.5),
        ({"distribution": "q_uniform", "min": 0, "max": 256, "q": 8}, 0, 256),
        ({"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-1}, 1e-4, 1e-1),
        ({"distribution": "log_uniform", "min": 0.0, "max": 1.0}, 1.0, 2.72),
        ({"values": [2, 3], "probabilities": [0.0, 1.0]}, 3, 3),
        ({"distribution": "normal", "mu": 100, "sigma": 1}, 90, 110),
        ({"value": 7}, 7, 7),
    ],
)
def test_a_random_search_draws_inside_the_bounds(parameter: dict[str, object], low: float, high: float) -> None:
    source = random.Random(1)
    config = {"method": "random", "parameters": {"p": parameter}}
    drawn = [next_parameters(config, given, source) for given in range(50)]
    values = [point["p"] for point in drawn if point is not None]
    assert len(values) == 50
    assert all(low <= value <= high for value in values)
    if parameter.get("q"):
        assert all(isinstance(value, int) and value % 8 == 0 for value in values)


def test_a_configuration_that_is_none_asks_for_nothing() -> None:
    assert parse_config("method: [unclosed") == {}
    assert parse_config("- a list") == {}
    assert parse_config('{"method": "grid"}') == {"method": "grid"}
    assert goal({})[0] == "loss"
    name, best = goal({"metric": {"name": "acc", "goal": "maximize"}})
    assert (name, best([1, 3, 2])) == ("acc", 3)
