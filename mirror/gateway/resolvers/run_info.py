"""What a run's metadata file says of its machine and program, and what its files take."""

from __future__ import annotations

import json
from typing import Any

from mirror.gateway.runs import RunNode
from mirror.run.files import content_of_file
from mirror.store.read.files import read_files
from mirror.store.read.run_counts import sum_of_files
from mirror.wandb_protocol.resolvers import Info, Resolvers

_FILE = "wandb-metadata.json"  # which the SDK uploads with every run
_MOST_BYTES = 4 * 1024 * 1024  # of such a file; W&B's own have a few thousand


def _run_info(run: RunNode, _info: Info) -> dict[str, Any] | None:
    metadata = _metadata(run)
    if metadata is None:
        return None
    git = metadata.get("git")
    return {
        **{key: _text(metadata.get(key)) for key in ("program", "os", "python", "executable", "colab", "gpu")},
        "args": [str(argument) for argument in metadata.get("args") or []],
        "codeSaved": bool(metadata.get("codePath")),
        "cpuCount": _count(metadata.get("cpu_count")),
        "gpuCount": _count(metadata.get("gpu_count")),
        "git": {key: _text(git.get(key)) for key in ("remote", "commit")} if isinstance(git, dict) else None,
    }


def _metadata(run: RunNode) -> dict[str, Any] | None:
    """The file's object; None where the run has no such file, or it holds none.

    Raises:
        NotMirrored: there is one, and its bytes are not held.
    """
    ctx = run.batch.context
    row = ctx.recall(("metadata", run.path), lambda lake: read_files(lake, run.path, [_FILE]).get(_FILE))
    if row is None:
        return None
    content = content_of_file(run.path, row)
    with ctx.mirror.objects.open(content.held()) as file:
        try:
            found = json.loads(file.read(_MOST_BYTES))
        except (ValueError, RecursionError):
            return None
    return found if isinstance(found, dict) else None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31 else None


def _storage_bytes(run: RunNode, _info: Info) -> int:
    return run.batch.recall("file bytes", sum_of_files).get(run.held.run_id, 0)


RESOLVERS: Resolvers = {"Run.runInfo": _run_info, "Run.storageBytes": _storage_bytes}
