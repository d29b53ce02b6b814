"""What the real SDK trains offline: run as a program in a folder, it leaves `wandb/offline-run-…` there."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

ENTITY, PROJECT = "team", "digits"

RANKS = 10  # processes of one group


def scalars() -> None:
    """Numbers of all kinds, nested keys, a glob, a step metric, a summary, notes that change, files, output."""
    import wandb

    config = {"lr": 0.1, "opt": {"name": "adam", "betas": [0.9, 0.999]}}
    with wandb.init(
        id="scalars",
        project=PROJECT,
        group="g",
        job_type="train",
        name="first",
        notes="n",
        tags=["a", "b"],
        config=config,
    ) as run:
        run.define_metric("acc", summary="max")
        run.define_metric("val/*", step_metric="epoch")
        for step in range(20):
            run.log({"loss": 1 / (step + 1), "acc": step % 7, "val": {"x": step}, "val/y": step, "epoch": step // 5})
        run.log({"odd": float("nan"), "inf": float("inf"), "text": "ü\n☃", "big": 2**60, "none": None, "flag": True})
        run.log({"late": 1}, step=40)
        run.config.update({"late": 3, "opt": {"name": "sgd"}}, allow_val_change=True)
        run.summary["best"] = 1.5
        run.summary["deep"] = {"a": {"b": 1}}
        run.notes = "changed"
        Path("weights.txt").write_text("hello")
        run.save("weights.txt")
        run.alert("title", "text", level="WARN", wait_duration=60)
        print("one\ntwo\rTWO\nthree \x1b[31mred\x1b[0m")


def branched() -> None:
    """A run, a fork of it, and the run once more from one of its steps."""
    import wandb

    begun: tuple[dict[str, Any], ...] = (
        {"id": "parent"}, {"id": "fork", "fork_from": "parent?_step=5"}, {"resume_from": "parent?_step=5"},
    )  # fmt: skip
    for more in begun:
        with wandb.init(project=PROJECT, config={more.get("id", "again"): True}, **more) as run:
            for number in range(10 if more == {"id": "parent"} else 3):
                run.log({"x": number, "again": "resume_from" in more})


def media() -> None:
    """A table, a histogram, an artifact with a folder and an alias, and the same once more."""
    import numpy
    import wandb

    with wandb.init(id="media", project=PROJECT) as run:
        table = wandb.Table(columns=["a", "b"], data=[[1, "x"], [2, "y"]])
        run.log({"hist": wandb.Histogram(numpy.arange(10)), "table": table})
        for count in (1, 2):
            artifact = wandb.Artifact("model", type="model", metadata={"count": count}, description="d")
            for number in range(count):
                Path(f"part{number}.bin").write_text(f"bytes {number}")
                artifact.add_file(f"part{number}.bin", name=f"deep/part{number}.bin")
            run.log_artifact(artifact, aliases=["best"])


def resumed() -> None:
    """One run in three folders."""
    import wandb

    for part in range(3):
        with wandb.init(id="resumed", project=PROJECT, resume="allow", config={"part": part}) as run:
            for step in range(4):
                run.log({"x": 10 * part + step})


def crashed() -> None:
    """A run whose process dies."""
    import wandb

    with wandb.init(id="crashed", project=PROJECT) as run:
        for step in range(5):
            run.log({"x": step})
        raise SystemExit(3)


def killed() -> None:
    """A run of which nothing says that it ended."""
    import wandb

    run = wandb.init(id="killed", project=PROJECT)
    for step in range(200):
        run.log({"x": step})
    os.kill(os.getppid(), 0)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def ranks() -> None:
    """Some processes of one group."""
    import wandb

    for rank in range(RANKS):
        with wandb.init(id=f"rank{rank}", project=PROJECT, group="ranks", config={"rank": rank}) as run:
            run.log({"x": rank})


if __name__ == "__main__":
    os.environ |= {"WANDB_MODE": "offline", "WANDB_ENTITY": ENTITY, "WANDB_SILENT": "true"}
    for name in sys.argv[1:]:
        globals()[name]()
