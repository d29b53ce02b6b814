"""What the real SDK logs without a server: `python -m tests.offline.training`, in the folder that is to have it.

At its end it is killed, as a node that loses its power is. `LOGGED` and the rest say what was logged.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

ENTITY, PROJECT = "team", "proj"
STEPS = 10
CONFIG: dict[str, Any] = {"lr": 0.1, "nested": {"a": {"b": 1}, "l": [1, 2]}, "text": "é\n'\""}
SAVED = {"sub/now.txt": "now", "end.txt": "end", "live.txt": "live", "g1.ckpt": "1", "g2.ckpt": "2"}
KILLED_STEPS = 20
LONG = "l" * 5000
BLOCK = 32 * 1024  # bytes


def logged(step: int) -> dict[str, Any]:
    """A row of the first run."""
    return {"loss": 1.0 / (step + 1), "nested": {"x": step}, "epoch": step // 2, "acc": step * (STEPS - step)}


def main() -> None:
    """Train a run with everything, one in two folders, and one that is killed."""
    import wandb

    _everything(wandb)
    for part in range(2):
        run = wandb.init(entity=ENTITY, project=PROJECT, id="parts", resume="allow", config={f"part{part}": True})
        for step in range(4):
            run.log({"x": 10 * part + step})
        run.finish(exit_code=part)
    run = wandb.init(entity=ENTITY, project=PROJECT, id="killed")
    for step in range(KILLED_STEPS):
        run.log({"x": step, "long": LONG})
    (log,) = Path().glob("wandb/offline-run-*-killed/*.wandb")
    while log.stat().st_size < 2 * BLOCK:  # the SDK writes whole blocks, and the rest each 15 s
        time.sleep(0.1)
    os.killpg(0, signal.SIGKILL)


def _everything(wandb: Any) -> None:
    run = wandb.init(
        entity=ENTITY, project=PROJECT, id="first", name="A run", notes="of it", tags=["a", "b"], group="g",
        job_type="train", config=CONFIG, settings=wandb.Settings(x_stats_sampling_interval=0.5),
    )  # fmt: skip
    run.define_metric("epoch")
    run.define_metric("acc", step_metric="epoch", summary="max")
    print("one line")
    sys.stdout.write("progress 10%\rprogress 100%\n")
    sys.stdout.write("first\nsecond\n\x1b[A\x1b[Afirst, changed\n\n")
    print("bad", file=sys.stderr)
    for step in range(STEPS):
        run.log(logged(step))
    run.log(
        {
            "nan": float("nan"), "inf": float("inf"), "big": 2**60 + 1, "words": "hello", "list": [1, 2],
            "hist": wandb.Histogram([1, 2, 3]),
            "table": wandb.Table(columns=["a", "b"], data=[[1, "x"], [2, "y"]]),
        }
    )  # fmt: skip
    run.summary["best"] = 3.5
    run.summary.update({"deep": {"er": 1}})
    run.config.update({"later": True})
    for name, text in SAVED.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    for name in ("now", "end", "live"):
        run.save("sub/now.txt" if name == "now" else f"{name}.txt", policy=name)
    run.save("*.ckpt")
    artifact = wandb.Artifact("model", "model", description="of it", metadata={"k": 1})
    artifact.add_file("end.txt", name="weights.txt")
    artifact.add_reference("https://example.com/x", name="ref", checksum=False)
    run.log_artifact(artifact, aliases=["best"])
    run.write_logs("a line of a log")
    time.sleep(1.2)  # until the machine was looked at
    run.finish()


if __name__ == "__main__":
    main()
