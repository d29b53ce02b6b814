"""The program in a shell: keys that complete, a mistyped command, readers that have enough."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mirror.cli import COMMANDS
from tests.cli.conftest import Cli
from tests.terminal import TAB, Terminal


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A search path on which `wandb-mirror` is this program."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "wandb-mirror"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m mirror.cli "$@"\n')
    program.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_a_tab_completes_commands_and_options_in_bash(cli: Cli, path: str) -> None:
    env = {**cli.environment(), "PATH": path, "PS1": "ready> "}
    with Terminal(["bash", "--norc", "--noprofile", "-i"], env=env, cwd=cli.folder) as terminal:
        terminal.reads("ready> ")
        terminal.types('eval "$(wandb-mirror completion bash)"; echo load""ed\n')
        terminal.reads("loaded")
        terminal.reads("ready> ")
        terminal.types("wandb-mirror compl")
        terminal.types_until(TAB, "completion ")
        terminal.types("z")
        terminal.types_until(TAB, "zsh ")
        terminal.types("\x15")  # take the line away
        terminal.types("wandb-mirror show --ht")
        terminal.types_until(TAB, "--html ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_each_shell_asks_this_program(cli: Cli, shell: str) -> None:
    script = cli("completion", shell, code=0).out
    assert f"_WANDB_MIRROR_COMPLETE={shell}_complete" in script
    found = shutil.which(shell)
    if found is not None:
        subprocess.run([found, "-n"], input=script, text=True, check=True, timeout=60)


@pytest.mark.parametrize(("typed", "beginning"), [("wandb-mirror ", ""), ("wandb-mirror s", "s")])
def test_commands_are_completed_without_importing_them(cli: Cli, typed: str, beginning: str) -> None:
    asked = {"_WANDB_MIRROR_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": "1"}
    program = "import sys, atexit, mirror.cli; atexit.register(lambda: print(sorted({'duckdb', 'rich', 'pyarrow'} & set(sys.modules)))); mirror.cli.main()"  # noqa: E501
    done = subprocess.run(
        [sys.executable, "-c", program], env={**cli.environment(), **asked}, capture_output=True, text=True, timeout=60
    )  # fmt: skip
    *offered, imported = done.stdout.splitlines()
    assert offered == [f"plain,{name}" for name in COMMANDS if name.startswith(beginning)]
    assert imported == "[]"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["plul"], "No such command 'plul'. Did you mean pull?"),
        (["Status"], "No such command 'Status'. Did you mean status?"),
        (["outbox", "shwo"], "No such command 'shwo'. Did you mean show?"),
        (["xyzzy"], "No such command 'xyzzy'.\n"),
        (["st\x1b[2J"], "No such command 'st\\x1b[2J'."),
    ],
)
def test_a_mistyped_command_is_answered_with_what_is_near_it(cli: Cli, typed: list[str], said: str) -> None:
    told = cli(*typed, code=2)
    assert said in told.err
    assert "--help' for help" in told.err


def test_readers_that_have_enough_end_a_command_with_0(filled: Cli, path: str) -> None:
    """`… | head`, and a reader that is gone before anything was written; all at once, for each waits for imports."""
    enough, none = "head -n 1 >/dev/null", "true"
    pipes = [
        ("--help", none), ("show --help", none), ("completion bash", none), ("runs", none), ("status", enough),
        ("show team/proj/r1", none), ("runs --csv", enough), ('sql "FROM range(100000)"', none),
        ('sql --json "FROM range(100000)"', enough),
    ]  # fmt: skip
    lines = [
        f'(wandb-mirror {command} 2>err{number} | {reader}; echo "{number} ${{PIPESTATUS[0]}}") &'
        for number, (command, reader) in enumerate(pipes)
    ]
    done = subprocess.run(
        ["bash", "-c", "\n".join([*lines, "wait"])], cwd=filled.folder, capture_output=True, text=True,
        env={**filled.environment(), "PATH": path}, timeout=120, check=True,
    )  # fmt: skip
    assert sorted(done.stdout.split("\n")) == sorted(["", *(f"{number} 0" for number in range(len(lines)))])
    said = "".join((filled.folder / f"err{number}").read_text() for number in range(len(lines)))
    assert set(said.splitlines()) <= {"cut after 1,000 rows; add a LIMIT, or use --csv, --json or --output"}


@pytest.mark.parametrize(("typed", "status"), [("nope", 2), ("--home nowhere runs", 5)])
def test_an_error_that_nobody_reads_keeps_its_status(
    cli: Cli, path: str, tmp_path: Path, typed: str, status: int
) -> None:
    program = f"{sys.executable} -m mirror.cli"
    line = f"(sleep 0.2; {program} {typed}) 2>&1 | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line], env={**cli.environment(), "PATH": path}, cwd=tmp_path, timeout=60, check=False
    )
    assert done.returncode == status
