"""Pulls, maintenance and repairs in children of a process that is past its imports: killed at a time, or short of room.
The test's side."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from typing import Any

from mirror.layout import Home
from mirror.sandbox import Sandbox


class Forker:
    """A process that works on the mirror of a project in children of its own.

    Args:
        sandbox: the server.
        home: where it is mirrored to.
        source: `entity/project`; of an "add" the folder.
        policy: of the source.
        settings: of the pull.
    """

    def __init__(self, sandbox: Sandbox, home: Home, source: str, *, policy: Any = None, settings: Any = None) -> None:
        self._said: str | None = None
        asked = {
            "url": sandbox.url, "api_key": sandbox.api_key, "home": str(home.root), "source": source,
            "policy": policy or {}, "settings": settings or {},
        }  # fmt: skip
        command = [sys.executable, "-m", "tests.forker", json.dumps(asked)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
        )

    def pull(self, *, kill_after_s: float | None = None, file_size: int = 0) -> int:
        """One pull; the exit code, or minus the signal."""
        return self.do("pull", kill_after_s=kill_after_s, file_size=file_size)

    def do(self, job: str, *, kill_after_s: float | None = None, file_size: int = 0) -> int:
        """One "pull", "maintain", "repair" or "add"; the exit code, or minus the signal."""
        given, taken = self._process.stdin, self._process.stdout
        assert given is not None
        assert taken is not None
        given.write(f"{job} {file_size}\n")
        child = int(taken.readline())
        killer = None
        if kill_after_s is not None:
            killer = threading.Timer(kill_after_s, _kill, [child])
            killer.start()
        status = int(taken.readline())
        if killer is not None:
            killer.cancel()
        return os.waitstatus_to_exitcode(status)

    def close(self) -> str:
        """End it; what it said of errors."""
        if self._said is None:
            _, self._said = self._process.communicate()
        return self._said


def _kill(child: int) -> None:
    try:
        os.kill(child, signal.SIGKILL)
    except ProcessLookupError:
        return
