"""The real program in a real process, with a home and an environment of its own.

Its imports alone take half a second, so most of these processes are forked from one that has done them (`warm`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from mirror.sandbox import Fault, Match, Sandbox
from tests.cli.warm import can_serve, warm_program
from tests.terminal import Terminal

COMMAND = (sys.executable, "-m", "mirror.cli")
INHERITED = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "SYSTEMROOT", "COVERAGE_PROCESS_START")
# Waits are cut short, since the sandbox's faults are gone at once or never. For lakes this small a second thread of
# DuckDB's only spins.
IMPATIENT = "[store]\nthreads = 1\n[server]\nretry_attempts = 2\nretry_wait_max_s = 0.01\ntimeout_s = 5.0\n"


@dataclass(frozen=True)
class Outcome:
    """What a process came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line that says what went wrong."""
        (line,) = [line for line in self.err.splitlines() if line.startswith("error: ")]
        return line

    @property
    def hint(self) -> str:
        """What to do about it: everything from `hint:` on."""
        assert "\nhint: " in f"\n{self.err}", self.err
        return self.err.partition("hint: ")[2]


@dataclass(frozen=True, kw_only=True)
class Cli:
    """Runs `wandb-mirror` as a script would."""

    folder: Path  # the user's home directory and the working directory
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """The mirror's directory."""
        return self.folder / "mirror"

    @property
    def config(self) -> Path:
        """Its configuration file."""
        return self.home / "mirror.toml"

    def environment(self) -> dict[str, str]:
        """Nothing of this machine but what a process needs to start."""
        kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
        private = {
            "HOME": str(self.folder),
            "USERPROFILE": str(self.folder),
            "NETRC": str(self.folder / ".netrc"),
            "XDG_DATA_HOME": str(self.folder / "data"),
            "WANDB_MIRROR_HOME": str(self.home),
            "PYTHONWARNINGS": "error",
        }
        return {**kept, **private, **self.env}

    def using(self, **env: str | None) -> Cli:
        """The same with other environment variables; None takes one away."""
        merged = {**self.environment(), **{name: value for name, value in env.items() if value is not None}}
        gone = [name for name, value in env.items() if value is None]
        return _Bare(folder=self.folder, env={name: value for name, value in merged.items() if name not in gone})

    def at(self, sandbox: Sandbox) -> Cli:
        """The same with the address and the key of a server."""
        return replace(self, env={**self.env, "WANDB_BASE_URL": sandbox.url, "WANDB_API_KEY": sandbox.api_key})

    def configure(self, *sources: str, more: str = "") -> Cli:
        """Write a configuration with short waits."""
        self.home.mkdir(0o700, exist_ok=True)
        named = "".join(f"[[source]]\npath = {json.dumps(source)}\n" for source in sources)
        self.config.write_text(f"{IMPATIENT}{more}{named}", encoding="utf-8")
        return self

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """A process that is left running."""
        return subprocess.Popen([*COMMAND, *arguments], env=self.environment(), cwd=self.folder, **options)

    def at_terminal(self, *arguments: str, columns: int = 80, **env: str) -> Terminal:
        """A process at a terminal of its own."""
        return Terminal([*COMMAND, *arguments], env={**self.environment(), **env}, cwd=self.folder, columns=columns)

    def __call__(self, *arguments: str | bytes, stdin: str | bytes = b"", code: int | None = None) -> Outcome:
        """Run to the end. Whatever happens, nobody is shown a traceback, and `code`, when given, is the status."""
        env, given = self.environment(), stdin.encode() if isinstance(stdin, str) else stdin
        if can_serve(env):
            status, out, err = warm_program().run(arguments, env, self.folder, given)
        else:
            command = [*COMMAND, *arguments]
            done = subprocess.run(
                command, env=env, cwd=self.folder, input=given, capture_output=True, timeout=60, check=False
            )
            status, out, err = done.returncode, done.stdout, done.stderr
        outcome = Outcome(status, out.decode(), err.decode())
        if "WANDB_MIRROR_DEBUG" not in self.env:
            assert "Traceback" not in outcome.err, outcome.err
        assert code is None or outcome.code == code, f"exit status {outcome.code}\n{outcome.out}\n{outcome.err}"
        return outcome

    def fails(self, code: int, *arguments: str | bytes, stdin: str | bytes = b"") -> Outcome:
        """Run what must fail: the status, nothing on standard output, one error line and a hint."""
        outcome = self(*arguments, stdin=stdin, code=code)
        assert outcome.out == "", outcome.out
        assert outcome.error, outcome.err
        assert outcome.hint.strip(), outcome.err
        return outcome


class _Bare(Cli):
    """An environment that is given whole."""

    def environment(self) -> dict[str, str]:
        return dict(self.env)


def fill(sandbox: Sandbox) -> None:
    """The runs that most tests here ask about."""
    state = sandbox.state
    state.add_run(
        "team",
        "proj",
        "r1",
        display_name="first [bold]run[/bold] é",
        config={"lr": 0.1, "seed": 2**60 + 1, "net.depth/x": {"layers": [1, 2]}},
        summary={"loss": 0.123456789012345, "big": 2**63 + 5},
        tags=["base", "good"],
        group="a",
        job_type="train",
        notes="line 1\nline 2",
        system_metrics={"system.gpu.0.temp": 61.5},
        created_at="2026-01-01T00:00:00Z",
    )
    state.add_run(
        "team",
        "proj",
        "r2",
        config={"lr": 0.2},
        summary={"loss": float("nan"), "best": float("-inf"), "worst": float("inf")},
        tags=["base"],
        group="b",
        state="crashed",
        created_at="2026-01-02T00:00:00Z",
    )
    state.add_run(
        "team", "proj", "r3", config={"lr": 0.3}, summary={"loss": 3}, state="running",
        created_at="2026-01-03T00:00:00Z",
    )  # fmt: skip
    state.add_run("team", "other", "o1", created_at="2026-01-04T00:00:00Z")


def broken(run_id: str) -> Fault:
    """Whatever shows the run with its documents fails; that it exists can still be listed."""
    return Fault.graphql_error(
        "this run is broken", match=Match(kind="graphql", contains_run=run_id, operation="MirrorRuns")
    )


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """A machine on which nothing was set up yet, and no key is known."""
    return Cli(folder=tmp_path)


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    """One server for a module, with a few runs."""
    with Sandbox.start() as sandbox:
        fill(sandbox)
        yield sandbox


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A mirror of `team/*`, pulled once by each worker, and a server that is there. No test changes either."""
    with Sandbox.start() as sandbox:
        fill(sandbox)
        cli = Cli(folder=tmp_path_factory.mktemp("filled")).at(sandbox).configure("team/*")
        cli("pull", code=0)
        yield cli


@dataclass(frozen=True, kw_only=True)
class Editor:
    """A mirror with an outbox of its own, beside a server that tests of a module share: each takes runs of its own."""

    cli: Cli
    sandbox: Sandbox

    def __call__(self, *arguments: str, code: int | None = 0) -> Outcome:
        """Run a command that is to go well, if nothing else is said."""
        return self.cli(*arguments, code=code)

    def upstream(self, run_id: str) -> Any:
        """The run as the server has it."""
        return self.sandbox.state.run("team", "proj", run_id)

    def queue(self, *arguments: str) -> str:
        """Queue with `edit` or `upload`; the id of the entry."""
        (entry,) = self(*arguments, "--json").json["entries"]
        return str(entry["id"])

    def entry(self, entry_id: str) -> Any:
        """An entry as `outbox show` has it; None when it left."""
        return self("outbox", "show", entry_id, "--json").json["entry"]


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cli, Sandbox]]:
    """A home that was pulled once, and its server."""
    with Sandbox.start() as sandbox:
        for number in range(12):
            sandbox.state.add_run(
                "team", "proj", f"r{number}", display_name=f"run {number}", notes="old", tags=["a"],
                config={"lr": 0.1, "big": 2**60 + 1}, summary={"loss": 1.5}, files={"model.pt": b"weights"},
                state="running" if number % 2 else "crashed",
            )  # fmt: skip
        cli = Cli(folder=tmp_path_factory.mktemp("pulled")).at(sandbox).configure("team/proj")
        cli("pull", code=0)
        yield cli, sandbox


@pytest.fixture
def editor(pulled: tuple[Cli, Sandbox], tmp_path: Path) -> Editor:
    """A copy of that home."""
    shutil.copytree(pulled[0].home, tmp_path / "mirror")
    return Editor(cli=replace(pulled[0], folder=tmp_path), sandbox=pulled[1])
