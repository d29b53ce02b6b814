"""Every process of a run is known by a mark in its environment, and ended by its id.

The SDK starts its service in a session of its own, so neither the parent nor the process group tells what is ours.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

MARK = "WANDB_MIRROR_UPSTREAM_RUN"


def marked(mark: str, proc: Path = Path("/proc")) -> list[int]:
    """Ids of the living processes whose environment holds `MARK=mark`; none on systems without /proc."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return [pid for pid in found if pid != os.getpid()]


def end_marked(mark: str) -> int:
    """Kill them; returns how many there were."""
    pids = marked(mark)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return len(pids)
