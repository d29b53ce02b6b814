"""SQL of the page: one question at a time, fenced as `wandb-mirror sql` is, within time and rows."""

from __future__ import annotations

import csv
import itertools
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from mirror.errors import QueryError
from mirror.gateway.context import RequestContext
from mirror.layout import Home
from mirror.run.sql import connect
from mirror.store.engine.connection import Engine
from mirror.store.engine.queries import Queryable
from mirror.store.sql.catalogue import table_columns
from mirror.store.sql.guard import SqlGuard
from mirror.store.sql.statements import plain, run_sql, write_parquet
from mirror.store_settings import StoreSettings
from mirror.web.asked import Asked, body_of

MOST_ROWS = 10_000
PATIENCE_S = 120.0
_LIMITS = StoreSettings(memory_limit_mb=2048, threads=2)


class Query(msgspec.Struct, frozen=True):
    """One statement."""

    query: str
    limit: int = 1_000


def sql(home: Home, content: bytes) -> dict[str, Any]:
    """The first rows of an answer.

    Raises:
        QueryError: in DuckDB's words, or it does more than read.
    """
    asked, begun = body_of(content, Query), time.monotonic()
    limit = max(1, min(asked.limit, MOST_ROWS))
    with _guarded(home) as (engine, guard):
        result = run_sql(engine, asked.query, guard=guard)
        rows = [[plain(value) for value in row] for row in itertools.islice(result.rows(limit + 1), limit + 1)]
    return {
        "columns": [{"name": column.name, "type": column.type} for column in result.columns], "rows": rows[:limit],
        "more": len(rows) > limit, "seconds": round(time.monotonic() - begun, 3),
    }  # fmt: skip


def sql_file(home: Home, content: bytes, form: str) -> Path:
    """A whole answer as a file, `csv` or `parquet`, which the caller removes.

    Raises:
        QueryError: as `sql`.
        OSError: the disk is full.
    """
    asked = body_of(content, Query)
    target = Path(tempfile.mkdtemp(prefix="wandb-mirror-sql-")) / f"answer.{form}"
    try:
        with _guarded(home) as (engine, guard):
            if form == "parquet":
                write_parquet(engine, asked.query, target, guard=guard)
            else:
                _write_csv(engine, asked.query, target, guard)
    except BaseException:
        target.unlink(missing_ok=True)
        target.parent.rmdir()
        raise
    return target


def schema(ctx: RequestContext, _: Asked) -> dict[str, Any]:
    """The views and their columns."""

    def read(_lake: Queryable) -> list[dict[str, Any]]:
        engine = connect(ctx.mirror.home, settings=_LIMITS)
        try:
            found = table_columns(engine)
        finally:
            engine.close()
        return [
            {"name": name, "columns": [[column.name, column.type] for column in columns]}
            for name, columns in found.items()
        ]

    return {"views": ctx.recall("views", read)}


def _write_csv(engine: Engine, query: str, target: Path, guard: SqlGuard) -> None:
    result = run_sql(engine, query, guard=guard)
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([column.name for column in result.columns])
        writer.writerows(result.rows())


@contextmanager
def _guarded(home: Home) -> Iterator[tuple[Engine, SqlGuard]]:
    """A connection of one question's own, which is stopped when it takes too long."""
    engine = connect(home, settings=_LIMITS)
    stopped = threading.Event()

    def stop() -> None:
        stopped.set()
        engine.interrupt()

    timer = threading.Timer(PATIENCE_S, stop)
    timer.daemon = True
    try:
        guard = SqlGuard(engine, home)
        timer.start()
        yield engine, guard
    except QueryError as error:
        if stopped.is_set():
            raise QueryError(
                f"the question took longer than {PATIENCE_S:.0f} s", hint="narrow it, or use `wandb-mirror sql`"
            ) from error
        raise
    finally:
        timer.cancel()
        engine.close()
