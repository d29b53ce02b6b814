"""What the real SDK reads of some runs from the server, as JSON: `python -m mirror.cli.story.judge RUN…`."""

from __future__ import annotations

import json
import sys
from typing import Any

import wandb


def read(path: str) -> dict[str, Any]:
    """One run, as a user's script would read it."""
    run = wandb.Api().run(path)
    return {
        "tags": sorted(run.tags),
        "notes": run.notes,
        "config": dict(run.config),
        "state": run.state,
        "files": sorted(file.name for file in run.files()),
    }


if __name__ == "__main__":
    print(json.dumps({path: read(path) for path in sys.argv[1:]}))  # noqa: T201 — the parent process reads it
