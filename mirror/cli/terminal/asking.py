"""Questions to a person: on standard error, each on a line that ends, also where Ctrl-C is the answer."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import click


def confirm(question: str, *, default: bool = False) -> bool:
    """Yes or no.

    Raises:
        click.Abort: Ctrl-C, or the end of input.
    """
    with _whole_line():
        return click.confirm(question, default=default, err=True)


def prompt(question: str, *, default: str | None = None, hidden: bool = False) -> str:
    """A text; what is hidden is not shown while it is typed.

    Raises:
        click.Abort: Ctrl-C, or the end of input.
    """
    with contextlib.nullcontext() if hidden else _whole_line():  # click ends the line of a hidden one itself
        found: str = click.prompt(question, default=default, hide_input=hidden, err=True)
        return found


@contextlib.contextmanager
def _whole_line() -> Iterator[None]:
    try:
        yield
    except click.Abort:
        sys.stderr.write("\n")
        raise
