"""Values written into SQL text as literals.

DuckDB's Python client imports pandas, where it is installed, to bind its first value: half a second before the first
row of a notebook or a command. A literal costs nothing, and lets DuckLake skip files by their statistics. It is safe,
since a value is written by its type: the quotes of a text are doubled, and DuckDB knows no other escape.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import Any

from mirror.store.engine.connection import sql_text
from mirror.texts.values import storable

# Quoted texts and names are pieces of their own, doubled quotes and all, so that no mark is looked for in them.
_MARKS = re.compile(r"""('(?:[^']|'')*'|"(?:[^"]|"")*"|\?)""")


def inlined(query: str, parameters: Sequence[Any]) -> str:
    """A query with its `?` marks replaced by literals.

    Args:
        query: SQL, in which `?` stands for a value, but for one inside of quotes.
        parameters: one a mark: None, bool, int, float, text, a time (UTC where it has a zone), or a list of such.
    """
    pieces = _MARKS.split(query)
    marks = pieces.count("?")
    if marks != len(parameters):
        raise ValueError(f"{len(parameters)} values for {marks} marks")
    literals = map(_literal, parameters)
    return "".join(next(literals) if piece == "?" else piece for piece in pieces)


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool | int):
        return str(value).lower()
    if isinstance(value, float):
        return f"'{float.__repr__(value)}'::DOUBLE"  # a bare 0.1 is a DECIMAL, whose cast misses by an ulp
    if isinstance(value, str):
        return sql_text(storable(value))
    if isinstance(value, dt.datetime):
        return f"'{value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value}'::TIMESTAMP"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    raise TypeError(f"{type(value).__name__} has no literal")
