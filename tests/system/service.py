"""A daemon in a real process, started as a service manager would, with a socket that hears what it tells."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mirror.sandbox import Sandbox
from tests.cli.conftest import Cli
from tests.cli.warm import Started, can_serve, warm_program

PATIENCE_S = 60.0
# What a daemon looks for after some seconds, it looks for sooner: what is not to be waited for is there or is not.
SOONER = """
import mirror.cli
from mirror.daemon import gateway, heartbeat, listening
from mirror.daemon.watch_folder import look
from mirror.daemon.workers import delivering, offline
from mirror.replay import deliveries

gateway.AGAIN_S = offline.SEARCH_S = deliveries.GOES_ON_S = 2.0
heartbeat.TELL_S = delivering.RETRY_LOOK_S = 1.0
listening.AGAIN_S = look.AWAY_S = 0.5
mirror.cli.main()
"""
BRISK = "[daemon]\nprobe_first_s = 0.1\nprobe_longest_s = 0.5\nstop_within_s = 20.0\n"


def wait_for(what: str, condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> float:
    """Poll until a condition holds; how long that took, seconds."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > patience_s:
            raise AssertionError(f"not within {patience_s:.0f} s: {what}")
        time.sleep(0.02)
    return time.monotonic() - started


class Service:
    """One daemon, which spares its imports and looks more often.

    Args:
        cli: its home and its environment.
        env: more variables.
        is_cold: it spares nothing, and begins as a service manager begins it.
        before: a program that is run in its process first.
    """

    process: subprocess.Popen[bytes] | Started

    def __init__(self, cli: Cli, env: Mapping[str, str], *, is_cold: bool = False, before: str = "") -> None:
        self.cli = cli
        self._folder = tempfile.TemporaryDirectory()  # a short path, which an address needs
        notify = str(Path(self._folder.name) / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(notify)
        self._socket.settimeout(0.2)
        self._heard: list[str] = []
        self._closing = threading.Event()
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()
        self.log_path = cli.folder / "log"
        told = {"NOTIFY_SOCKET": notify, **env}
        with self.log_path.open("wb") as log, Path(os.devnull).open("rb") as nothing:
            begun = replace(cli, env={**cli.env, **told})
            if is_cold or not can_serve(begun.environment()):
                self.process = begun.start("daemon", stderr=log, stdout=log)
            else:
                self.process = warm_program().start(
                    ["daemon"], begun.environment(), cli.folder,
                    stdin=nothing.fileno(), stdout=log.fileno(), stderr=log.fileno(),
                    script=f"{before}{SOONER}",
                )  # fmt: skip

    @property
    def heard(self) -> list[str]:
        """Every line that the service manager was told so far."""
        return list(self._heard)

    def _listen(self) -> None:
        """As a service manager does: always, for a full socket takes nothing more."""
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                self._heard += self._socket.recv(65536).decode().splitlines()

    @property
    def log_text(self) -> str:
        """Everything that it wrote."""
        return self.log_path.read_text(encoding="utf-8")

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines about one event."""
        return [line for line in self.all_events() if line["event"] == name]

    def all_events(self) -> list[dict[str, Any]]:
        """All log lines."""
        whole = [line for line in self.log_text.splitlines(keepends=True) if line.startswith("{") and line[-1] == "\n"]
        return [json.loads(line) for line in whole]

    @property
    def status(self) -> Any:
        """`status.json`."""
        return json.loads((self.cli.home / "status.json").read_bytes())

    def wait_ready(self) -> None:
        """Until it said so."""
        self.wait_heard("READY=1")

    def wait_heard(self, *lines: str) -> None:
        """Until the service manager was told each of these, or something that begins so."""
        for line in lines:
            wait_for(f"{line} in {self.heard}\n{self.log_text}", lambda line=line: self._has(line))  # type: ignore[misc]

    def _has(self, beginning: str) -> bool:
        assert self.process.poll() is None or beginning == "STOPPING=1", self.log_text
        return any(line.startswith(beginning) for line in self.heard)

    def wait_event(self, name: str, count: int = 1) -> dict[str, Any]:
        """Until an event was logged so often; the last line about it."""
        wait_for(f"{name} in the log:\n{self.log_text}", lambda: len(self.events(name)) >= count)
        return self.events(name)[-1]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        """End it however it is."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE_S)
        self._closing.set()
        self._listener.join()
        self._socket.close()
        self._folder.cleanup()


@contextmanager
def serving(
    folder: Path, sandbox: Sandbox, *sources: str, more: str = "", is_cold: bool = False, **env: str
) -> Iterator[Service]:
    """A daemon of `team/proj`, or other sources, that is ready."""
    cli = Cli(folder=folder).at(sandbox).configure(*(sources or ("team/proj",)), more=f"{BRISK}{more}")
    service = Service(cli, env, is_cold=is_cold)
    try:
        yield service
        assert sandbox.api_key not in service.log_text
        assert sandbox.api_key not in "\n".join(service.heard)
        assert "Traceback (most" not in service.log_text.replace("\\n", "\n"), service.log_text
    finally:
        service.close()
