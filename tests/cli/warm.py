"""A program past its imports, which forks for each command: a real process that starts in milliseconds.

`python -m tests.cli.warm DESCRIPTOR` takes requests from a socket until its other end is closed. With each come four
descriptors: what to do as JSON, and the child's standard input, output and error. Back come its id, then its status.
A request with a `script` is Python instead of the program.
"""

from __future__ import annotations

import array
import atexit
import functools
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import duckdb

import mirror.cli
from mirror.layout import Home
from mirror.store.engine.lake import Lake
from mirror.store.sql.statements import connect

PATIENCE_S = 60.0
# The interpreter looks at these while it starts, so a warm one has looked already.
LOOKED_AT = ("PYTHON", "LC_", "LANG", "COVERAGE", "MALLOC", "LD_", "TZ")


class WarmProgram:
    """The parent of commands; the test's side."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._mine, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "tests.cli.warm", str(theirs.fileno())]
            root = Path(__file__).parents[2]
            self._process = subprocess.Popen(command, env=env, cwd=root, pass_fds=[theirs.fileno()])
        self._answers = self._mine.makefile("r")

    def run(
        self, arguments: Sequence[str | bytes], env: Mapping[str, str], cwd: Path, stdin: bytes
    ) -> tuple[int, bytes, bytes]:
        """Run a command to its end; its exit code, standard output and standard error."""
        asked = {"arguments": [os.fsdecode(one) for one in arguments], "env": dict(env), "cwd": str(cwd)}
        with _file(json.dumps(asked).encode()) as request, _file(stdin) as given, _file() as out, _file() as err:
            socket.send_fds(self._mine, [b"."], [one.fileno() for one in (request, given, out, err)])
            child = int(self._answers.readline())
            killer = threading.Timer(PATIENCE_S, os.kill, [child, signal.SIGKILL])
            killer.start()
            status = int(self._answers.readline())
            killer.cancel()
            out.seek(0)
            err.seek(0)
            return os.waitstatus_to_exitcode(status), out.read(), err.read()

    @property
    def descriptor(self) -> int:
        """Of the socket, for another process that asks while this one waits."""
        return self._mine.fileno()

    def close(self) -> None:
        """End it."""
        self._answers.close()
        self._mine.close()
        self._process.wait(PATIENCE_S)


def _file(content: bytes = b"") -> IO[bytes]:
    made = tempfile.TemporaryFile()  # noqa: SIM115 -- the caller's `with` closes it
    made.write(content)
    made.seek(0)
    return made


def looked_at(env: Mapping[str, str]) -> dict[str, str]:
    """The variables that a running interpreter cannot be given any more."""
    return {name: value for name, value in env.items() if name.startswith(LOOKED_AT)}


@functools.cache
def warm_program() -> WarmProgram:
    """The one of this worker, started when it is first needed."""
    program = WarmProgram({"PATH": os.environ.get("PATH", ""), "PYTHONWARNINGS": "error", **_path()})
    atexit.register(program.close)
    return program


def _path() -> dict[str, str]:
    return {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}


def can_serve(env: Mapping[str, str]) -> bool:
    """Whether a command in this environment may be forked; what the interpreter itself would notice may not."""
    return looked_at(env) == {"PYTHONWARNINGS": "error", **_path()}


# ---------------------------------------------------------------- in the warm process


def main() -> None:
    """Serve requests; in a child, be the program."""
    _warm_up()
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        while asked := _receive(requests):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python 3.12 on: the libraries' threads are not forked, as we know
                child = os.fork()
            if child == 0:
                break
            for descriptor in asked:
                os.close(descriptor)
            requests.sendall(f"{child}\n".encode())
            _, status = os.waitpid(child, 0)
            requests.sendall(f"{status}\n".encode())
        else:
            return
    script = _become(asked)
    _run_to_the_end(mirror.cli.main if script is None else functools.partial(_run_script, script))


def _warm_up() -> None:
    """Import every command, and load DuckDB's extensions by using them."""
    for name in mirror.cli.COMMANDS:
        importlib.import_module(f"mirror.cli.commands.{name}")
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        with Lake(home, deployment="nobody"):
            pass
        connect(home).close()
    duckdb.close()  # the library's own connection has a thread, for which a child would wait in vain
    gc.freeze()  # children share these pages


def _receive(requests: socket.socket) -> list[int]:
    """The descriptors of the next request; none when there is none."""
    size = array.array("i").itemsize
    _, ancillary, _, _ = requests.recvmsg(1, socket.CMSG_SPACE(4 * size))
    received = array.array("i")
    for _, _, data in ancillary:
        received.frombytes(data[: len(data) - len(data) % size])
    return list(received)


def _run_script(script: str) -> None:
    exec(compile(script, "<script>", "exec"), {"__name__": "__main__"})


def _run_to_the_end(program: Callable[[], None]) -> None:
    """Run and end as the interpreter does, but for taking itself apart, which lasts longer than most commands."""
    try:
        program()
    except SystemExit as end:
        status = end.code
    else:
        status = 0
    assert status is None or isinstance(status, int)
    threading._shutdown()  # type: ignore[attr-defined]
    gc.collect()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status or 0)


def _become(descriptors: Sequence[int]) -> str | None:
    """Take the place, the environment and the standard streams that were asked for; the script, where one is."""
    request, *streams = descriptors
    with os.fdopen(request, "rb") as file:
        asked: dict[str, Any] = json.load(file)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    if os.isatty(1):  # the stream that there is was opened on a file, in which one can seek
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    sys.argv = ["wandb-mirror", *asked["arguments"]]
    return asked.get("script")


if __name__ == "__main__":
    main()
