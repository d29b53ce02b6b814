"""Curves on the terminal that is there: as wide as it is, in colours, or with letters where there are none."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from rich.text import Text

from mirror.cli.terminal.output import write
from mirror.cli.terminal.plot import LETTERS, Series, describe, draw, draw_over, same_as
from mirror.cli.terminal.tables import AnswerConsole
from mirror.texts.visible import visible

WIDTH, HEIGHT = 100, 10  # characters, at most
COLOURS = ("cyan", "magenta", "yellow", "green", "red", "blue", "bright_white", "bright_cyan")
MOST = len(LETTERS)  # series over one another


def print_curve(series: Series, *, log: bool) -> None:
    """One series with its title."""
    for line in draw(series, width=_width(), height=HEIGHT, log=log):
        write(line)


def print_curves(title: str, series: Sequence[Series], *, log: bool) -> None:
    """Several series over one another, and below them which is which.

    Args:
        title: what they are of.
        series: at most `MOST`, each named for what tells it from the others.
        log: the axis of the values is logarithmic.
    """
    console = AnswerConsole(highlight=False, soft_wrap=True)
    letters = not console.is_terminal or console.no_color or len(series) > len(COLOURS)
    write(title)
    for line in draw_over(series, width=_width(), height=HEIGHT, log=log, letters=letters):
        console.print(Text.assemble(*((text, _style(owner, letters)) for text, owner in line)), soft_wrap=True)
    for place, one in enumerate(series):
        mark = LETTERS[place] if letters else "━━"
        twin = same_as(series, place)
        text = describe(one, log=log) if twin is None else f"{one.name}  (the same points as {twin.name})"
        console.print(Text.assemble((mark, _style(place, letters)), f" {visible(text)}"), soft_wrap=True)


def _style(owner: int | None, letters: bool) -> str:
    return "" if owner is None or letters else COLOURS[owner]


def _width() -> int:
    return min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)
