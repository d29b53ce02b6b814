"""Sweeps with their search space and their best run, as SQL answers and as the real order of W&B has it."""

from __future__ import annotations

from mirror.sandbox import Sandbox
from tests.mirroring import ENTITY, PROJECT, Mirror


def test_the_best_run_of_a_sweep_is_the_one_that_its_metric_says(sandbox: Sandbox, mirror: Mirror) -> None:
    state = sandbox.state
    state.add_project(ENTITY, PROJECT)
    state.add_sweep(ENTITY, PROJECT, "low", config_text="method: grid\nmetric: {name: val/loss, goal: minimize}\n")
    state.add_sweep(ENTITY, PROJECT, "high", config_text="method: grid\nmetric: {name: best.acc, goal: maximize}\n")
    state.add_sweep(ENTITY, PROJECT, "none", config_text="method: grid\nparameters: {lr: {values: [1, 2]}}\n")
    for number, loss in enumerate([0.5, 0.25, float("nan")]):
        state.add_run(
            ENTITY, PROJECT, f"low{number}", sweep="low", summary={"val/loss": loss, "best": {"acc": 1.0 - number}}
        )
    for number, acc in enumerate([0.5, 0.75, float("inf")]):
        state.add_run(ENTITY, PROJECT, f"high{number}", sweep="high", summary={"best": {"acc": acc}})
    mirror.pull()
    rows = mirror.ask("SELECT sweep_id, metric, goal, best_run, search_space FROM sweeps ORDER BY sweep_id")
    assert [(row["sweep_id"], row["metric"], row["goal"], row["best_run"]) for row in rows] == [
        ("high", "best.acc", "maximize", "high1"),
        ("low", "val/loss", "minimize", "low1"),
        ("none", None, None, None),
    ]
    assert rows[2]["search_space"]["parameters"] == {"lr": {"values": [1, 2]}}
