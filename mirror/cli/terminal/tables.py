"""Rows as a table for people or as CSV for programs."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import math
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mirror.cli.terminal.output import say
from mirror.store.sql.statements import plain
from mirror.texts.amounts import plural
from mirror.texts.visible import visible, visible_json

COLUMN_READABLE = 10  # characters; narrower columns are no table any more
CELL_CHARACTERS = 1000  # of a value in a table; a column is as wide as its longest one, in each row
PADDED = 40  # characters up to which a column is padded where no terminal reads it
BETWEEN = "   "  # columns
UNLIMITED = 1_000_000  # characters; wider than any row that a person reads


class AnswerConsole(Console):
    """Where tables and documents are printed; a reader that has enough ends the program as quietly as elsewhere."""

    def on_broken_pipe(self) -> None:
        """Leave it to the program; rich itself would end with status 1."""
        raise BrokenPipeError


def print_csv(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """RFC 4180 with a header; values as JSON has them, an absent one is an empty field."""
    write_csv(names, ([_field(value) for value in row] for row in rows))


def write_csv(names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Fields as they are for programs; a terminal gets none that it would act on."""
    shown = visible if sys.stdout.isatty() else str
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([shown(name) for name in names])
    writer.writerows([shown(field) for field in row] for row in rows)


def _field(value: Any) -> str:
    if value is None:
        return ""
    exact = plain(value)
    return exact if isinstance(exact, str) else json.dumps(exact, ensure_ascii=False)


def print_table(names: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """A table for people: folded to a terminal's width, or each row on one line where no terminal reads it.

    There no value that is longer than `PADDED` makes others wait for it: its own row alone is longer. Where a
    terminal's columns would be narrower than can be read, each row is written as lines of a name and a value instead.
    A long value is cut, and standard error says where the rest is.
    """
    _draw_table(AnswerConsole(soft_wrap=False, highlight=False, width=width_of_answers()), names, rows, title)


def table_text(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """The same as it would be printed, for a pager."""
    drawn = io.StringIO()
    is_terminal = sys.stdout.isatty()
    console = AnswerConsole(
        file=drawn, soft_wrap=False, highlight=False, width=width_of_answers(), force_terminal=is_terminal or None
    )
    _draw_table(console, names, rows, None)
    return drawn.getvalue()


def _draw_table(console: Console, names: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None) -> None:
    values = [list(row) for row in rows]
    held = [[cell(value) for value in row] for row in values]
    cut = sum(len(text) > CELL_CHARACTERS for row in held for text in row)
    if cut:
        held = [[f"{text[:CELL_CHARACTERS]}…" if len(text) > CELL_CHARACTERS else text for text in row] for row in held]
        say(f"{plural(cut, 'value')} cut after {CELL_CHARACTERS:,} characters; --json has them whole")
    width = console.width
    if width < COLUMN_READABLE * len(names):
        _draw_records(console, names, held)
        return
    if width >= UNLIMITED:
        _draw_lines(console, [visible(str(name)) for name in names], values, held, title)
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, title=title, title_justify="left", pad_edge=False)
    for index, name in enumerate(names):
        numbers = _are_numbers(values, index)
        times = bool(values) and all(isinstance(row[index], dt.datetime | None) for row in values)
        whole = max((len(row[index]) for row in held), default=0) if index == 0 else 0
        table.add_column(
            escape(visible(str(name))),
            justify="right" if numbers else "left",
            overflow="ellipsis" if numbers or times else "fold",  # half a number is another number
            no_wrap=numbers or times,
            min_width=min(whole, width // 3),  # the first column is what people copy
        )
    for row in held:
        table.add_row(*map(escape, row))
    console.print(table)


def _are_numbers(values: Sequence[Sequence[Any]], index: int) -> bool:
    return bool(values) and all(isinstance(row[index], int | float | None) for row in values)


def _draw_lines(
    console: Console,
    names: Sequence[str],
    values: Sequence[Sequence[Any]],
    held: Sequence[Sequence[str]],
    title: str | None,
) -> None:
    """Rows as lines for `less`, `grep` and `awk`: no blanks at their ends, and none for what is long elsewhere."""
    widths = [
        max([cell_len(name), *(size for row in held if (size := cell_len(row[index])) <= PADDED)])
        for index, name in enumerate(names)
    ]
    right = [_are_numbers(values, index) for index in range(len(names))]
    rule = "─" * (sum(widths) + len(BETWEEN) * (len(widths) - 1))
    lines = [_line(row, widths, right) for row in (names, *held)]
    for text in (*([title] if title else []), lines[0], rule, *lines[1:]):
        console.file.write(f"{text}\n")


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = []
    for text, width, is_right in zip(row, widths, right, strict=True):
        blanks = " " * max(0, width - cell_len(text))
        cells.append(f"{blanks}{text}" if is_right else f"{text}{blanks}")
    return BETWEEN.join(cells).rstrip()


def width_of_answers() -> int:
    """Characters of a line: a terminal's, or as good as no limit where none reads them."""
    return Console().width if sys.stdout.isatty() or "COLUMNS" in os.environ else UNLIMITED


def _draw_records(console: Console, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    for number, row in enumerate(rows):
        lines = [f"{visible(str(name))}: {value}" for name, value in zip(names, row, strict=True)]
        console.print(escape("\n".join([*([""] if number else []), *lines])), soft_wrap=True)


def cell(value: Any) -> str:
    """A value in a table for people: numbers rounded, on one line, nothing in it that a terminal acts on."""
    if value is None:
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        return str(plain(value))
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) >= 1e-4 or value == 0 else f"{value:.4g}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, list | dict):
        return visible_json(json.dumps(plain(value), ensure_ascii=False))
    return visible(str(value))
