"""A command whose output nobody reads, or has no room, ends with its own status or says so in one line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.conftest import Cli

PROGRAM = f"{sys.executable} -m mirror.cli"


def run(cli: Cli, command: str) -> subprocess.CompletedProcess[str]:
    env = {**cli.env, "PATH": "/usr/bin:/bin"}
    return subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, env=env, timeout=60, check=False)


@pytest.mark.parametrize("arguments", ["--help", "status --help"])
def test_a_closed_stream_is_one_that_nobody_reads(cli: Cli, arguments: str) -> None:
    assert run(cli, f"{PROGRAM} {arguments} >&-").returncode == 0
    assert run(cli, f"{PROGRAM} {arguments} 2>&- <&-").returncode == 0


@pytest.mark.parametrize("arguments", ["--help", "unit"])
def test_an_output_without_room_is_one_clear_line(cli: Cli, arguments: str) -> None:
    said = run(cli, f"{PROGRAM} {arguments} >/dev/full")
    assert said.returncode == 8
    assert said.stderr == "error: the answer cannot be written: no space is left where it goes\n"


def test_a_remark_for_a_closed_stream_is_no_defect(cli: Cli) -> None:
    assert run(cli, f"{PROGRAM} --home {cli.home}/none status 2>&-").returncode == 5
