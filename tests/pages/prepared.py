"""The one mirror that the pages are about: `my-team/my-project` with its runs, as the names in the pages have it."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirror.sandbox import Sandbox
from tests.cli.conftest import Cli

BIG = 2**60 + 1  # no double holds it
TABLE = json.dumps(
    {"columns": ["image", "label"], "data": [["a.png", 3], ["b.png", 5]], "ncols": 2, "nrows": 2}
).encode()
LOGGED: dict[str, Any] = {
    "_type": "table-file", "path": "media/table/predictions_7.table.json", "nrows": 2, "ncols": 2,
    "sha256": hashlib.sha256(TABLE).hexdigest(),
}  # fmt: skip
METADATA = {"program": "train.py", "args": ["--lr", "0.1"], "host": "node7", "gpu": "A100"}
SWEEP = """method: random
metric: {name: loss, goal: minimize}
parameters: {lr: {values: [0.1, 0.2]}}
"""
# What is set in the file that `init` writes.
SETTINGS = {"# artifacts_include = []": 'artifacts_include = ["*"]', "# threads = 2": "threads = 1"}


@dataclass(frozen=True)
class Prepared:
    """A mirror, pulled from a server that is there. Its home is for copying."""

    sandbox: Sandbox
    cli: Cli


def fill(sandbox: Sandbox, entity: str, project: str, prefix: str) -> None:
    """A project in which every page finds what it speaks of; ids of its runs are numbered behind a prefix."""
    state = sandbox.state
    state.add_project(entity, project)
    state.add_sweep(entity, project, "sweep1", config_text=SWEEP, display_name="learning rates")
    for number in range(4):
        state.add_run(
            entity,
            project,
            f"{prefix}{number}",
            group="g",
            tags=["t"],
            sweep="sweep1" if number < 2 else None,
            config={"lr": 0.1 * number, "depth": 3, "model": {"type": "resnet"}},
            summary={"loss": float("nan") if number == 3 else 0.5 * number, "val/acc": 0.25 * number},
            state="crashed" if number == 2 else "running" if number == 1 else "finished",
            created_at=None if number == 2 else f"2026-01-0{number + 1}T00:00:00Z",
            heartbeat_at=None if number == 2 else f"2026-01-0{number + 1}T06:00:00Z",
            history=[
                {
                    "_step": step,
                    "loss": 1 / (step + 1),
                    "val/acc": 0.1 * step,
                    "tokens": BIG + step,
                    "weights": {"values": [1, 2], "bins": [0, 1, 2]},
                    **({"predictions": LOGGED} if (number, step) == (1, 7) else {}),
                }
                for step in range(8)
            ],
            events=[{"_timestamp": 1.7e9, "_runtime": 1.0, "system.cpu": 12.5}],
            console=["training", "an Error in line 3"],
            files={
                "model.pt": b"weights",
                "notes/a.txt": b"text",
                "wandb-metadata.json": json.dumps(METADATA).encode(),
                "code/train.py": b"print('training')",
                "requirements.txt": b"numpy==2.0.0",
                **({LOGGED["path"]: TABLE} if number == 1 else {}),
            },
        )
    state.add_artifact(entity, project, "model", files={"w": b"1"}, run=f"{prefix}1")
    state.add_artifact(
        entity,
        project,
        f"run-{prefix}1-predictions",
        type="run_table",
        files={"predictions.table.json": TABLE},
        run=f"{prefix}1",
    )


def fill_digits(sandbox: Sandbox) -> None:
    """What the demo leaves behind, in small: the project of the notebooks."""
    for number, rate in enumerate((0.01, 0.1, 10.0)):
        lost = rate > 1
        sandbox.state.add_run(
            "sandbox-team",
            "digits",
            f"digits{number}",
            display_name=f"mlp-{number}",
            tags=["demo"],
            config={"learning_rate": rate, "hidden": 64},
            summary={"loss": float("nan") if lost else 0.3, "test/accuracy": 0.1 if lost else 0.8 + rate},
            history=[{"_step": step, "loss": 1 / (step + 1), "test/accuracy": 0.1 * step + rate} for step in range(9)],
            files={"weights.npz": b"weights"},
        )


@contextmanager
def prepared(folder: Path) -> Iterator[Prepared]:
    """The mirror after two pulls, between which a run was deleted upstream."""
    with Sandbox.start() as sandbox:
        fill(sandbox, "my-team", "my-project", "run")
        fill(sandbox, "my-other-team", "anything", "other")
        fill_digits(sandbox)
        cli = Cli(folder=folder).at(sandbox)
        cli(
            "init",
            "--source",
            "my-team/my-project",
            "--source",
            "my-other-team/*",
            "--source",
            "sandbox-team/*",
            code=0,
        )
        text = cli.config.read_text(encoding="utf-8")
        for shown, wanted in SETTINGS.items():
            assert shown in text
            text = text.replace(shown, wanted)
        cli.config.write_text(text, encoding="utf-8")
        cli("pull", code=0)
        sandbox.state.delete_run("my-team", "my-project", "run0")
        cli("pull", code=0)
        yield Prepared(sandbox, cli)


def environment(cli: Cli) -> dict[str, str]:
    """What a shell of the pages has."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # `python` is the one that has the SDK
    return {**cli.environment(), "PATH": path, "LC_ALL": "C.UTF-8"}
