"""What `define_metric` left in a config, in every form that W&B writes, and in none that it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mirror.records.step_metrics import NONE, step_metrics_of


def wire(defined: Any) -> str:
    return json.dumps({"lr": {"value": 0.1}, "_wandb": {"value": {"m": defined}}})


def test_a_step_metric_is_named_by_its_place_or_by_itself() -> None:
    defined = [
        {"1": "epoch"}, {"1": "loss", "5": 1}, {"1": "a\\.b", "4": "c\\.d"}, {"2": "val/*", "5": 1},
        {"2": "val/x/*", "5": 2},
    ]  # fmt: skip
    found = step_metrics_of(wire(defined))
    assert [found.of(key) for key in ("loss", "a.b", "val/acc", "val/x/y", "value", "epoch")] == [
        "epoch", "c.d", "epoch", "loss", None, None,
    ]  # fmt: skip


def test_a_name_goes_before_a_pattern_and_nothing_is_drawn_over_itself() -> None:
    found = step_metrics_of(wire([{"1": "epoch"}, {"2": "*", "5": 1}, {"1": "loss", "4": "_step"}]))
    assert (found.of("acc"), found.of("loss"), found.of("epoch")) == ("epoch", None, None)


@pytest.mark.parametrize(
    "text",
    [
        None, "nope", "[]", '{"m": 1}', '{"_wandb": {"m": 1}}', '{"_wandb": {"value": 3, "m": []}}', wire(None),
        wire({}),
        wire([1, None, {"1": 2, "5": 1}, {"1": "a", "5": 9}, {"1": "b", "5": 0}, {"1": "c", "5": -1}, {"5": 1}]),
        wire([{"1": "a", "5": True}]), wire([{"1": "", "4": "x"}, {"1": "d", "5": 1}]),
    ],
)  # fmt: skip
def test_what_has_another_form_defines_nothing(text: str | None) -> None:
    found = step_metrics_of(text)
    assert [found.of(key) for key in "abcd"] == [None] * 4, found
    assert NONE.of("a") is None
