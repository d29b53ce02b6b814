"""How answers are printed: tables for people, JSON and CSV for programs. Answers on stdout, remarks on stderr."""

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

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mirror.errors import ConfigError
from mirror.store.query import plain

COLUMN_READABLE = 10  # characters; narrower columns are no table any more
UNLIMITED = 100_000  # characters; wider than any row that a person reads


def say(text: str) -> None:
    """A remark for the person, on standard error."""
    print(text, file=sys.stderr)  # noqa: T201


def write(text: str) -> None:
    """A line of the answer, on standard output."""
    print(text)  # noqa: T201


def use_utf8() -> None:
    """Speak UTF-8 whatever the locale says; half a surrogate pair comes out as its escape, as in JSON."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")


def typed_text(value: str, what: str) -> str:
    """A text from the command line or from standard input, whatever the locale made of its bytes.

    Raises:
        ConfigError: its bytes are not UTF-8.
    """
    try:
        return value.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError as error:
        raise ConfigError(f"{what} is not UTF-8 text", hint="convert it to UTF-8, for example with iconv") from error


class Utf8(click.types.StringParamType):
    """A text argument, whatever the locale made of its bytes."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text as it was typed."""
        return typed_text(str(value), param.human_readable_name if param else "the argument")


UTF8 = Utf8()


def on_terminal() -> bool:
    """Whether progress can be drawn."""
    return sys.stderr.isatty()


def print_json(value: Any) -> None:
    """One JSON document, indented; numbers exact."""
    write(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))


def print_json_rows(rows: Iterable[dict[str, Any]]) -> None:
    """A JSON array of objects, one a line, written as the rows come: its size does not matter."""
    opening = "["
    for row in rows:
        write(opening)
        sys.stdout.write(json.dumps(row, ensure_ascii=False, allow_nan=False))
        opening = ","
    write("[]" if opening == "[" else "\n]")


def print_csv(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """RFC 4180 with a header; values as JSON has them, an absent one is an empty field."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_field(value) for value in row] for row in rows)


def _field(value: Any) -> str:
    if value is None:
        return ""
    exact = plain(value)
    return exact if isinstance(exact, str) else json.dumps(exact, ensure_ascii=False)


def print_table(names: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """A table for people: folded to a terminal's width, or as wide as it is where no terminal reads it.

    Where columns would be narrower than can be read, each row is written as lines of a name and a value instead.
    """
    width = Console().width if sys.stdout.isatty() or "COLUMNS" in os.environ else UNLIMITED
    if width < COLUMN_READABLE * len(names):
        _print_records(names, rows)
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, title=title, title_justify="left", pad_edge=False)
    held = [list(row) for row in rows]
    for index, name in enumerate(names):
        numbers = bool(held) and all(isinstance(row[index], int | float | None) for row in held)
        whole = max((len(cell(row[index])) for row in held), default=0) if index == 0 else 0
        table.add_column(
            escape(str(name)),
            justify="right" if numbers else "left",
            overflow="fold",
            min_width=min(whole, width // 3),  # the first column is what people copy
        )
    for row in held:
        table.add_row(*(escape(cell(value)) for value in row))
    Console(soft_wrap=False, highlight=False, width=width).print(table)


def _print_records(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    for number, row in enumerate(rows):
        if number:
            write("")
        for name, value in zip(names, row, strict=True):
            write(f"{name}: {cell(value)}")


def cell(value: Any) -> str:
    """A value in a table for people: numbers rounded, on one line."""
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
        return json.dumps(plain(value), ensure_ascii=False)
    return str(value).replace("\n", "⏎")


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


def plural(count: int, one: str, many: str = "") -> str:
    """`1 run`, `2 runs`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def ago(moment: dt.datetime | None, now: dt.datetime) -> str:
    """How long ago, for people; both UTC without a zone."""
    if moment is None:
        return "never"
    seconds = (now - moment).total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{max(0, seconds):.0f} s ago"
