"""Pulls, maintenance and repairs in children of a process that is past its imports: killed at a time, or short of room.
The test's side."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
from typing import Any

from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.cli.warm import WarmScript, module


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
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 -- closed with the process
        self._process = WarmScript(module("tests.forker"), json.dumps(asked), stderr=self._errors.fileno())

    def pull(self, *, kill_after_s: float | None = None, file_size: int = 0) -> int:
        """One pull; the exit code, or minus the signal."""
        return self.do("pull", kill_after_s=kill_after_s, file_size=file_size)

    def do(self, job: str, *, kill_after_s: float | None = None, file_size: int = 0) -> int:
        """One "pull", "maintain", "repair" or "add"; the exit code, or minus the signal."""
        self._process.say(f"{job} {file_size}")
        child = int(self._process.hear())
        killer = None
        if kill_after_s is not None:
            killer = threading.Timer(kill_after_s, _kill, [child])
            killer.start()
        status = int(self._process.hear())
        if killer is not None:
            killer.cancel()
        return os.waitstatus_to_exitcode(status)

    def close(self) -> str:
        """End it; what it said of errors."""
        if self._said is None:
            self._process.close()
            with self._errors:
                self._errors.seek(0)
                self._said = self._errors.read()
        return self._said


def _kill(child: int) -> None:
    try:
        os.kill(child, signal.SIGKILL)
    except ProcessLookupError:
        return
