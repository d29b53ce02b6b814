"""What a sweep searches, read from the YAML text that W&B serves."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.records.sweeps import search_space

BAYES = """
method: bayes
metric: {name: val/loss, goal: minimize}
parameters:
  lr: {distribution: log_uniform_values, min: 1.0e-5, max: 0.1}
  layers: {values: [1, 2, 3]}
  since: {value: 2024-01-01}
"""


def test_a_definition_becomes_queryable_with_its_metric_and_goal() -> None:
    space = search_space(BAYES)
    assert (space.metric, space.goal) == ("val/loss", "minimize")
    assert space.json is not None
    assert json.loads(space.json)["parameters"]["layers"] == {"values": [1, 2, 3]}
    assert json.loads(space.json)["parameters"]["since"] == {"value": "2024-01-01"}


@pytest.mark.parametrize(
    ("text", "goal"),
    [("metric: {name: acc, goal: maximize}", "maximize"), ('{"metric": {"name": "acc"}}', "minimize"), ("a: 1", None)],
)
def test_the_goal_is_to_minimise_unless_said_otherwise(text: str, goal: str | None) -> None:
    assert search_space(text).goal == goal


@pytest.mark.parametrize("text", [None, "", "[1, 2]", "a: [", "just words", "? {a: b}\n: c", "&a [*a]"])
def test_what_is_no_definition_is_left_out(text: str | None) -> None:
    assert search_space(text).metric is None


@given(st.text())
def test_no_text_is_an_error(text: str) -> None:
    space = search_space(text)
    assert space.json is None or isinstance(json.loads(space.json), dict)
