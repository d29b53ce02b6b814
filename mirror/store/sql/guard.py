"""SQL of people that neither writes nor reads anything but the mirror: which statements run, which files they see.

Three fences: a statement is let through by its kind, a function that gives rows or changes something by its name, and
DuckDB itself opens no file outside of the lake. What is not known to read only is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import duckdb
from duckdb import StatementType as _Kind

from mirror.errors import QueryError
from mirror.layout import Home
from mirror.store.engine.connection import sql_text
from mirror.store.engine.storages import storage_of

UNSAFE = "`wandb-mirror sql --unsafe` lets DuckDB do everything that it can"
_PIVOTED = [_Kind.CREATE, _Kind.SELECT]  # what DuckDB makes of a PIVOT
_MADE_IN_MEMORY = frozenset({"view", "table", "macro", "function"})
_CALLED = frozenset({"table", "pragma", "table_macro"})  # kinds of functions that may do more than tell a value
# Of those, the ones that only read, and no file.
_READING = frozenset(
    {
        *(
            "logged_table",
            "generate_series",
            "histogram",
            "histogram_values",
            "icu_calendar_names",
            "json_each",
            "json_tree",
        ),
        *("pg_timezone_names", "range", "repeat", "repeat_row", "unnest", "test_all_types"),
        *("collations", "database_list", "database_size", "extension_versions", "functions", "metadata_info"),
        *("platform", "show", "show_databases", "show_tables", "show_tables_expanded", "storage_info", "table_info"),
        *("user_agent", "version", "ducklake_current_snapshot", "ducklake_last_committed_snapshot"),
        *("ducklake_list_files", "ducklake_options", "ducklake_settings", "ducklake_snapshots"),
        *("ducklake_table_changes", "ducklake_table_deletions", "ducklake_table_info", "ducklake_table_insertions"),
    }
)
_READING_PREFIXES = ("duckdb_", "pragma_")
_OF_THE_LAKE = "ducklake_"  # DuckLake calls its functions without this, too: `lake.snapshots()`


class _Token(NamedTuple):
    word: str  # lower-case; of a quoted name without its quotes
    at: int  # byte


def is_one(statements: Sequence[duckdb.Statement]) -> bool:
    """Whether a text was one statement; DuckDB makes several of a PIVOT, and those have no text."""
    return len(statements) < 2 or not any(statement.query.strip() for statement in statements)


def without_end(text: str) -> str:
    """A statement without the semicolons behind it, with which DuckDB does not know a PIVOT for one statement."""
    return text.strip().rstrip("; \t\r\n")


class SqlGuard:
    """Guards a connection: fences it off at once, and looks at each statement.

    Args:
        engine: from `connect`; its settings stay as they are from now on.
        home: whose lake it may read.
        goes_on: further statements follow on this connection, so that variables and what is temporary have a use.
    """

    def __init__(self, engine: duckdb.DuckDBPyConnection, home: Home, *, goes_on: bool = False) -> None:
        self._engine = engine
        self._goes_on = goes_on
        self._refused = _refused_functions(engine) if goes_on else None  # else when a statement calls something
        spill = engine.execute("SELECT current_setting('temp_directory')").fetchone()
        folders = {Path(str(spill[0]))} if spill else set()
        data = storage_of(home).address("")
        is_remote = "://" in data
        if not is_remote:  # a private copy of the catalog lies elsewhere
            attached = engine.execute("SELECT path FROM duckdb_databases() WHERE path IS NOT NULL").fetchall()
            folders |= {home.lake, *(Path(str(path).rpartition(":")[2]).parent for (path,) in attached)}
        allowed = [str(folder.resolve()) for folder in sorted(folders)] + [data] * is_remote
        engine.execute(f"SET allowed_directories = [{', '.join(map(sql_text, allowed))}]")
        engine.execute("SET enable_external_access = false")
        engine.execute("SET python_enable_replacements = false")
        engine.execute("SET lock_configuration = true")

    def check(self, text: str, *, answers: bool = False) -> None:
        """Refuse a text that may do more than read.

        Args:
            text: one statement.
            answers: whether it has to be one that answers with rows.

        Raises:
            QueryError: what it would do, or it is several.
            duckdb.Error: it does not parse.
        """
        text = without_end(text)
        statements = self._engine.extract_statements(text)
        if not is_one(statements):
            raise several()
        kinds = [statement.type for statement in statements]
        tokens = _tokens(text)
        if kinds and kinds not in ([_Kind.SELECT], _PIVOTED):
            self._check_kind(kinds, tokens, text, answers=answers)
        called = [token.word for token, following in pairwise(tokens) if following.word == "("]
        if called and self._refused is None:
            self._refused = _refused_functions(self._engine)
        for name in called:
            if name in (self._refused or ()):
                raise _refused(name)

    def _check_kind(self, kinds: list[_Kind], tokens: list[_Token], text: str, *, answers: bool) -> None:
        """Refuse a statement other than a SELECT, unless later ones get by it what they name, and mean the same."""
        if kinds == [_Kind.EXPLAIN]:
            inner = self._engine.extract_statements(_explained(tokens, text))
            if [statement.type for statement in inner] != [_Kind.SELECT]:
                raise _refused("EXPLAIN of anything but a SELECT")
            return
        words = [token.word for token in tokens]
        if kinds == [_Kind.TRANSACTION]:
            raise QueryError(
                f"{words[0].upper()} is refused: each statement sees one whole commit by itself",
                hint="several of them see the same one in Python, between BEGIN and COMMIT of `mirror.connect()`",
            )
        if kinds == [_Kind.SET]:
            self._check_setting(words)
        elif answers or kinds != [_Kind.CREATE] or not _is_temporary(words):
            raise _refused(str(kinds[0]).rpartition(".")[2])
        elif (name := _made(words)) in self._own_names():
            raise QueryError(
                f"{name} is the mirror's own: it would mean something else from now on", hint="choose another name"
            )
        if answers or not self._goes_on:
            raise QueryError(
                f"{words[0].upper()} is for later statements, and there are none",
                hint="type it at the prompt: `wandb-mirror sql` without a query",
            )

    def _check_setting(self, words: list[str]) -> None:
        """Let variables through; what names tables otherwise, or computes otherwise, stays as it is."""
        if words[:1] == ["use"] or not {"schema", "search_path"}.isdisjoint(words[1:3]):
            raise QueryError(
                "sql keeps its settings: names mean the mirror's views", hint="a table of the lake itself is lake.NAME"
            )
        if words[1:2] != ["variable"]:
            raise QueryError(
                "sql keeps its settings",
                hint=f"`store.memory_limit_mb` and `store.threads` are of the configuration; {UNSAFE}",
            )

    def _own_names(self) -> frozenset[str]:
        """The views and macros of the mirror."""
        rows = self._engine.execute(
            "SELECT view_name FROM duckdb_views() WHERE NOT internal AND NOT temporary UNION"
            " SELECT function_name FROM duckdb_functions() WHERE NOT internal AND database_name <> 'temp'"
        )
        return frozenset(str(name).lower() for (name,) in rows.fetchall())


def _is_temporary(words: list[str]) -> bool:
    """Whether `CREATE [OR REPLACE] TEMP …` makes something of this connection alone."""
    rest = words[3:] if words[1:3] == ["or", "replace"] else words[1:]
    return rest[:1] in (["temp"], ["temporary"]) and not _MADE_IN_MEMORY.isdisjoint(rest[1:2])


def _made(words: list[str]) -> str:
    """The name of what `CREATE [OR REPLACE] TEMP KIND [IF NOT EXISTS] [SCHEMA.]NAME …` makes."""
    at = 5 if words[1:3] == ["or", "replace"] else 3
    at += 3 if words[at : at + 3] == ["if", "not", "exists"] else 0
    while words[at + 1 : at + 2] == ["."]:
        at += 2
    return words[at] if at < len(words) else ""


def _explained(tokens: list[_Token], text: str) -> str:
    """The statement that is explained."""
    place, depth = 1, 0
    while place < len(tokens) and (depth or tokens[place].word in ("analyze", "analyse", "verbose", "(")):
        depth += (tokens[place].word == "(") - (tokens[place].word == ")")
        place += 1
    return text.encode()[tokens[place].at :].decode() if place < len(tokens) else ""


def _refused_functions(engine: duckdb.DuckDBPyConnection) -> frozenset[str]:
    kinds = ", ".join(map(sql_text, sorted(_CALLED)))
    rows = engine.execute(f"SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ({kinds})")
    names = {str(name).lower() for (name,) in rows.fetchall()}
    refused = {name for name in names - _READING if not name.startswith(_READING_PREFIXES)}
    return frozenset(refused | {name.removeprefix(_OF_THE_LAKE) for name in refused if name.startswith(_OF_THE_LAKE)})


def _tokens(text: str) -> list[_Token]:
    """Words of a statement, without comments and texts."""
    raw = text.encode()
    found = duckdb.tokenize(text)
    if not found:
        return []
    ends = [at for at, _ in found[1:]] + [len(raw)]
    tokens = []
    for (at, kind), end in zip(found, ends, strict=True):
        word = raw[at:end].decode(errors="replace")
        if kind == duckdb.token_type.string_const:
            tokens.append(_Token("''", at))
        elif word[:1] == '"':
            tokens.append(_Token(word[1 : word.rindex('"')].replace('""', '"').lower(), at))
        elif kind in (duckdb.token_type.identifier, duckdb.token_type.keyword):
            tokens.append(_Token(_first_word(word).lower(), at))
        else:
            tokens.append(_Token(word[:1], at))
    return tokens


def _first_word(text: str) -> str:
    """The name that a piece of a statement begins with: blanks and comments may follow."""
    end = next((place for place, sign in enumerate(text) if not (sign.isalnum() or sign in "_$")), len(text))
    return text[:end]


def several() -> QueryError:
    """The error for a text that is more than one statement."""
    return QueryError("these are several statements", hint="give one at a time")


def _refused(what: str) -> QueryError:
    return QueryError(
        f"the mirror is read-only for SQL: {what} is refused", hint=f"`--output FILE` writes an answer; {UNSAFE}"
    )
