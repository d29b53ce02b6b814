"""`wandb-mirror unit`: the units for systemd that come with the program, with its own path in them."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

import click

import mirror
from mirror.cli.terminal.output import UTF8, say, write, write_lines
from mirror.cli.terminal.statuses import exit_statuses
from mirror.errors import ConfigError, HomeUnusable

PACKAGE = Path(mirror.__file__).parent
FOLDERS = (PACKAGE / "systemd", PACKAGE.parent / "systemd")  # of an installed program, of a checkout
_STARTED = re.compile(r"^(ExecStart=)(?:/usr/bin/env )?wandb-mirror\b", re.MULTILINE)


@click.command("unit", epilog=exit_statuses())
@click.option("--home", type=click.Path(), help="The mirror's directory (else WANDB_MIRROR_HOME), with --user.")
@click.argument("name", type=UTF8, required=False)
@click.option("--user", is_flag=True, help="For the service manager of a user, instead of the machine's.")
def command(home: str | None, name: str | None, user: bool) -> None:
    """Print a unit for systemd, with the path of this very program in it; without NAME, list those there are.

    \b
    wandb-mirror unit --user wandb-mirror.service > ~/.config/systemd/user/wandb-mirror.service
    """
    folder = _folder() / "user" if user else _folder()
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    if name is None:
        for known in names:
            write(known)
        return
    if name not in names:
        raise ConfigError(f"there is no unit {name!r}", hint=f"one of: {', '.join(names)}")
    program = _program()
    text = _STARTED.sub(lambda match: match[1] + program, (folder / name).read_text(encoding="utf-8"))
    write_lines((_serving(text, home or os.environ.get("WANDB_MIRROR_HOME")) if user else text).rstrip("\n"))
    if not user and "ProtectHome=yes" in text and _lies_in_a_home(program):
        say("note: this program lies in a home, which this unit does not see; install it elsewhere, such as in /opt")


def _folder() -> Path:
    for folder in FOLDERS:
        if folder.is_dir():
            return folder
    raise HomeUnusable("the units are missing from this installation", hint="install wandb-mirror again")


def _program() -> str:
    """This program as a unit calls it: systemd reads a command much as a shell does, and doubles `%` and `$`."""
    beside = Path(sys.executable).with_name("wandb-mirror")
    words = [str(beside)] if beside.exists() else [sys.executable, "-m", "mirror.cli"]
    return " ".join(map(shlex.quote, words)).replace("%", "%%").replace("$", "$$")


def _lies_in_a_home(program: str) -> bool:
    return program.lstrip("'").startswith(("/home/", f"{Path.home()}/"))


def _serving(text: str, home: str | None) -> str:
    """The unit of a user for another home than the usual one."""
    if not home:
        return text
    named = os.path.abspath(home).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return text.replace("[Service]\n", f'[Service]\nEnvironment="WANDB_MIRROR_HOME={named}"\n', 1)
