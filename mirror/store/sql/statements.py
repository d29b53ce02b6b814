"""SQL for people: a connection with friendly views, and answers with every value exact and ready for JSON."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import errno
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from mirror.durable import sync_file, sync_folder
from mirror.errors import LakeAway, QueryError, StoreError
from mirror.layout import Home, find_home
from mirror.store.engine.connection import is_away, plan_lightly, sql_name, store_errors, use_threads
from mirror.store.engine.literals import inlined
from mirror.store.engine.reading import open_version
from mirror.store.engine.storages import storage_of
from mirror.store.read.queued_runs import Overlaid, overlaid_relation
from mirror.store.schema.views import macros, made_views, views
from mirror.store.sql.guard import UNSAFE, SqlGuard, is_one, several, without_end
from mirror.store.sql.table_calls import TableSource, prepare_tables, use_tables
from mirror.store_settings import StoreSettings
from mirror.texts.nonfinite import finite
from mirror.texts.values import parse_lenient, unique_names


def connect(
    home: str | os.PathLike[str] | Home | None = None,
    *,
    settings: StoreSettings | None = None,
    queued: Sequence[Overlaid] = (),
    tables: TableSource | None = None,
) -> duckdb.DuckDBPyConnection:
    """The lake for SQL, with its views; arguments, answer and errors as `mirror.connect`'s.

    Args:
        queued: runs that the view `runs` is to show as operations will make them; `runs_upstream` has what is mirrored.
        tables: gives the tables that `run_sql` and `write_parquet` find called for as `logged_table('run', 'key')`.
    """
    place = home if isinstance(home, Home) else find_home(home)
    with store_errors(place):
        storage = storage_of(place)
    engine, version = open_version(place, settings, storage)
    with store_errors(place):
        try:
            engine.execute("BEGIN")  # outside of a transaction DuckLake reads its catalog anew for each statement
            found = dict(views(version))
            found["runs_upstream"] = found.pop("runs")
            found["runs"] = f"SELECT * FROM {overlaid_relation('runs_upstream', queued) if queued else 'runs_upstream'}"
            for name, query in {**found, **made_views()}.items():
                engine.execute(f"CREATE VIEW {sql_name(name)} AS {query}")
            for name, expression in macros().items():
                engine.execute(f"CREATE MACRO {name} AS {expression}")
            engine.execute("COMMIT")
            use_threads(engine, settings)
            if storage.is_small:  # else what somebody asks deserves to be planned
                plan_lightly(engine)
            engine.execute("RESET GLOBAL preserve_insertion_order")  # a person sees rows in the order that is asked for
        except BaseException:
            with contextlib.suppress(duckdb.Error):
                engine.execute("ROLLBACK")
            engine.close()
            raise
    if tables is not None:
        use_tables(engine, tables)
    return engine


FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
ROWS_OF_A_BATCH = 10_000  # of an answer that is written to a file


class ResultColumn(msgspec.Struct, frozen=True):
    """One column of an answer."""

    name: str
    type: str  # DuckDB's name


class ResultSet:
    """An answer, read forward once in batches, so that its size does not matter."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor
        self.columns = [ResultColumn(str(item[0]), str(item[1])) for item in cursor.description or []]

    def rows(self, batch: int = 1000) -> Iterator[tuple[Any, ...]]:
        """Rows of Python values, JSON columns as their text.

        Raises:
            QueryError: DuckDB failed on the way, for example on a cast of a later row.
        """
        while True:
            try:
                chunk = self._cursor.fetchmany(batch)
            except duckdb.Error as error:
                raise query_error(error) from error
            if not chunk:
                return
            yield from chunk

    def plain_rows(self) -> Iterator[dict[str, Any]]:
        """Rows as objects that `json.dumps` takes: JSON columns parsed, integers exact, `NaN` as W&B's strings."""
        names = unique_names([column.name for column in self.columns])
        parsed = [column.type == "JSON" for column in self.columns]
        for row in self.rows():
            yield {
                name: plain(json_value(value) if is_json and isinstance(value, str) else value)
                for name, value, is_json in zip(names, row, parsed, strict=True)
            }


def run_sql(
    engine: duckdb.DuckDBPyConnection, text: str, parameters: Sequence[Any] = (), *, guard: SqlGuard | None = None
) -> ResultSet:
    """Execute one statement.

    Args:
        engine: from `mirror.connect`.
        text: one SQL statement.
        parameters: values for its `?` marks.
        guard: refuses what does more than read; None: everything runs.

    Raises:
        QueryError: in DuckDB's words.
    """
    text = without_end(text)
    try:
        statements = engine.extract_statements(text)
        if not statements:
            raise QueryError("the query is empty", hint='for example "SELECT state, count(*) FROM runs GROUP BY state"')
        if guard is not None:
            guard.check(text)
        if not is_one(statements):
            raise several()
        prepare_tables(engine, text)
        return ResultSet(engine.execute(inlined(text, parameters) if parameters else text))
    except duckdb.Error as error:
        raise query_error(error) from error


def write_parquet(engine: duckdb.DuckDBPyConnection, text: str, target: Path, *, guard: SqlGuard | None = None) -> int:
    """Write a query's answer to a Parquet file, whole or not at all.

    Args:
        engine: from `mirror.connect`.
        text: one SQL statement.
        target: the file.
        guard: refuses what does more than read; None: everything runs.

    Returns:
        How many rows were written.

    Raises:
        QueryError: in DuckDB's words, a column has a type that Parquet does not, or the file cannot be made.
        OSError: the disk is full. `target` is untouched.
    """
    import pyarrow as pa  # a tenth of a second, and most questions write nothing
    import pyarrow.parquet as pq

    text, rows = without_end(text), 0
    temporary = target.with_name(f".tmp-{secrets.token_hex(8)}.parquet")
    try:
        if guard is not None:
            guard.check(text, answers=True)
        if not is_one(engine.extract_statements(text)):
            raise several()
        prepare_tables(engine, text)
        batches = engine.execute(text).to_arrow_reader(ROWS_OF_A_BATCH)
        with pq.ParquetWriter(temporary, batches.schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch)
                rows += len(batch)
        sync_file(temporary)
        temporary.replace(target)
        sync_folder(target.parent)
    except duckdb.Error as error:
        raise query_error(error) from error
    except pa.ArrowNotImplementedError as error:
        raise QueryError(
            f"Parquet does not hold such a column: {error}", hint="cast it, for example with ::VARCHAR"
        ) from error
    except (OSError, pa.ArrowException) as error:  # a late row fails as an error of Arrow, too
        if isinstance(error, OSError) and error.errno in FULL:
            raise  # said as of any answer that finds no room
        raise QueryError(f"the answer cannot be written to {target}: {str(error).splitlines()[0]}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return rows


def query_error(error: duckdb.Error) -> StoreError:
    """DuckDB's error as ours: its first paragraph, and the pointer into the query as the hint."""
    if f"{os.sep}lake{os.sep}data{os.sep}" in str(error):
        return StoreError(
            f"a data file of the lake is missing or damaged: {str(error).splitlines()[0]}",
            hint="restore lake/data from a backup; the rows of the other files can still be read",
        )
    if is_away(error):
        return LakeAway("the database or the bucket of the shared lake does not answer")
    lines = [line for line in str(error).splitlines() if line.strip()]
    message = lines[0] if lines else type(error).__name__
    if "read-only mode" in message or "only delete from base table" in message or "only update base table" in message:
        return QueryError("the mirror is read-only for SQL", hint="only a pull writes it")
    if "disabled by configuration" in message or "through configuration" in message:
        return QueryError(f"sql reads nothing but the mirror: {message}", hint=UNSAFE)
    if "has been locked" in message:
        return QueryError(f"sql keeps its settings: {message}", hint=UNSAFE)
    if "JSON" in message and "explicit type casts" in str(error):
        return QueryError(
            message, hint="a value of JSON is num(config, 'key') as a number, str(config, 'key') as a text"
        )
    if "No function matches" in message and "VARCHAR" in message:
        return QueryError(
            message,
            hint="a value of JSON is num(summary, 'key') as a number; a text is one by TRY_CAST(x AS DOUBLE)",
        )
    tables = 'see `wandb-mirror sql "DESCRIBE runs"` for the columns'
    return QueryError(message, hint="\n".join(lines[1:]) or tables)


def json_value(text: str) -> Any:
    """The value of a JSON column; the text itself where it nests too deeply to be walked."""
    return parse_lenient(text, otherwise=text)


def plain(value: Any) -> Any:
    """A value as JSON can hold it: exact integers, `"NaN"` and `"Infinity"` as W&B's strings, times as ISO 8601."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return finite(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)
