"""What any question is asked of, and how an answer becomes structs.

A question is a function of a `Queryable`: the `Reader` of a home, the `Lake` that a process writes, or a `Snapshot` of
either. So those who pull, read and check ask in the same words.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from mirror.store.engine.connection import Engine, sql_name
from mirror.store.engine.literals import inlined
from mirror.typed import struct_of

T = TypeVar("T")


class Queryable(Protocol):
    """A lake, however it was opened."""

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of an answer from one commit.

        Args:
            query: SQL over `lake.*`, with `?` for values.
            parameters: the values.

        Raises:
            NotMirrored: nothing was pulled into this home yet.
            StoreError: the lake cannot be read.
        """


class Snapshot:
    """One commit of the lake, for questions that belong together.

    Args:
        engine: inside a transaction, or in the hands of the only writer.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """As `Queryable.rows`; DuckDB's errors are left to whoever opened the snapshot."""
        # To the end: an answer that is not keeps its transaction open, and maintenance waits for it.
        return self._engine.execute(inlined(query, parameters)).fetchall()


def columns_of(kind: type, /, **given: str) -> str:
    """The fields of a struct as what a SELECT lists: each the column of its name, or the expression given for it."""
    fields: tuple[str, ...] = kind.__struct_fields__  # type: ignore[attr-defined]
    return ", ".join(given.get(field) or sql_name(field) for field in fields)


def structs(kind: type[T], rows: Sequence[Sequence[Any]]) -> list[T]:
    """Rows as structs, whose fields are their columns in order."""
    return [struct_of(kind, row) for row in rows]


def aware(value: Any) -> Any:
    """A TIMESTAMP of the lake with its zone, UTC; anything else as it is."""
    return value.replace(tzinfo=dt.UTC) if isinstance(value, dt.datetime) else value


def aware_structs(kind: type[T], rows: Sequence[Sequence[Any]]) -> list[T]:
    """`structs` whose times have their zone."""
    return [struct_of(kind, map(aware, row)) for row in rows]
