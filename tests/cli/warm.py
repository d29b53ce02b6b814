"""A program past its imports, which forks for each command: a real process that starts in milliseconds.

`python -m tests.cli.warm DESCRIPTOR` takes requests from a socket until its other end is closed. With each come four
descriptors: what to do as JSON, and the child's standard input, output and error. Back come its id, then its status.
With a fifth, a pipe, both come through that, and the next request is taken meanwhile.
A request with a `script` is Python instead of the program.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import duckdb
import pytest

import mirror.cli
from mirror.api.transport import connection
from mirror.cluster.bucket import Bucket
from mirror.layout import Home
from mirror.store.engine.lake import Lake
from mirror.store.sql.statements import connect
from mirror.store_settings import StoreSettings

PATIENCE_S = 60.0
# What commands import when they go on to pull, deliver or serve.
PACKAGES = ("mirror.api", "mirror.pull", "mirror.replay", "mirror.daemon", "mirror.gateway")
# What the libraries import when they are first used.
IMPORTED_LATE = (
    "anyio._backends._asyncio", "boto3", "botocore.config", "certifi", "click._textwrap", "encodings.utf_8_sig",
    "httpcore", "psycopg",
)  # fmt: skip
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
        self,
        arguments: Sequence[str | bytes],
        env: Mapping[str, str],
        cwd: Path,
        stdin: bytes,
        *,
        script: str | None = None,
    ) -> tuple[int, bytes, bytes]:
        """Run a command, or a script, to its end; its exit code, standard output and standard error."""
        named = [os.fsdecode(one) for one in arguments]
        asked = {"arguments": named, "env": dict(env), "cwd": str(cwd), "script": script}
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

    def start(
        self,
        arguments: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        *,
        stdin: int,
        stdout: int,
        stderr: int,
        script: str | None = None,
    ) -> Started:
        """Leave a command, or a script, running; it has the three descriptors as its standard streams."""
        asked = {"arguments": list(arguments), "env": dict(env), "cwd": str(cwd), "script": script}
        told, tells = os.pipe()
        with _file(json.dumps(asked).encode()) as request:
            socket.send_fds(self._mine, [b"."], [request.fileno(), stdin, stdout, stderr, tells])
        os.close(tells)
        return Started(os.fdopen(told, "rb", buffering=0))

    @property
    def descriptor(self) -> int:
        """Of the socket, for another process that asks while this one waits."""
        return self._mine.fileno()

    def close(self) -> None:
        """End it."""
        self._answers.close()
        self._mine.close()
        self._process.wait(PATIENCE_S)


class Started:
    """A command that runs, as `subprocess.Popen` has it.

    Args:
        told: where its id comes, and its status when it ends.
    """

    def __init__(self, told: IO[bytes]) -> None:
        self.returncode: int | None = None
        self._told = told
        self._read = b""
        self.pid = self._next(PATIENCE_S) or 0
        assert self.pid, "the warm program started nothing"

    def poll(self) -> int | None:
        """The exit code, or minus the signal; None while it runs."""
        if self.returncode is None and (status := self._next(0)) is not None:
            self.returncode = os.waitstatus_to_exitcode(status)
            self._told.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The same at its end.

        Raises:
            subprocess.TimeoutExpired: it runs on.
        """
        if self.returncode is None and (status := self._next(timeout)) is not None:
            self.returncode = os.waitstatus_to_exitcode(status)
            self._told.close()
        if self.returncode is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def _next(self, timeout: float | None) -> int | None:
        """The next number that is told; None when none is told in time."""
        end = None if timeout is None else time.monotonic() + timeout
        while b"\n" not in self._read:
            left = None if end is None else max(0.0, end - time.monotonic())
            if not select.select([self._told], [], [], left)[0]:
                return None
            piece = self._told.read(64)
            assert piece, "whoever waits for the command is gone"
            self._read += piece
        line, _, self._read = self._read.partition(b"\n")
        return int(line)


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


def run_script(script: str, *arguments: str) -> tuple[int, str, str]:
    """Run Python past the program's imports; its exit code, or minus the signal, its output and its errors."""
    status, out, err = warm_program().run(arguments, os.environ, Path.cwd(), b"", script=script)
    return status, out.decode(), err.decode()


def module(name: str) -> str:
    """The script that does what `python -m NAME` does."""
    return f"import runpy\nrunpy.run_module({name!r}, run_name='__main__', alter_sys=True)"


class WarmScript:
    """A script that runs past the program's imports, with pipes to it and from it.

    Args:
        script: Python.
        arguments: its own.
        env: its whole environment; None: that of this process.
        stderr: the descriptor of its errors; as a rule they are this process's.
    """

    def __init__(self, script: str, *arguments: str, env: Mapping[str, str] | None = None, stderr: int = 2) -> None:
        taken, given = os.pipe()
        came, told = os.pipe()
        self.process = warm_program().start(
            arguments,
            os.environ if env is None else env,
            Path.cwd(),
            stdin=taken,
            stdout=told,
            stderr=stderr,
            script=script,
        )
        os.close(taken)
        os.close(told)
        self._given, self._came = os.fdopen(given, "w", buffering=1), os.fdopen(came)

    def say(self, line: object) -> None:
        """Write a line to it."""
        print(line, file=self._given)

    def hear(self) -> str:
        """The next line from it; empty at its end."""
        return self._came.readline().strip()

    def close(self, last: str = "") -> str:
        """End its input, and wait for its end; what it still said.

        Args:
            last: what is written to it before.
        """
        with contextlib.suppress(BrokenPipeError), self._given:
            self._given.write(last)
        with self._came:
            said = self._came.read()
        self.process.wait(PATIENCE_S)
        return said


def can_serve(env: Mapping[str, str]) -> bool:
    """Whether a command in this environment may be forked; what the interpreter itself would notice may not."""
    return looked_at(env) == {"PYTHONWARNINGS": "error", **_path()}


# ---------------------------------------------------------------- in the warm process


def main() -> None:
    """Serve requests; in a child, be the program."""
    _warm_up()
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        while asked := _receive(requests):
            if (child := _fork()) == 0:
                break
            for descriptor in asked:
                os.close(descriptor)
            if len(asked) > 4:
                _reap()
            else:
                requests.sendall(f"{child}\n".encode())
                requests.sendall(f"{_end_of(child)}\n".encode())
        else:
            return
    if len(asked) > 4:
        tells = asked.pop()
        if child := _fork():
            for descriptor in (0, 1, 2, *asked):
                os.close(descriptor)
            os.write(tells, f"{child}\n".encode())
            os.write(tells, f"{_end_of(child)}\n".encode())
            os._exit(0)
        os.close(tells)
    script = _become(asked)
    _run_to_the_end(mirror.cli.main if script is None else functools.partial(_run_script, script))


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 on: the libraries' threads are not forked, as we know
        return os.fork()


def _end_of(child: int) -> int:
    """Wait for the end of one child; its wait status."""
    return os.waitpid(child, 0)[1]


def _reap() -> None:
    """Forget those who waited for commands that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _warm_up() -> None:
    """Import what any command imports, and load DuckDB's extensions by using them."""
    for name in mirror.cli.COMMANDS:
        importlib.import_module(f"mirror.cli.commands.{name}")
    for package in map(importlib.import_module, PACKAGES):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    for name in IMPORTED_LATE:
        importlib.import_module(name)
    connection._trust(None, None, None)
    with pytest.MonkeyPatch.context() as environment:  # what AWS says of S3
        environment.setenv("AWS_ACCESS_KEY_ID", "nobody")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        assert Bucket("s3://nowhere", StoreSettings())._client
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        with Lake(home, deployment="nobody"):
            pass
        connect(home).close()
    duckdb.close()  # the library's own connection has a thread, for which a child would wait in vain
    gc.collect()
    gc.freeze()  # children share these pages
    gc.set_threshold(20_000)  # what a command leaves is little


def _receive(requests: socket.socket) -> list[int]:
    """The descriptors of the next request; none when there is none."""
    size = array.array("i").itemsize
    _, ancillary, _, _ = requests.recvmsg(1, socket.CMSG_SPACE(5 * size))
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
    if not stat.S_ISREG(os.fstat(1).st_mode):  # the stream that there is was opened on a file, in which one can seek
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    sys.argv = ["wandb-mirror", *asked["arguments"]]
    return asked.get("script")


if __name__ == "__main__":
    main()
