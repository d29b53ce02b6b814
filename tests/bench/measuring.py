"""How something is measured: in turn with what it is compared with, on the clock and in seconds of CPU."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from mirror.layout import Home
from tests.mirroring import SOURCE

Some = TypeVar("Some")
CORES = os.cpu_count() or 1

COMMAND_LINE = "from mirror.start import main\nmain()\n"

# Says on standard error, last, how much memory a program had at most, in MB. `ru_maxrss` counts its parent's along.
_PEAK = """
import atexit, sys
def say_peak():
    with open("/proc/self/status") as status:
        print(int(status.read().partition("VmHWM:")[2].split()[0]) / 1024, file=sys.stderr)
atexit.register(say_peak)
"""


@dataclass(frozen=True)
class Context:
    """Where a bench works, and at which size."""

    folder: Path  # empty, and the bench's own
    is_full: bool

    def of(self, small: Some, full: Some) -> Some:
        """What belongs to the size."""
        return full if self.is_full else small


class Cost(NamedTuple):
    """What some work took."""

    wall_s: float
    cpu_s: float  # user and system, this process and the children that ended
    served_s: float  # CPU of the servers meanwhile


class Server(NamedTuple):
    """A server in a process of its own."""

    url: str
    key: str
    process: subprocess.Popen[str]

    def ask(self, line: str) -> str:
        """What it answers to a line of its standard input."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def cpu_s(self) -> float:
        """Seconds of CPU that it has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def serving(module: str, *arguments: object) -> Iterator[Server]:
    """`python -m tests.bench.servers.MODULE ARGUMENTS`, which says its address and its key, and ends with its input."""
    command = [sys.executable, "-m", f"tests.bench.servers.{module}", *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=_environment(), stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        url, key = process.stdout.readline().split()
        try:
            yield Server(url, key, process)
        finally:
            process.communicate()


def measured(work: Callable[[], object], servers: Sequence[Server] = ()) -> Cost:
    """What a call takes, with the processes that it runs."""
    gc.collect()
    served = sum(server.cpu_s() for server in servers)
    cpu, wall = _cpu_s(), time.perf_counter()
    work()
    wall_s, cpu_s = time.perf_counter() - wall, _cpu_s() - cpu
    return Cost(wall_s, cpu_s, sum(server.cpu_s() for server in servers) - served)


def _cpu_s() -> float:
    """What this process and those that it waited for have used, in microseconds where `os.times` counts hundredths."""
    used = (resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def in_turn(rounds: int, *works: Callable[[], object], servers: Sequence[Server] = ()) -> list[list[Cost]]:
    """What each work costs in each round; every second round goes the other way round."""
    costs: list[list[Cost]] = [[] for _ in works]
    for number in range(rounds):
        turns = list(zip(works, costs, strict=True))
        for work, kept in turns if number % 2 == 0 else reversed(turns):
            kept.append(measured(work, servers))
    return costs


def walls(costs: Sequence[Cost]) -> list[float]:
    """Seconds on the clock."""
    return [cost.wall_s for cost in costs]


def cpus(costs: Sequence[Cost]) -> list[float]:
    """Seconds of CPU."""
    return [cost.cpu_s for cost in costs]


def busy(*sides: Sequence[Cost]) -> str:
    """How busy the servers were on each side, as a note: at 100 % they, and not the client, are measured."""
    shares = [sum(cost.served_s for cost in side) / sum(cost.wall_s for cost in side) for side in sides]
    return "servers busy " + " / ".join(f"{share:.0%}" for share in shares)


def _environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This one, in which Python keeps bytecode, as an installed program has it."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **(more or {})}


def run(command: Sequence[object], env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A whole process, which has to succeed."""
    done = subprocess.run(list(map(str, command)), env=_environment(env), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def python(program: str, *arguments: object, env: Mapping[str, str] | None = None) -> str:
    """A program in a process of its own; its standard output."""
    return run([sys.executable, "-c", program, *arguments], env).stdout


def peak_mb(program: str, *arguments: object, env: Mapping[str, str] | None = None) -> tuple[float, str]:
    """The most memory that a program had resident in a process of its own, MB, and its standard output."""
    done = run([sys.executable, "-c", _PEAK + program, *arguments], env)
    return float(done.stderr.split()[-1]), done.stdout


def sdk_environment(server: Server, folder: Path) -> dict[str, str]:
    """The environment of a process in which the SDK speaks to a server, and keeps what it has in a folder."""
    return {
        "WANDB_BASE_URL": server.url, "WANDB_API_KEY": server.key, "WANDB_SILENT": "true", "HOME": str(folder),
        "WANDB_ERROR_REPORTING": "false", "WANDB_CACHE_DIR": str(folder / "cache"), "WANDB_DIR": str(folder),
    }  # fmt: skip


def write_config(folder: Path, url: str, **policy: object) -> None:
    """A home's configuration: one source of the server, and what of its runs is wanted."""
    wanted = "".join(f"{name} = {value}\n" for name, value in policy.items())
    text = f'[server]\nbase_url = "{url}"\n\n[[source]]\npath = "{SOURCE}"\n{wanted}'
    Home(folder).config.write_text(text, encoding="utf-8")
