"""One training by the real SDK, and a home that took it in, for all questions of a worker."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.cli.conftest import Cli
from tests.mirroring import Mirror

ROOT = Path(__file__).parents[2]
LONG_AGO = 1_700_000_000


def sdk_environment(folder: Path, **more: str) -> dict[str, str]:
    """Nothing of the SDK leaves the folder."""
    places = {f"WANDB_{name}_DIR": str(folder / "sdk" / name) for name in ("CACHE", "CONFIG", "DATA", "ARTIFACT")}
    return {
        "PATH": os.environ["PATH"], "HOME": str(folder), "NETRC": str(folder / "netrc"), "PYTHONPATH": str(ROOT),
        "WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false",
        "WANDB_DISABLE_GIT": "true", **places, **more,
    }  # fmt: skip


@functools.cache
def _mirror_of(home: Path) -> Mirror:
    return Mirror(url="http://127.0.0.1:9", api_key="", home=Home(home))


def mirror_of(cli: Cli) -> Mirror:
    """The home of a program, for SQL inside of this process."""
    return _mirror_of(cli.home)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """Folders that the SDK wrote, and a home that took them in."""

    folder: Path
    cli: Cli

    def log(self, run_id: str) -> Path:
        """The first log of a run."""
        return min(self.folder.glob(f"wandb/offline-run-*-{run_id}/*.wandb"))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """What `training` logs, added; a server that nobody asks stands for the one of the home."""
    folder = tmp_path_factory.mktemp("trained")
    done = subprocess.run(
        [sys.executable, "-m", "tests.offline.training"], cwd=folder, env=sdk_environment(folder), capture_output=True,
        timeout=60, check=False, start_new_session=True,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    (killed,) = folder.glob("wandb/offline-run-*-killed/*.wandb")
    os.utime(killed, (LONG_AGO, LONG_AGO))  # nobody writes it any more
    with Sandbox.start() as sandbox:
        cli = Cli(folder=tmp_path_factory.mktemp("machine")).at(sandbox).configure("team/proj")
        cli("add", str(folder / "wandb"), code=0)
        yield Trained(folder=folder, cli=cli)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """A machine of this test's own."""
    return Cli(folder=tmp_path)
