"""Reads with whatever SDK this Python has, and prints what each read came to."""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import wandb

PATH = sys.argv[1]
answers: dict[str, str] = {}


def ask(name: str, call: Callable[[], Any]) -> None:
    try:
        answers[name] = json.dumps(call(), sort_keys=True, default=str)
    except Exception as error:
        answers[name] = type(error).__name__
        print(name, repr(error)[:300], file=sys.stderr)


def tree(folder: str) -> dict[str, str]:
    root = Path(folder)
    return {str(path.relative_to(root)): path.read_bytes().hex() for path in root.rglob("*") if path.is_file()}


def files(run: Any) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        for file in run.files():
            file.download(folder).close()
        return tree(folder)


def downloaded(artifact: Any) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        artifact.download(folder, skip_cache=True)
        return tree(folder)


def artifact(found: Any) -> list[Any]:
    return [found.name, found.type, found.digest, sorted(found.aliases), found.size, sorted(found.manifest.entries)]


def read(run: Any) -> None:
    ask(f"config {run.id}", lambda: run.config)
    ask(f"summary {run.id}", lambda: dict(run.summary._json_dict))
    ask(f"history {run.id}", lambda: run.history(pandas=False))
    ask(f"history of keys {run.id}", lambda: run.history(keys=["loss"], pandas=False))
    ask(f"system metrics {run.id}", lambda: run.history(stream="system", pandas=False))
    ask(f"scan {run.id}", lambda: list(run.scan_history()))
    ask(f"scan of keys {run.id}", lambda: list(run.scan_history(keys=["loss"])))
    ask(f"files {run.id}", lambda: files(run))
    ask(f"logged {run.id}", lambda: [artifact(found) for found in run.logged_artifacts()])
    ask(f"used {run.id}", lambda: [artifact(found) for found in run.used_artifacts()])
    ask(f"sweep {run.id}", lambda: run.sweep and [run.sweep.config, run.sweep.state])


api = wandb.Api(timeout=60)
runs = list(api.runs(PATH))
ask("runs", lambda: [[run.id, run.name, run.state, run.tags, run.created_at] for run in runs])
ask("filter", lambda: [run.id for run in api.runs(PATH, filters={"config.lr": {"$gt": 0.05}}, order="-created_at")])
ask("projects", lambda: [project.name for project in api.projects(PATH.split("/")[0])])
for run in runs:
    read(run)
ask("artifact", lambda: downloaded(api.artifact(f"{PATH}/set:latest")))
ask("types", lambda: sorted(kind.name for kind in api.artifact_types(PATH)))
ask("versions", lambda: [found.name for found in api.artifacts("dataset", f"{PATH}/set")])
ask("used by", lambda: sorted(run.id for run in api.artifact(f"{PATH}/set:v0").used_by()))
print(json.dumps(answers, indent=1))
