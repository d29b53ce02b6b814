"""`exec` and `serve` as a person types them: a command reads the mirror, and ends as it would have ended alone."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time

import pytest

from mirror.layout import Home
from tests.gateway.conftest import RUNS
from tests.gateway.served import COMMAND, environment
from tests.mirroring import Mirror

SCRIPT = """
import os, wandb
api = wandb.Api()
runs = api.runs("contract-team/local proj")
print(len(runs), runs[0].name, len(os.environ["WANDB_API_KEY"]))
"""


def typed(home: Home, *words: str) -> subprocess.CompletedProcess[str]:
    env = environment(home) | {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false", "PYTHONWARNINGS": "ignore"}
    return subprocess.run([*COMMAND, "exec", *words], env=env, capture_output=True, text=True, timeout=60, check=False)


def test_an_unmodified_script_reads_the_mirror(mirrored: Mirror, recorded: object) -> None:
    done = typed(mirrored.home, "--", sys.executable, "-c", SCRIPT)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{RUNS} run 000 é 40\n", "")


@pytest.mark.parametrize(("words", "status"), [("exit 7", 7), ("kill -TERM $$", -signal.SIGTERM)])
def test_the_commands_own_end_is_the_end(words: str, status: int, mirrored: Mirror) -> None:
    assert typed(mirrored.home, "sh", "-c", words).returncode == status


def test_what_cannot_be_started_ends_as_in_a_shell(mirrored: Mirror) -> None:
    done = typed(mirrored.home, "--", "no-such-program")
    assert (done.returncode, done.stdout) == (127, "")
    assert done.stderr.startswith("error: there is no command 'no-such-program'\n")


def test_the_gateway_ends_with_the_command(mirrored: Mirror) -> None:
    done = typed(mirrored.home, "sh", "-c", 'echo "$WANDB_BASE_URL"')
    port = int(done.stdout.strip().rpartition(":")[2])
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.05)
    raise AssertionError("the gateway goes on")
