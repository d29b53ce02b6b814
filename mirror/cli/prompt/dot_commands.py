"""The words with a dot: what they answer, as rows of a table."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import NamedTuple

from mirror.errors import ConfigError
from mirror.store.engine.connection import Engine
from mirror.store.sql.catalogue import table_columns
from mirror.texts.amounts import plural

HELP = """\
Statements end with ; and may have several lines. A tab completes tables, columns, and in quotes the keys that runs
logged: SELECT … FROM metrics WHERE key = '<tab>. Ctrl-C takes back what is typed, or stops the query that runs;
Ctrl-R searches what was typed before. Nothing can be written: the mirror is read-only.

  .tables           the views, with their columns
  .schema [TABLE]   columns and types of one, or of all
  .help             this
  .quit             leave, as Ctrl-D does"""


class Rows(NamedTuple):
    """An answer."""

    names: list[str]
    rows: list[tuple[str, ...]]


def answer_dot(engine: Engine, typed: str) -> Rows | str:
    """The answer to a word with a dot, but for `.quit`.

    Raises:
        ConfigError: there is no such word, or no such table.
        QueryError: in DuckDB's words.
    """
    word, *arguments = typed.rstrip("; ").split()
    known: dict[str, Callable[[], Rows | str]] = {
        ".tables": lambda: _tables(engine),
        ".schema": lambda: _schema(engine, arguments[0].strip('"').lower() if arguments else None),
        ".help": lambda: HELP,
    }
    if word not in known or len(arguments) > (word == ".schema"):
        near = difflib.get_close_matches(word, [*known, ".quit"], n=1)
        hint = f"did you mean {near[0]}?" if near and word not in known else ".help lists what there is"
        raise ConfigError(f"{typed!r} is no word of this prompt", hint=hint)
    return known[word]()


def _tables(engine: Engine) -> Rows:
    found = table_columns(engine)
    return Rows(
        ["name", "columns"], [(name, ", ".join(column.name for column in columns)) for name, columns in found.items()]
    )


def _schema(engine: Engine, table: str | None) -> Rows:
    found = table_columns(engine)
    if table is not None and table not in found:
        near = difflib.get_close_matches(table, found, n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else f".tables lists all {plural(len(found), 'table')}"
        raise ConfigError(f"there is no table {table!r}", hint=hint)
    if table is not None:
        return Rows(["column", "type"], [(column.name, column.type) for column in found[table]])
    return Rows(
        ["table", "column", "type"],
        [(name, column.name, column.type) for name, columns in found.items() for column in columns],
    )
