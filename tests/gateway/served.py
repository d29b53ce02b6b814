"""A gateway in a process of its own, as a person starts it, but for its imports (`tests.cli.warm`)."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from mirror.layout import Home
from tests.cli.warm import warm_program

COMMAND = (sys.executable, "-m", "mirror.cli")


@dataclass(frozen=True)
class Served:
    """Where it answers, and its key."""

    url: str
    key: str
    pid: int

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole body that answers a document."""
        found: dict[str, Any] = self.post({"query": query, "variables": variables}).json()
        return found

    def post(self, body: Any, **headers: str) -> httpx.Response:
        """A request with the key."""
        return httpx.post(f"{self.url}/graphql", json=body, auth=("api", self.key), headers=headers, timeout=30)


def environment(home: Home) -> dict[str, str]:
    """Nothing of this machine but what a process needs to start, and the home."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "HOME") if name in os.environ}
    return {**kept, "WANDB_MIRROR_HOME": str(home.root), "PYTHONWARNINGS": "error"}


@contextlib.contextmanager
def served(home: Home, *options: str, log: Path | None = None) -> Iterator[Served]:
    """`wandb-mirror serve` on a free port, until the block ends; it must have said nothing of a failure."""
    with contextlib.ExitStack() as opened:
        errors = opened.enter_context((log or home.root.with_name("gateway.log")).open("w+"))
        given, gives = os.pipe()
        prints, printed = os.pipe()
        opened.callback(os.close, gives)  # standard input does not end before
        process = warm_program().start(
            ["serve", "--listen", "127.0.0.1:0", *options], environment(home), home.root.parent,
            stdin=given, stdout=printed, stderr=errors.fileno(),
        )  # fmt: skip
        os.close(given)
        os.close(printed)
        try:
            with os.fdopen(prints) as said:
                lines = [shlex.split(said.readline())[1] for _ in range(2)]
                url, key = (line.partition("=")[2] for line in lines)
                yield Served(url=url, key=key, pid=process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(20)
            errors.seek(0)
            told = errors.read()
        assert "Traceback" not in told, told
        assert "defect" not in told, told
        assert status == 0, told


def resident_bytes(pid: int) -> int:
    """Memory that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1]) * 1024
