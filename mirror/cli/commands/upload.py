"""`wandb-mirror upload`: put files into a run offline; the bytes are kept now, and delivered by `replay`."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import click

from mirror.cli.delivery.queueing import (
    local_run,
    queued_unseen,
    refusals_as_errors,
    tell_queued,
    telling_if_cut_short,
    unseen_uploads,
)
from mirror.cli.setting import find_setting, setting_options
from mirror.cli.terminal.output import UTF8
from mirror.cli.terminal.statuses import exit_statuses
from mirror.errors import ConfigError, LakeAway


@click.command("upload", epilog=exit_statuses(5))
@setting_options
@click.argument("run", type=UTF8)
@click.argument("paths", type=UTF8, nargs=-1, required=True, metavar="PATH...")
@click.option("--root", type=UTF8, default=".", show_default=True, metavar="DIR", help="Names are relative to it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")
def command(home: str | None, config: str | None, run: str, paths: tuple[str, ...], root: str, as_json: bool) -> None:
    """Put files into RUN: their bytes are copied now, and delivered by `wandb-mirror replay`. No network.

    A file's name in the run is its path below DIR. A file of that name that the run has is replaced.
    """
    _check(paths, root)
    setting = find_setting(home, config)
    try:
        local, found = local_run(setting, run)
    except LakeAway:
        local = queued_unseen(setting, run, unseen_uploads(setting.home, paths, root))
    else:
        with refusals_as_errors(), telling_if_cut_short(local):
            for path in paths:
                found.upload_file(path, root)
    tell_queued(local, as_json=as_json)


def _check(paths: Sequence[str], root: str) -> None:
    """Look at every path before the first one is queued.

    Raises:
        ConfigError: one is no file that can be read, lies outside of the root, or is named twice.
    """
    names: dict[str, str] = {}
    for path in paths:
        _check_readable(path)
        name = Path(os.path.relpath(path, os.path.abspath(root)))
        if name.parts[0] == os.pardir:
            folder = Path(os.path.abspath(path)).parent
            raise ConfigError(f"{path} lies outside of {root}", hint=f"--root {folder} names it {name.name}")
        if str(name) in names:
            raise ConfigError(f"{names[str(name)]} and {path} are one file: {name}", hint="name it once")
        names[str(name)] = path


def _check_readable(path: str) -> None:
    if Path(path).is_dir():
        raise ConfigError(f"{path} is a folder", hint=f"name the files in it: {path.rstrip('/')}/*")
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise ConfigError(f"{path} is no regular file", hint="nothing was queued")
        with Path(path).open("rb"):
            pass
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"{path} cannot be read: {why}", hint="nothing was queued") from error
