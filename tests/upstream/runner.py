"""One SDK version: its environment, a copy of the checkout's tests, the backend, and a session for each file."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .processes import MARK, end_marked
from .results import FileResult, read_outcomes

PLUGIN = Path(__file__).parent / "plugin"

# What the tests import and wandb's list of requirements for tests leaves to its development list.
_ALSO_NEEDED = (
    "pyarrow",
    "polars",
    "pillow",
    "boto3",
    "scikit-learn",
    "tensorboard",
    "filelock",
    "click",
    "requests",
    "pydantic",
)

# What a session takes from the checkout; nothing else of it is needed, and `wandb/` would hide the installed SDK.
_COPIED = ("tests", "tools", "pyproject.toml")


_POLL_S = 0.5
_FAREWELL_S = 15.0


@dataclass(frozen=True, kw_only=True)
class Session:
    """Where one SDK version is judged."""

    root: Path  # the copy of the tests
    environment: Path  # the virtual environment
    scratch: Path
    mark: str  # of every process that is started
    limit_s: float  # for one file

    def variables(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("WANDB", "PYTEST", "COV"))}
        path = os.pathsep.join([str(self.environment / "bin"), kept.get("PATH", "")])
        home = self.scratch / "home"
        home.mkdir(exist_ok=True)
        return kept | {"PATH": path, "PYTHONPATH": str(PLUGIN), "HOME": str(home), MARK: self.mark}


def make_environment(folder: Path, version: str, requirements: Path) -> Path:
    """A virtual environment with that SDK, kept under `folder` and made once."""
    made = folder / f"wandb-{version}"
    finished = made / "finished"
    if not finished.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(made)], check=True)
        pip = [str(made / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"wandb=={version}", "-r", str(requirements), *_ALSO_NEEDED], check=True)
        finished.touch()
    return made


def copy_checkout(checkout: Path, target: Path) -> Path:
    """The tests as they are, in a folder of their own: the checkout is only read."""
    for name in _COPIED:
        source = checkout / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__", "*.state*"))
        else:
            shutil.copy2(source, target / name)
    return target


@contextmanager
def backend(session: Session, command: Sequence[str]) -> Iterator[None]:
    """The backend of `command`, registered with the checkout's own tool until the block ends."""
    repository = Path(__file__).parents[2]
    process = subprocess.Popen(
        command, cwd=repository, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ.copy()
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        ports = json.loads(process.stdout.readline())
        tool = [str(session.environment / "bin" / "python"), "tools/local_wandb_server.py"]
        start = ["start", "--hostname", "localhost"]
        start += ["--base-port", str(ports["base_port"]), "--fixture-port", str(ports["fixture_port"])]
        subprocess.run([*tool, *start], cwd=session.root, env=session.variables(), check=True)
        try:
            yield
        finally:
            subprocess.run([*tool, "stop"], cwd=session.root, env=session.variables(), check=True)
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run_file(session: Session, file: str) -> FileResult:
    """Run one file below tests/system_tests, or one node id, in a session of its own, within the time limit."""
    outcomes = session.scratch / f"{secrets.token_hex(4)}.jsonl"
    outcomes.touch()
    python = str(session.environment / "bin" / "python")
    command = [python, "-m", "pytest", "-q", "-n", "0", "-p", "upstream_outcomes", "-p", "no:cacheprovider"]
    command.append(f"tests/system_tests/{file}")
    environment = session.variables() | {"UPSTREAM_OUTCOMES": str(outcomes)}
    log = outcomes.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=session.root, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            timed_out = not _wait(process, outcomes.with_suffix(".finished"), session.limit_s)
        finally:
            process.kill()
            process.wait()
            end_marked(session.mark)
    return read_outcomes(file, outcomes.read_text(encoding="utf-8").splitlines(), timed_out=timed_out)


def _wait(process: subprocess.Popen[bytes], finished: Path, limit_s: float) -> bool:
    """Wait until the tests are told; False when the limit came first. A session may hang on threads that it left."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_S)
            return True
        if finished.exists():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_FAREWELL_S)
            return True
    return False


@contextmanager
def open_session(checkout: Path, environment: Path, *, limit_s: float) -> Iterator[Session]:
    """A session over a fresh copy of the tests; every process of it is gone when the block ends."""
    with tempfile.TemporaryDirectory(prefix="wandb-mirror-upstream-") as folder:
        scratch = Path(folder)
        session = Session(
            root=copy_checkout(checkout, scratch / "checkout"),
            environment=environment,
            scratch=scratch,
            mark=secrets.token_hex(8),
            limit_s=limit_s,
        )
        try:
            yield session
        finally:
            end_marked(session.mark)
