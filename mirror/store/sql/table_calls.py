"""`logged_table('run', 'key')` in SQL: the tables that a statement calls for are put beside it before it runs.

DuckDB has no function that gives rows of columns which it only knows when it looks. So the calls are found in the text,
each table is registered under a name of its own, and a macro `logged_table` of this connection leads from the texts of
a call to that name. A call takes two texts, for which run and key are known before anything runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import duckdb

from mirror.errors import QueryError
from mirror.store.engine.connection import Engine, sql_name, sql_text

JSON_MARK = {b"wandb-mirror": b"json"}  # as `wide_columns` marks a field, which brings all of Arrow along

NAME = "logged_table"
TableSource = Callable[[str, str], Any]  # run and key to a table of Arrow's; raises a MirrorError
MOST = 64  # tables that a connection holds at once
_Held = dict[tuple[str, str], str]  # what gives the tables that are registered, by run and key


class _Tables(NamedTuple):
    source: TableSource
    held: _Held


_known: WeakKeyDictionary[Engine, _Tables] = WeakKeyDictionary()


def use_tables(engine: Engine, source: TableSource) -> None:
    """Let a connection find tables."""
    _known[engine] = _Tables(source, {})


def prepare_tables(engine: Engine, text: str) -> None:
    """Register the tables that a statement calls for; nothing where it calls for none.

    Raises:
        QueryError: a call has other arguments than two texts, or there are too many.
        NotMirrored: a table is not in the mirror.
    """
    tables = _known.get(engine)
    calls = table_calls(text) if tables is not None and NAME in text.lower() else []
    if tables is None or not calls:
        return
    for call in dict.fromkeys(calls):
        if call in tables.held:
            continue
        if len(tables.held) == MOST:
            raise QueryError(f"more than {MOST} logged tables in one connection", hint="ask for fewer at a time")
        name, table = f"{NAME} {len(tables.held) + 1}", tables.source(*call)
        if not len(table.schema):
            raise QueryError(f"the logged table {call[1]!r} has no columns", hint="FROM logged_tables lists all")
        engine.register(name, table)
        tables.held[call] = _select(name, table)
    cases = " ".join(
        f"WHEN run = {sql_text(run)} AND key = {sql_text(key)} THEN {sql_text(query)}"
        for (run, key), query in tables.held.items()
    )
    engine.execute(f"CREATE OR REPLACE TEMP MACRO {NAME}(run, key) AS TABLE SELECT * FROM query(CASE {cases} END)")


def _select(name: str, table: Any) -> str:
    """A registered table; texts that are JSON as JSON, but in a column without a name, which SQL cannot name either."""
    parsed = [sql_name(field.name) for field in table.schema if field.metadata == JSON_MARK and field.name]
    replaced = f" REPLACE ({', '.join(f'{column}::JSON AS {column}' for column in parsed)})" if parsed else ""
    return f"SELECT *{replaced} FROM {sql_name(name)}"


def table_calls(text: str) -> list[tuple[str, str]]:
    """Run and key of each call in a statement.

    Raises:
        QueryError: a call has other arguments than two texts.
    """
    pieces = _pieces(text)
    calls = []
    for place, piece in enumerate(pieces):
        if piece.lower().strip('"') != NAME or pieces[place + 1 : place + 2] != ["("]:
            continue
        first, comma, second, end = (*pieces[place + 2 : place + 6], "", "", "", "")[:4]
        if (comma, end) != (",", ")") or not (_is_text(first) and _is_text(second)):
            raise QueryError(f"{NAME} takes a run and a key as two texts", hint=f"SELECT * FROM {NAME}('run', 'key')")
        calls.append((_text(first), _text(second)))
    return calls


def _pieces(text: str) -> list[str]:
    """The words, marks and texts of a statement, without comments and blanks."""
    raw = text.encode()
    found = duckdb.tokenize(text)
    ends = [at for at, _ in found[1:]] + [len(raw)]
    pieces = []
    for (at, kind), end in zip(found, ends, strict=True):
        piece = raw[at:end].decode(errors="replace")
        if kind == duckdb.token_type.comment:
            continue
        pieces.append(_whole_text(piece) if kind == duckdb.token_type.string_const else _word(piece))
    return pieces


def _word(piece: str) -> str:
    """A word without the blanks and comments that follow it; a mark alone."""
    end = next((at for at, sign in enumerate(piece) if not (sign.isalnum() or sign in '_$"')), len(piece))
    return piece[: max(1, end)]


def _whole_text(piece: str) -> str:
    """A text in quotes without what follows it; its own quotes are doubled."""
    return piece[: piece.rindex("'") + 1] if "'" in piece else piece


def _is_text(piece: str) -> bool:
    return len(piece) > 1 and piece[0] == piece[-1] == "'"


def _text(piece: str) -> str:
    return piece[1:-1].replace("''", "'")
