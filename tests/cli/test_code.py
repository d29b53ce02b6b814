"""`code RUN`: from what a run was made, byte for byte into a pipe, and harmless on a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess

import pytest

from mirror.sandbox import Sandbox
from tests.cli.conftest import Cli

PROGRAM = b"import wandb\n\tx = '\xc3\xa9'\r\n# \x1b[2Jcleared\n\xff"
PACKAGES = b"numpy==1.26.4\nwandb==0.31.0\n"
FACTS = {"program": "/home/u/src/train.py", "codePath": "src/train.py", "codePathLocal": "train.py", "python": "3.11"}


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Runs that kept one program, several, logged theirs as an artifact, kept nothing, and of which it is left out."""
    with Sandbox.start() as sandbox:
        state = sandbox.state
        others = {"code/src/util.py": b"util", "diff.patch": b"diff --git", "requirements.txt": PACKAGES, "x.pt": b"x"}
        named = {"wandb-metadata.json": json.dumps(FACTS).encode(), "code/src/train.py": PROGRAM, **others}
        state.add_run("team", "proj", "named", files=named)
        state.add_run(
            "team", "proj", "several", files={"code/a.py": b"a", "code/b.py": b"b", "wandb-metadata.json": b"{"}
        )
        state.add_run("team", "proj", "logger", files={"code/left.out": b"l"})
        for content in (b"old", b"new"):
            state.add_artifact(
                "team", "proj", "source-proj-train.py", type="code", run="logger", files={"train.py": content}
            )
        state.add_run("team", "proj", "none", files={"x.pt": b"x"})
        cli = Cli(folder=tmp_path_factory.mktemp("code")).at(sandbox).configure("team/proj")
        cli.config.write_text(cli.config.read_text() + 'artifacts_include = ["*"]\nfiles_exclude = ["*.out"]\n')
        cli("pull", code=0)
    return cli


def printed(cli: Cli, *arguments: str) -> bytes:
    with cli.start("code", *arguments, stdout=subprocess.PIPE) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return bytes(out)


def test_the_program_is_printed_byte_for_byte(coded: Cli) -> None:
    assert printed(coded, "named") == PROGRAM


def test_packages_changes_and_other_files_are_asked_by_what_they_are(coded: Cli) -> None:
    assert coded("code", "named", "--requirements", code=0).out == PACKAGES.decode()
    assert coded("code", "named", "--diff", code=0).out == "diff --git"
    assert coded("code", "named", "src/util.py", code=0).out == "util"
    assert coded("code", "logger", "train.py", code=0).out == "new", "of a version the newest"


def test_the_names_are_listed(coded: Cli) -> None:
    assert coded("code", "logger", "--list", code=0).out.splitlines() == [
        "code/left.out  1 B  not held: files_exclude has '*.out'",
        "train.py  3 B  of source-proj-train.py:v1",
    ]
    listed = coded("code", "named", "--json", code=0).json
    assert (listed["program"], listed["metadata"]) == ("code/src/train.py", FACTS)
    first = listed["files"][0]
    assert (first["name"], first["source"], first["held"]) == ("code/src/train.py", "files", True)
    assert "kept no code" in coded("code", "none", "--list", code=0).err
    assert coded("code", "several", "--json", code=0).json["program"] is None


@pytest.mark.parametrize(
    ("arguments", "status", "error", "hint"),
    [
        (["none"], 5, "team/proj/none did not keep its code", "save_code=True or run.log_code() keeps code"),
        (["several", "--diff"], 5, "did not keep a diff.patch", "it kept 'code/a.py', 'code/b.py'"),
        (["named", "nope.py"], 5, "did not keep nope.py", "wandb-mirror pull team/proj/named"),
        (["several"], 3, "kept 2 sources, and does not say which is the program", "name one: 'code/a.py', 'code/b.py'"),
        (["logger", "left.out"], 5, "is not in this mirror: files_exclude has '*.out'", "pull team/proj/logger"),
        (["named", "x.py", "--diff"], 3, "a file and --diff are two answers", "ask for one"),
        (["nope"], 5, "run team/proj/nope is not in this mirror", "pull team/proj/nope"),
    ],
)
def test_what_cannot_be_printed_says_why(coded: Cli, arguments: list[str], status: int, error: str, hint: str) -> None:
    said = coded.fails(status, "code", *arguments)
    assert error in said.error
    assert hint in said.hint


def test_a_terminal_is_shown_no_control_characters(coded: Cli) -> None:
    master, slave = pty.openpty()
    with coded.start("code", "named", stdout=slave, stderr=slave) as process:
        os.close(slave)
        shown = b""
        while True:
            try:
                chunk = os.read(master, 65536)
            except OSError:  # the other end was closed
                break
            if not chunk:
                break
            shown += chunk
    os.close(master)
    assert process.returncode == 0
    assert b"\x1b" not in shown
    assert b"# \\x1b[2Jcleared\r\n" in shown
    assert b"        x = '\xc3\xa9'\r\n" in shown
