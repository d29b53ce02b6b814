"""The reference of the command line, from click's own objects."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from mirror.cli import COMMANDS, program
from mirror.cli.terminal.statuses import MEANINGS


def commands() -> str:
    """A section for each command, those of a group below it."""
    parent = click.Context(program, info_name="wandb-mirror")
    return "\n\n".join(
        section for name in COMMANDS for section in _sections(name, program.get_command(parent, name), parent, "##")
    )


def exit_statuses() -> str:
    """A table of what each exit status means."""
    rows = [f"| {status} | {meaning} |" for status, meaning in MEANINGS.items()]
    return "\n".join(["| status | meaning |", "|---|---|", *rows])


def _sections(name: str, command: click.Command | None, parent: click.Context, heading: str) -> Iterator[str]:
    assert command is not None, name
    context = click.Context(command, info_name=name, parent=parent)
    words = " ".join(context.command_path.split()[1:])
    yield f"{heading} `{words}`"
    yield f"```text\n{context.command_path} {' '.join(command.collect_usage_pieces(context))}\n```"
    yield _text(command.help or "")
    if rows := list(_options(command, context)):
        yield "\n".join(["| option | what it does |", "|---|---|", *rows])
    if statuses := re.findall(r"^ *(\d+)  ", command.epilog or "", re.MULTILINE):
        yield f"Exit statuses: {', '.join(statuses)}."
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            yield from _sections(child, command.get_command(context, child), context, f"{heading}#")


def _text(help_text: str) -> str:
    """Paragraphs of a command's help; a line that it keeps as it is (`\\b`) becomes code."""
    paragraphs = []
    for paragraph in inspect.cleandoc(help_text).split("\n\n"):
        kept = paragraph.startswith("\b")
        paragraphs.append(f"```text\n{paragraph.lstrip(chr(8)).strip()}\n```" if kept else _escaped(paragraph))
    return "\n\n".join(paragraphs)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and "--help" not in parameter.opts:
            names, meaning = record
            yield f"| `{names.replace('|', chr(92) + '|')}` | {_escaped(meaning).replace('|', chr(92) + '|')} |"


def _escaped(text: str) -> str:
    """Text of a terminal as Markdown: it marks code, and nothing else."""
    parts = re.split(r"(`[^`]*`|'\{.*\}')", " ".join(text.split()))
    return "".join(
        f"`` {part} ``"
        if part.startswith("'{")
        else part
        if part.startswith("`")
        else re.sub(r"([*_<\[])", r"\\\1", part)
        for part in parts
    )
