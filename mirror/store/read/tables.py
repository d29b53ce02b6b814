"""Tables that runs logged, as their histories name them: key, step, and the file that holds the rows."""

from __future__ import annotations

import msgspec

from mirror.records.addresses import RunPath
from mirror.store.engine.queries import Queryable, structs
from mirror.store.schema.keys import OF_RUN
from mirror.store.schema.views import TABLE_COLUMNS, is_table


class TableRow(msgspec.Struct, frozen=True, kw_only=True):
    """A table at the step where it was logged."""

    key: str
    step: int
    path: str  # of its file in the run
    sha256: str | None  # of the file
    increment: int | None  # its number, of a table that is logged bit by bit


_COLUMNS = ", ".join(f"{TABLE_COLUMNS.get(name, name)} AS {name}" for name in TableRow.__struct_fields__)


def list_tables(lake: Queryable, run: RunPath, key: str | None = None) -> list[TableRow]:
    """The tables of a run, by key and step; with `key` those of that key alone."""
    rows = lake.rows(
        f"SELECT {_COLUMNS} FROM lake.metrics WHERE {OF_RUN} AND coalesce(key = ?, true) AND {is_table('text')}"
        " ORDER BY key, step",
        [*run, key],
    )
    return [row for row in structs(TableRow, rows) if row.path]
