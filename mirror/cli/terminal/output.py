"""How answers are printed: answers on stdout, remarks on stderr, in UTF-8. Light to import; tables are in `tables`.

All that is written for people and as JSON goes through here, for it may hold texts of others: see `records.visible`.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import sys
from collections.abc import Iterable
from typing import Any

import click

from mirror.errors import ConfigError
from mirror.texts.amounts import span
from mirror.texts.visible import visible, visible_json


def say(text: str) -> None:
    """A remark for the person, on standard error: one line."""
    sys.stderr.write(f"{visible(text)}\n")


def write(text: str) -> None:
    """A line of the answer, on standard output."""
    sys.stdout.write(f"{visible(text)}\n")


def say_lines(text: str) -> None:
    """A remark of several lines."""
    for line in text.split("\n"):
        say(line)


def say_hint(text: str) -> None:
    """What to do; further lines, such as those in which DuckDB points at a place, stand below the first."""
    say_lines("\n      ".join(f"hint: {text}".split("\n")))


def write_lines(text: str) -> None:
    """Several lines of the answer."""
    for line in text.split("\n"):
        write(line)


def use_utf8() -> None:
    """Speak UTF-8 whatever the locale says; half a surrogate pair comes out as its escape, as in JSON.

    A stream that the caller closed (`>&-`) is one that nobody reads.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 -- until the end
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
    write_json_text(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))


def print_json_rows(rows: Iterable[dict[str, Any]]) -> None:
    """A JSON array of objects, one a line, written as the rows come: its size does not matter."""
    opening = "["
    for row in rows:
        write(opening)
        write_json_text(json.dumps(row, ensure_ascii=False, allow_nan=False), end="")
        opening = ","
    write_lines("[]" if opening == "[" else "\n]")


def write_json_text(text: str, *, end: str = "\n") -> None:
    """JSON of the answer; what a terminal would act on is escaped, which changes no value."""
    sys.stdout.write(f"{visible_json(text)}{end}")


def with_zone(value: Any) -> Any:
    """Times of the lake, in a value that is to be JSON, as ISO 8601 in UTC with a `Z`."""
    if isinstance(value, dt.datetime):
        return value.isoformat(timespec="seconds") + "Z"
    if isinstance(value, dict):
        return {key: with_zone(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_zone(item) for item in value]
    return value


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


def ago(moment: dt.datetime | None, now: dt.datetime) -> str:
    """How long ago, for people; both UTC without a zone."""
    if moment is None:
        return "never"
    return f"{span((now - moment).total_seconds())} ago"
