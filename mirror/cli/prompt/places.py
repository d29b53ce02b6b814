"""What may stand where the cursor is: a table, a column of one, a text that a column holds. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from mirror.cli.prompt.statements import lex

Kind = Literal["table", "column", "word", "text", "nothing"]

_WORD = re.compile(r'"?[\w$]*\Z')
_QUALIFIER = re.compile(r'(\w+|"[^"]+")\.\Z')
_BEFORE_TABLE = re.compile(r"\b(from|join|describe|summarize|table|show|\.schema)\s+$|^\s*\.schema\s+$", re.IGNORECASE)
_NAMED = re.compile(r'\b(?:from|join)\s+(?:\w+\.)?("[^"]+"|\w+)(?:\s+(?:as\s+)?("[^"]+"|\w+))?', re.IGNORECASE)
_NO_ALIAS = frozenset(
    {
        *("where", "join", "on", "group", "order", "limit", "using", "left", "right", "inner", "full", "cross", "semi"),
        *(
            "select",
            "pivot",
            "anti",
            "asof",
            "qualify",
            "having",
            "union",
            "window",
            "positional",
            "natural",
            "tablesample",
        ),
    }
)
# A column, and what compares or takes apart what it holds, just before a text.
_OF_COLUMN = re.compile(
    r'("[^"]+"|\w+)\s*(?:->>?|=|<>|!=|==|\bnot\s+like|\blike|\bilike|\bin\s*\((?:[^()]*,)?|\(\s*)\s*$', re.IGNORECASE
)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted at the cursor."""

    kind: Kind
    begun: str = ""  # what of it is typed already
    column: str = ""  # of a text: the column that it is compared with
    tables: Mapping[str, str] = {}  # tables of the statement, by the names that they have in it
    qualifier: str = ""  # of a column: the table, or its name in the statement, before the dot


def place_of(before: str, after: str = "") -> Place:
    """What is wanted behind a text.

    Args:
        before: the statement up to the cursor; statements before it do not matter.
        after: the rest of it.
    """
    read = lex(before)
    begun = read.ends[-1] + 1 if read.ends else 0
    tables = _tables(read.code[begun:] + lex(after).code.partition(";")[0])
    if read.state == "comment" or (read.state == "name" and not before[read.begun - 1 :].startswith('"')):
        return Place(kind="nothing")
    if read.state == "text":
        found = _OF_COLUMN.search(read.code[begun : read.begun - 1])
        return Place(
            kind="text", begun=before[read.begun :], column=_plain(found[1]).lower() if found else "", tables=tables
        )
    code = before[begun:] if read.state == "name" else read.code[begun:]
    found = _WORD.search(code)
    word = found[0] if found else ""
    rest = code[: len(code) - len(word)]
    if qualified := _QUALIFIER.search(rest):
        return Place(kind="column", begun=word, qualifier=_plain(qualified[1]).lower(), tables=tables)
    if _BEFORE_TABLE.search(rest):
        return Place(kind="table", begun=word)
    return Place(kind="word", begun=word, tables=tables)


def _tables(code: str) -> dict[str, str]:
    """Tables of a statement, by the names that they have in it; all in lower case."""
    found: dict[str, str] = {}
    for name, alias in _NAMED.findall(code):
        table = _plain(name).lower()
        found[table] = table
        if alias and alias.lower() not in _NO_ALIAS:
            found[_plain(alias).lower()] = table
    return found


def _plain(name: str) -> str:
    return name.strip('"')
