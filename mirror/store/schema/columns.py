"""What a table is: its columns, each declared once. DDL, migrations, Arrow schemas and rows follow from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from mirror.store.engine.connection import sql_name

# DuckDB's names of types; `rows` knows Arrow's. Times are UTC.
ColumnType = Literal["VARCHAR", "JSON", "VARCHAR[]", "BIGINT", "DOUBLE", "BOOLEAN", "TIMESTAMP"]


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    type: ColumnType
    name: str
    value: Callable[[Any], Any] | None = None  # of a record; None: the record's attribute of this name
    required: bool = False  # NOT NULL
    since: int = 0  # version of the lake's schema that added it; 0: it came with its table
    shown: bool = True  # in the view of the table's name; else it is bookkeeping, or an exact text beside its value

    @property
    def ddl(self) -> str:
        """As `CREATE TABLE` has it."""
        return f"{sql_name(self.name)} {self.type}{' NOT NULL' if self.required else ''}"


text, json, texts = partial(Column, "VARCHAR"), partial(Column, "JSON"), partial(Column, "VARCHAR[]")
integer, number = partial(Column, "BIGINT"), partial(Column, "DOUBLE")
flag, time = partial(Column, "BOOLEAN"), partial(Column, "TIMESTAMP")


@dataclass(frozen=True)
class Table:
    """A table of the lake."""

    name: str
    since: int  # version of the lake's schema that made it
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()  # what tells rows apart, where they are merged

    @property
    def shown(self) -> tuple[Column, ...]:
        """The columns that the view of its name has."""
        return tuple(column for column in self.columns if column.shown)

    def migration(self, version: int) -> Iterator[str]:
        """What a version of the lake's schema changes about this table."""
        if version == self.since:
            first = ", ".join(column.ddl for column in self.columns if not column.since)
            yield f"CREATE TABLE lake.{self.name} ({first})"
        for column in self.columns:
            if column.since == version:
                yield f"ALTER TABLE lake.{self.name} ADD COLUMN {column.ddl}"


def migrations(tables: Iterable[Table], versions: int) -> tuple[tuple[tuple[str, str], ...], ...]:
    """The statements of each version, the first one first, each with the name of its table."""
    known = list(tables)
    return tuple(
        tuple((table.name, statement) for table in known for statement in table.migration(version))
        for version in range(1, versions + 1)
    )
