"""What a person may name in SQL: tables with their columns, words of the language, keys that runs logged."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import msgspec

from mirror.store.sql.statements import query_error

MOST = 10_000  # texts that are offered
# Where the texts that stand in a column come from, and of which column they are worth offering.
_KEYS_OF = "SELECT DISTINCT unnest(json_keys({column})) FROM runs WHERE {column} IS NOT NULL"
_TEXTS: Mapping[tuple[str, str], str] = {
    ("metrics", "key"): "SELECT DISTINCT key FROM metrics",
    ("system_metrics", "key"): "SELECT DISTINCT key FROM system_metrics",
    ("runs", "config"): _KEYS_OF.format(column="config"),
    ("runs", "summary"): _KEYS_OF.format(column="summary"),
    ("runs", "system_metrics"): _KEYS_OF.format(column="system_metrics"),
    **{
        ("runs", name): f'SELECT DISTINCT "{name}" FROM runs WHERE "{name}" IS NOT NULL'
        for name in ("entity", "project", "state", "group", "job_type", "sweep", "user", "display_name", "run_id")
    },
    ("runs", "tags"): "SELECT DISTINCT unnest(tags) FROM runs",
}


class Column(msgspec.Struct, frozen=True):
    """A column of a table."""

    name: str
    type: str  # DuckDB's name


def table_columns(engine: duckdb.DuckDBPyConnection) -> dict[str, list[Column]]:
    """The columns of every view, and of tables that were made in memory, by name.

    Raises:
        QueryError: in DuckDB's words.
    """
    rows = _rows(
        engine,
        "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal"
        " AND database_name IN ('memory', 'temp') ORDER BY table_name, column_index",
    )
    found: dict[str, list[Column]] = {}
    for table, name, kind in rows:
        found.setdefault(table, []).append(Column(name, kind))
    return found


def words_of_sql(engine: duckdb.DuckDBPyConnection) -> tuple[list[str], frozenset[str]]:
    """Words that may be typed in a statement (keywords in capitals, and functions), and those that name no column
    without quotes.

    Raises:
        QueryError: in DuckDB's words.
    """
    keywords = _rows(engine, "SELECT upper(keyword_name), keyword_category = 'reserved' FROM duckdb_keywords()")
    functions = _rows(
        engine,
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('scalar', 'aggregate')"
        " AND regexp_full_match(function_name, '[a-z][a-z0-9_]*')",
    )
    reserved = frozenset(word.lower() for word, is_reserved in keywords if is_reserved)
    return sorted({word for word, _ in keywords} | {name for (name,) in functions}), reserved


def texts_of(engine: duckdb.DuckDBPyConnection, table: str, column: str) -> list[str]:
    """The texts that a column holds, or the keys of its documents, in order: at most `MOST`, none where that is not
    known of the column.

    Raises:
        QueryError: in DuckDB's words.
    """
    query = _TEXTS.get((table, column))
    if query is None:
        return []
    return sorted(text for (text,) in _rows(engine, f"{query} LIMIT {MOST}"))


def _rows(engine: duckdb.DuckDBPyConnection, query: str) -> list[tuple[str, ...]]:
    try:
        return engine.execute(query).fetchall()
    except duckdb.Error as error:
        raise query_error(error) from error
