"""`Api`, `Run` and their objects: W&B's public API, answered from the mirror and never from the network.

Words: a **run path** is `entity/project/run_id`; the **overlay** is what waits in the outbox, shown over what the lake
holds; **pending** operations are those that the server does not have yet.

It reads `store` and `outbox` and writes to `outbox` alone. It knows no HTTP and no SQL, and opens no socket. Members
carry the SDK's names and behave as the SDK's do, except where the SDK is wrong; their docstrings say where.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mirror.run.api import Api
    from mirror.run.artifacts import Artifact
    from mirror.run.console import ConsoleLogLine, ConsoleLogs
    from mirror.run.exports import DownloadHistoryResult
    from mirror.run.files import File, Files
    from mirror.run.local import Pending
    from mirror.run.projects import Project, Projects
    from mirror.run.run import Run
    from mirror.run.run_artifacts import RunArtifacts
    from mirror.run.runs import Runs
    from mirror.run.scan import HistoryScan
    from mirror.run.summary import Summary
    from mirror.run.sweeps import Sweep, Sweeps
    from mirror.run.user import User

__all__ = [
    "Api",
    "Artifact",
    "ConsoleLogLine",
    "ConsoleLogs",
    "DownloadHistoryResult",
    "File",
    "Files",
    "HistoryScan",
    "Pending",
    "Project",
    "Projects",
    "Run",
    "RunArtifacts",
    "Runs",
    "Summary",
    "Sweep",
    "Sweeps",
    "User",
]

_MODULES = {
    "Api": "api",
    "Artifact": "artifacts",
    "ConsoleLogLine": "console",
    "ConsoleLogs": "console",
    "DownloadHistoryResult": "exports",
    "File": "files",
    "Files": "files",
    "HistoryScan": "scan",
    "Pending": "local",
    "Project": "projects",
    "Projects": "projects",
    "Run": "run",
    "RunArtifacts": "run_artifacts",
    "Runs": "runs",
    "Summary": "summary",
    "Sweep": "sweeps",
    "Sweeps": "sweeps",
    "User": "user",
}


def __getattr__(name: str) -> Any:
    """Import a part when it is asked for: to use one does not load all."""
    if name in _MODULES:
        return getattr(importlib.import_module(f"mirror.run.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
