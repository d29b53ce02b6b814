"""`exec` and `serve` as a person types them: a command reads the mirror, and ends as it would have ended alone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mirror.layout import Home
from tests.cli.warm import warm_program
from tests.gateway.conftest import RUNS
from tests.gateway.served import COMMAND, environment, served
from tests.mirroring import Mirror

SCRIPT = """
import os, wandb
api = wandb.Api()
runs = api.runs("contract-team/local proj")
print(len(runs), runs[0].name, len(os.environ["WANDB_API_KEY"]))
"""


def typed(home: Home, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    env = environment(home) | {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false", "PYTHONWARNINGS": "ignore"}
    command = [*COMMAND, "exec", *words]
    return subprocess.run(command, env=env | more, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def proxy() -> Iterator[str]:
    """The address of a proxy that nobody may go through: it accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_an_unmodified_script_reads_the_mirror(mirrored: Mirror, recorded: object) -> None:
    done = typed(mirrored.home, "--", sys.executable, "-c", SCRIPT)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{RUNS} run 000 é 40\n", "")


def test_a_proxy_does_not_come_between(mirrored: Mirror, recorded: object, proxy: str) -> None:
    done = typed(mirrored.home, "--", sys.executable, "-c", SCRIPT, http_proxy=proxy, HTTP_PROXY=proxy)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{RUNS} run 000 é 40\n", "")


def test_what_a_proxy_is_kept_out_of_stays_so(mirrored: Mirror) -> None:
    shown = typed(mirrored.home, "sh", "-c", 'echo "$NO_PROXY" "$no_proxy"', NO_PROXY="a.example", no_proxy="b.example")
    assert shown.stdout.split() == ["a.example,b.example,127.0.0.1,localhost"] * 2


def test_serve_prints_what_keeps_a_proxy_out_where_there_is_one(mirrored: Mirror, proxy: str) -> None:
    env = environment(mirrored.home) | {"http_proxy": proxy}
    words = [*COMMAND, "serve", "--listen", "127.0.0.1:0", "--until-stdin-ends"]
    done = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    names = [line.split("=")[0] for line in done.stdout.splitlines()]
    assert names == ["export WANDB_BASE_URL", "export WANDB_API_KEY", "export NO_PROXY", "export no_proxy"]


@pytest.mark.parametrize(("words", "status"), [("exit 7", 7), ("kill -TERM $$", -signal.SIGTERM)])
def test_the_commands_own_end_is_the_end(words: str, status: int, mirrored: Mirror) -> None:
    assert typed(mirrored.home, "sh", "-c", words).returncode == status


@pytest.mark.parametrize("name", ["no-such-program", ""])
def test_what_cannot_be_started_ends_as_in_a_shell(name: str, mirrored: Mirror) -> None:
    done = typed(mirrored.home, "--", name)
    assert (done.returncode, done.stdout) == (127, "")
    assert done.stderr.startswith(f"error: there is no command '{name}'\n")


@pytest.mark.parametrize("name", ["SIGPIPE", "SIGXFSZ"])
def test_a_command_is_ended_by_the_signals_that_python_ignores(name: str, mirrored: Mirror) -> None:
    number = getattr(signal, name)
    assert typed(mirrored.home, "sh", "-c", f"kill -{name[3:]} $$").returncode == -number


@pytest.mark.parametrize("command", ["exec", "serve"])
def test_a_home_that_is_no_mirror_is_not_served(command: str, tmp_path: Path) -> None:
    words = [*COMMAND, command, *(["true"] if command == "exec" else [])]
    env = environment(Home(tmp_path / "none"))
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (5, "")
    assert "is not a mirror yet\nhint: run `wandb-mirror init" in done.stderr


@pytest.mark.parametrize("command", ["init", "pull --source team/proj", "daemon", "maintain"])
def test_what_needs_the_server_asks_no_gateway(command: str, mirrored: Mirror) -> None:
    within = typed(mirrored.home, "--", *COMMAND, *command.split())
    with served(mirrored.home) as gateway:
        gateway.ask("{ __typename }")  # it answers
        env = environment(mirrored.home) | {"WANDB_BASE_URL": gateway.url, "WANDB_API_KEY": gateway.key}
        beside, _, errors = warm_program().run(command.split(), env, Path.cwd(), b"")
    for status, said in ((within.returncode, within.stderr), (beside, errors.decode())):
        assert status == 3
        assert "WANDB_BASE_URL leads to a gateway of a mirror" in said
        assert "alias" not in said


def test_what_needs_no_server_goes_on_beside_a_gateway(mirrored: Mirror) -> None:
    assert typed(mirrored.home, "--", *COMMAND, "runs").returncode == 0


CLOSING = """
import os, time, wandb
os.closerange(3, 100)
time.sleep(1)
print(len(wandb.Api().runs("contract-team/local proj")))
"""


def test_a_command_that_closes_what_it_was_handed_is_answered(mirrored: Mirror, recorded: object) -> None:
    done = typed(mirrored.home, "--", sys.executable, "-c", CLOSING)
    assert (done.returncode, done.stdout) == (0, f"{RUNS}\n"), done.stderr


LATER = "import os, urllib.request as r; print(r.urlopen(os.environ['WANDB_BASE_URL'] + '/ready').status, flush=True)"


def test_what_a_command_leaves_running_is_answered(mirrored: Mirror, tmp_path: Path) -> None:
    said = tmp_path / "said"
    typed(mirrored.home, "sh", "-c", f'(sleep 1; "$0" -c "$1") >{said} 2>&1 &', sys.executable, LATER)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not said.read_text():
        time.sleep(0.05)
    assert said.read_text() == "200\n"


@pytest.mark.skipif(os.name == "nt", reason="signals of a terminal are POSIX's")
def test_ctrl_c_at_any_time_of_the_start_shows_no_traceback(mirrored: Mirror) -> None:
    program = Path(sys.executable).with_name("wandb-mirror")
    env = environment(mirrored.home) | {"PYTHONWARNINGS": "ignore"}  # no word of the socket that is left open
    for delay_s in (0.04, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3):  # Python itself begins within the first ones
        process = subprocess.Popen(
            [program, "exec", "sleep", "30"], env=env, start_new_session=True,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        time.sleep(delay_s)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=20)
        assert process.returncode in (130, -signal.SIGINT)
        assert "mirror/cli" not in said


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
