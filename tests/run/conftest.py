"""The SDK and its sandbox, shared with the contract suite, and a project that has something of everything."""

from __future__ import annotations

import pytest

from mirror.layout import Home
from mirror.sandbox import Sandbox
from mirror.sandbox.state.records import ConsoleLine
from tests.contract.conftest import ENTITY, server
from tests.run.world import World, world_of

__all__ = ["server", "world"]

PROJECT = "run-contents"
HOSTILE_NAMES = (
    "ünï/cödé ☃.txt", "with 'quotes' \"both\".txt", "a b/c%20d_e.txt", "%", "100%.txt", "under_score.txt",
    "underXscore.txt", "back\\slash.txt", "semi;colon.sql", "new\nline.txt", "-dash", ".hidden", "~", "$HOME", "CON",
    "UPPER.txt", "upper.txt",
)  # fmt: skip
SWEEP = """
method: bayes
name: named in the config
metric: {name: loss, goal: minimize}
parameters: {lr: {min: 0.1, max: 1.0}}
"""


@pytest.fixture(scope="session")
def world(server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> World:
    """For tests that only read; one that changes something makes a world of its own."""
    server.faults.clear()
    state = server.state

    def at(minute: int) -> str:
        return f"2024-01-01T00:{minute:02}:00"

    state.add_sweep(ENTITY, PROJECT, "sw1", config_text=SWEEP, method="bayes", run_count_expected=5, created_at=at(0))
    state.add_sweep(
        ENTITY, PROJECT, "sw 2/x", config_text="method: grid\n", display_name="two", state="FINISHED", created_at=at(1)
    )
    files = {f"f/{number:03}.txt": f"{number}".encode() for number in range(120)}
    state.add_run(ENTITY, PROJECT, "many", files={**files, "wandb-metadata.json": b'{"host": "h", "gpu": null}'})
    state.add_run(ENTITY, PROJECT, "hostile", files={name: name.encode() * 3 for name in HOSTILE_NAMES})
    state.add_run(ENTITY, PROJECT, "empty")
    state.add_run(ENTITY, PROJECT, "odd", files={"wandb-metadata.json": b"{not json"})
    for number, (name, summary) in enumerate(
        {"s1": {"loss": 0.5, "acc": 1}, "s2": {"loss": 0.1, "acc": 3}, "s3": {"loss": 0.9, "acc": 2}}.items()
    ):
        state.add_run(
            ENTITY, PROJECT, name, sweep="sw1", summary=summary, config={"lr": summary["loss"]}, created_at=at(number)
        )
    state.add_run(
        ENTITY,
        PROJECT,
        "talks",
        console=[
            ConsoleLine(line=f"line {n} é ☃", level="error" if n % 7 == 2 else "", label="rank1" if n % 5 == 1 else "")
            for n in range(2345)
        ],
    )
    state.add_run(ENTITY, PROJECT, "maker")
    state.add_run(ENTITY, PROJECT, "user")
    for number in range(3):
        state.add_artifact(
            ENTITY,
            PROJECT,
            "data",
            files={"a.txt": f"a{number}".encode(), "deep/b.bin": bytes(range(256)) * 9, "ünï code.txt": b"u"},
            aliases=["prod"] if number == 1 else [],
            tags=["t"],
            metadata={"n": number, "nested": {"x": [1, 2]}},
            description=f"number {number}",
            run="maker",
        )
    state.add_artifact(ENTITY, PROJECT, "far", files={"here.txt": b"here"}, references={"far": "s3://b/k"}, run="maker")
    state.note_used(
        state.project(ENTITY, PROJECT).runs["user"], state.project(ENTITY, PROJECT).collections["data"].versions[1]
    )
    return world_of(server, Home(tmp_path_factory.mktemp("world") / "home"), PROJECT)
