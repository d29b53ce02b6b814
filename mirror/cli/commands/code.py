"""`wandb-mirror code`: from what a run was made: its program, its packages, what was not committed."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import click

from mirror.cli.run_paths import find_run, not_mirrored, refuse_unlisted
from mirror.cli.setting import find_setting, setting_options
from mirror.cli.terminal.output import UTF8, print_json, say, size, write
from mirror.cli.terminal.statuses import exit_statuses
from mirror.errors import ConfigError, NotMirrored
from mirror.layout import Home
from mirror.records.addresses import RunPath
from mirror.store.engine.reader import Reader
from mirror.store.objects.objects import Objects
from mirror.store.read.code import DIFF, METADATA, REQUIREMENTS, CodeFile, code_of_run
from mirror.store.read.runs import is_held
from mirror.texts.amounts import plural
from mirror.texts.typed_paths import in_shell
from mirror.texts.values import dump_strict, parse_lenient

SHOWN = 1 << 20  # bytes that a terminal is shown
LARGEST = 1 << 20  # bytes of metadata that are read
NAMED = 20  # files that a hint lists
FACTS = ("program", "codePath", "codePathLocal", "python", "args", "git")


@click.command("code", epilog=exit_statuses(5))
@setting_options
@click.argument("run", type=UTF8)
@click.argument("file", type=UTF8, required=False)
@click.option("--requirements", "kept", flag_value="requirements", help="The packages that were installed instead.")
@click.option("--diff", "kept", flag_value="diff", help="What was not committed instead.")
@click.option("--list", "kept", flag_value="list", help="The names of all these files instead.")
@click.option("--json", "kept", flag_value="json", help="The names and what is known of the program (docs/json.md).")
def command(home: str | None, config: str | None, run: str, file: str | None, kept: str | None) -> None:
    """Print the program of a run, or another FILE of its code, as the run kept it. No network.

    Into a file or a pipe the bytes are exact: `wandb-mirror code RUN > train.py`. A run keeps its code with
    save_code=True or run.log_code().
    """
    if file is not None and kept is not None:
        raise ConfigError(f"a file and --{kept} are two answers", hint="ask for one of them")
    setting = find_setting(home, config)
    path = find_run(run, setting)
    with Reader(setting.home) as lake:
        if not is_held(lake, path):
            raise not_mirrored(path, setting.home)
        files = code_of_run(lake, path)
    if not files:
        refuse_unlisted(setting.home, path)
    objects = Objects(setting.home)
    facts = _facts(objects, files)
    if kept == "json":
        print_json(_as_json(path, facts, files))
    elif kept == "list":
        for one in files:
            write(f"{one.name}  {size(one.size or 0)}{_from(one)}{'' if one.object else f'  not held: {one.reason}'}")
        if not files:
            say(f"{path} kept no code")
    else:
        _print(setting.home, path, files_of_code(path, files, facts, file, kept))


def files_of_code(
    path: RunPath, files: Sequence[CodeFile], facts: Mapping[str, Any], name: str | None, kept: str | None
) -> CodeFile:
    """The file that is meant.

    Raises:
        NotMirrored: the run kept no such file.
        ConfigError: it kept several sources, and none is known to be the program.
    """
    if kept is not None:
        wanted = REQUIREMENTS if kept == "requirements" else (DIFF,)
        found = [one for each in wanted for one in files if one.name == each and one.source == "files"]
    elif name is not None:
        found = [one for one in files if one.name == name] or [one for one in files if one.name.endswith(f"/{name}")]
    else:
        found = _programs(files, facts)
    if not found:
        what = name or (f"a {wanted[0]}" if kept is not None else "its code")
        listed = [one.name for one in files if one.name != METADATA][:NAMED]
        hint = f"it kept {', '.join(map(repr, listed))}" if listed else "save_code=True or run.log_code() keeps code"
        raise NotMirrored(
            f"{path} did not keep {what}, as far as the last pull knows",
            hint=f"{hint}; `wandb-mirror pull {in_shell(*path)}` looks again",
        )
    if name is None and kept is None and len(found) > 1:
        raise ConfigError(
            f"{path} kept {plural(len(found), 'source')}, and does not say which is the program",
            hint=f"name one: {', '.join(repr(one.name) for one in found[:NAMED])}",
        )
    return found[0]


def _programs(files: Sequence[CodeFile], facts: Mapping[str, Any]) -> list[CodeFile]:
    """The source that the run says it was; else all that may be."""
    sources = [one for one in files if one.is_source]
    for fact in ("codePath", "codePathLocal", "program"):
        said = facts.get(fact)
        if isinstance(said, str) and said:
            named = [one for one in sources if said in (one.name, f"code/{one.name}") or one.name == f"code/{said}"]
            if named:
                return named[:1]
    return sources


def _facts(objects: Objects, files: Sequence[CodeFile]) -> dict[str, Any]:
    """What the run says of its program; nothing where that is not held."""
    for one in files:
        if one.name == METADATA and one.object is not None and (one.size or 0) <= LARGEST:
            with objects.open(one.object) as file:
                parsed = parse_lenient(file.read(LARGEST).decode(errors="replace"))
            return {key: parsed[key] for key in FACTS if key in parsed} if isinstance(parsed, dict) else {}
    return {}


def _print(home: Home, path: RunPath, one: CodeFile) -> None:
    if one.object is None:
        raise NotMirrored(
            f"{one.name!r} of {path} is not in this mirror: {one.reason}",
            hint=f"`wandb-mirror pull {in_shell(*path)}` fetches it",
        )
    with Objects(home).open(one.object) as file:
        if sys.stdout.isatty():
            _show(file, one.name, path)
        else:
            sys.stdout.flush()
            shutil.copyfileobj(file, sys.stdout.buffer)


def _show(file: BinaryIO, name: str, path: RunPath) -> None:
    """For a terminal: what it would act on is spelled out."""
    content = file.read(SHOWN + 1)
    for line in content[:SHOWN].decode(errors="replace").splitlines():
        write(line.expandtabs())
    if len(content) > SHOWN:
        say(f"{name!r} is cut after {size(SHOWN)}; `wandb-mirror checkout {in_shell(*path)}` writes it out")


def _from(one: CodeFile) -> str:
    return "" if one.source == "files" else f"  of {one.source}"


def _as_json(path: RunPath, facts: Mapping[str, Any], files: Sequence[CodeFile]) -> dict[str, Any]:
    sources = [one.name for one in _programs(files, facts)]
    return {
        "entity": path.entity,
        "project": path.project,
        "run_id": path.run_id,
        "program": sources[0] if len(sources) == 1 else None,
        "metadata": json.loads(dump_strict(facts)),
        "files": [
            {"name": one.name, "source": one.source, "size": one.size, "held": one.object is not None,
             "reason": None if one.object is not None else one.reason}
            for one in files
        ],
    }  # fmt: skip
