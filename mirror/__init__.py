"""wandb-mirror: an offline-first mirror of Weights & Biases.

`mirror.Api()` answers as `wandb.Api()` does, from the local mirror and with no network; `mirror.connect()` opens it for
SQL; the command `wandb-mirror` fills it. Every error is a `MirrorError` with a hint and an exit code (`mirror.errors`).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mirror.errors import (
    CommError,
    IncompleteRunHistoryError,
    MirrorError,
    NotFound,
    NotMirrored,
    Refused,
    RunNotFoundError,
    ServerError,
    StoreError,
    Unreachable,
)

if TYPE_CHECKING:
    from mirror.run.api import Api
    from mirror.run.artifacts.artifact import Artifact
    from mirror.run.console import ConsoleLogLine, ConsoleLogs
    from mirror.run.files import File, Files
    from mirror.run.history.exports import DownloadHistoryResult
    from mirror.run.history.scan import HistoryScan
    from mirror.run.run import Run
    from mirror.run.runs import Runs
    from mirror.run.sql import connect
    from mirror.run.summary import Summary
    from mirror.run.sweeps import Sweep

# Imported when they are asked for, so that `wandb-mirror --help` does not wait for the database.
_PLACES = {
    "Api": "mirror.run.api",
    "Artifact": "mirror.run.artifacts.artifact",
    "ConsoleLogLine": "mirror.run.console",
    "ConsoleLogs": "mirror.run.console",
    "DownloadHistoryResult": "mirror.run.history.exports",
    "File": "mirror.run.files",
    "Files": "mirror.run.files",
    "HistoryScan": "mirror.run.history.scan",
    "Run": "mirror.run.run",
    "Runs": "mirror.run.runs",
    "Summary": "mirror.run.summary",
    "Sweep": "mirror.run.sweeps",
    "connect": "mirror.run.sql",
}

__all__ = [
    "Api",
    "Artifact",
    "CommError",
    "ConsoleLogLine",
    "ConsoleLogs",
    "DownloadHistoryResult",
    "File",
    "Files",
    "HistoryScan",
    "IncompleteRunHistoryError",
    "MirrorError",
    "NotFound",
    "NotMirrored",
    "Refused",
    "Run",
    "RunNotFoundError",
    "Runs",
    "ServerError",
    "StoreError",
    "Summary",
    "Sweep",
    "Unreachable",
    "connect",
]


def __getattr__(name: str) -> Any:
    """A public name, imported now."""
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
