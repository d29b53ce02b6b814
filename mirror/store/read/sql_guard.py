"""SQL of people that neither writes nor reads anything but the mirror: which statements run, which files they see.

Two fences: a statement is let through by its kind, and DuckDB itself opens no file outside of the lake.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import duckdb

from mirror.errors import QueryError
from mirror.layout import Home
from mirror.store.engine.connection import sql_text

UNSAFE = "`wandb-mirror sql --unsafe` lets DuckDB do everything that it can"
_KINDS = frozenset(
    {
        duckdb.StatementType.SELECT, duckdb.StatementType.SET, duckdb.StatementType.TRANSACTION,
        duckdb.StatementType.EXPLAIN, duckdb.StatementType.CREATE,
    }
)  # fmt: skip
_EXPLAINED = re.compile(r"\s*explain\s+(?:analyze\s+)?(?:\([^)]*\)\s*)?", re.IGNORECASE)
_MADE_IN_MEMORY = re.compile(
    r"\s*create\s+(?:or\s+replace\s+)?temp(?:orary)?\s+(?:view|table|macro|function)\b", re.IGNORECASE
)
_PIVOTED = [duckdb.StatementType.CREATE, duckdb.StatementType.SELECT]
# Functions of DuckLake that change files behind a read-only catalog, and the one that runs a text as a query.
_MAINTAINS = re.compile(
    r"expire_snapshots|cleanup_old_files|delete_orphaned_files|merge_adjacent_files|rewrite_data_files"
    r"|flush_inlined_data|add_data_files|set_option|set_commit_message|\bquery\"?\s*\(",
    re.IGNORECASE,
)


def fence(engine: duckdb.DuckDBPyConnection, home: Home, *also: Path) -> None:
    """Let a connection open no files but those of the lake; what it is set to stays so.

    Args:
        engine: from `connect`.
        home: whose lake.
        also: further folders, for the file that an answer is written to.
    """
    attached = engine.execute("SELECT path FROM duckdb_databases() WHERE path IS NOT NULL").fetchall()
    catalogs = {Path(str(path).rpartition(":")[2]).parent for (path,) in attached}  # a private copy may lie elsewhere
    spill = engine.execute("SELECT current_setting('temp_directory')").fetchone()
    folders = {home.lake, *catalogs, *also, *([Path(str(spill[0]))] if spill else [])}
    listed = ", ".join(sql_text(str(folder.resolve())) for folder in sorted(folders))
    engine.execute(f"SET allowed_directories = [{listed}]")
    engine.execute("SET enable_external_access = false")
    engine.execute("SET lock_configuration = true")


def is_one(statements: Sequence[duckdb.Statement]) -> bool:
    """Whether a text was one statement; DuckDB makes several of a PIVOT, and those have no text."""
    return len(statements) < 2 or not any(statement.query.strip() for statement in statements)


def check_reads_only(engine: duckdb.DuckDBPyConnection, text: str) -> None:
    """Refuse a statement that may do more than read.

    Raises:
        QueryError: what it would do; a text that does not parse is left to whoever runs it.
    """
    try:
        statements = engine.extract_statements(text)
    except duckdb.Error:
        return
    kinds = [statement.type for statement in statements]
    if not (kinds == _PIVOTED and is_one(statements)):
        for kind in kinds:
            if kind not in _KINDS or (kind == duckdb.StatementType.CREATE and not _MADE_IN_MEMORY.match(text)):
                raise _refused(str(kind).rpartition(".")[2])
            if kind == duckdb.StatementType.EXPLAIN:
                check_reads_only(engine, _explained(text))
    if (found := _MAINTAINS.search(text)) is not None:
        raise _refused(found[0].rstrip("( \"'"))


def _explained(text: str) -> str:
    rest = _EXPLAINED.sub("", text, count=1)
    if rest == text or _EXPLAINED.match(rest):
        raise _refused("EXPLAIN of this kind")
    return rest


def _refused(what: str) -> QueryError:
    return QueryError(
        f"the mirror is read-only for SQL: {what} is refused", hint=f"`--output FILE` writes an answer; {UNSAFE}"
    )
