"""The processes of a story, as the story holds them: daemons one after the other, hands, eyes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.cli.conftest import Cli
from tests.cli.warm import Started, WarmScript, module, warm_program

ROOT = Path(__file__).parents[3]
PATIENCE_S = 60.0


def environment(folder: Path, api_key: str) -> dict[str, str]:
    """Of a machine on which nothing but the key is set."""
    cli = replace(Cli(folder=folder), env={"WANDB_API_KEY": api_key, "TZ": "UTC"})
    return cli.environment()


def _script(name: str) -> str:
    return f"import time\ntime.tzset()\n{module(f'tests.daemon.soak.{name}')}"


class Lives:
    """The daemon's processes; at most one lives.

    Args:
        clock: the file of the shared clock.
        home: of the mirror.
        env: of the processes.
        folder: where each life logs into a file of its own.
    """

    def __init__(self, clock: Path, home: Path, env: Mapping[str, str], folder: Path) -> None:
        self._arguments = str(clock), str(home)
        self._env = env
        self._folder = folder
        self._process: Started | None = None
        self._asked_to_stop = False
        self.count = 0
        self.ends: list[int] = []  # exit codes

    @property
    def pid(self) -> int | None:
        """Of the one that lives."""
        return None if self._process is None else self._process.pid

    def log_path(self, life: int) -> Path:
        """What a life said; the first one is 1."""
        return self._folder / f"log.{life}"

    def start(self) -> None:
        """A new life."""
        assert self._process is None
        self.count += 1
        self._asked_to_stop = False
        with self.log_path(self.count).open("w") as log, Path(os.devnull).open("rb") as nothing:
            self._process = warm_program().start(
                self._arguments, self._env, ROOT, stdin=nothing.fileno(), stdout=log.fileno(), stderr=log.fileno(),
                script=_script("daemon_process"),
            )  # fmt: skip

    def look(self) -> None:
        """Note that a life ended, if it was asked to; others may not end."""
        process = self._process
        if process is not None and process.poll() is not None:
            said = self.log_path(self.count).read_text()
            assert self._asked_to_stop, f"the daemon ended by itself ({process.returncode}):\n{said}"
            assert process.returncode == 0, f"exit status {process.returncode}:\n{said}"
            self.ends.append(process.returncode)
            self._process = None

    def has_ended(self) -> bool:
        """Whether no life is left."""
        self.look()
        return self._process is None

    def signal(self, number: int) -> None:
        """Send a signal; a kill is waited for."""
        process = self._process
        assert process is not None
        process.send_signal(number)
        if number == signal.SIGTERM:
            self._asked_to_stop = True
        elif number == signal.SIGKILL:
            self.ends.append(process.wait(PATIENCE_S))
            self._process = None

    @property
    def is_stopping(self) -> bool:
        """Whether the one that lives was asked to end."""
        return self._process is not None and self._asked_to_stop

    def is_ready(self) -> bool:
        """Whether the one that lives has said so."""
        return self._process is not None and '"event": "ready"' in self.log_path(self.count).read_text()

    def close(self) -> None:
        """End it however it is."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE_S)


class Hands:
    """A process that queues what it is told to.

    Args:
        home: of the mirror.
        env: of the process.
        errors: where it complains.
    """

    def __init__(self, home: Path, env: Mapping[str, str], errors: Path) -> None:
        self._errors = errors
        with errors.open("w") as log:
            self._script = WarmScript(_script("hands"), str(home), env=env, stderr=log.fileno())

    def do(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Have a command done; what was acknowledged."""
        self._script.say(json.dumps(command))
        line = self._script.hear()
        assert line, f"{command}\n{self._errors.read_text()}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End it."""
        self._script.close()


class Eyes:
    """A process that reads until it is closed.

    Args:
        home: of the mirror.
        what: "run" or "sql".
        seed: of its choices.
        env: of the process.
        errors: where it complains.
    """

    def __init__(self, home: Path, what: str, seed: int, env: Mapping[str, str], errors: Path) -> None:
        self._errors = errors
        with errors.open("w") as log:
            self._script = WarmScript(_script("eyes"), str(home), what, str(seed), env=env, stderr=log.fileno())
        self._process = self._script.process

    def look(self) -> None:
        """It must live."""
        assert self._process.poll() is None, self._errors.read_text()

    def close(self) -> int:
        """End it; how often it looked."""
        said = self._script.close()
        assert self._process.returncode == 0, self._errors.read_text()
        return int(said)

    def kill(self) -> None:
        """End it however it is."""
        if self._process.poll() is None:
            self._process.kill()
            self._script.close()
