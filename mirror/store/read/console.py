"""Console output of a run as rows."""

from __future__ import annotations

import datetime as dt

import msgspec

from mirror.records.addresses import RunPath
from mirror.store.engine.queries import Queryable, aware_structs, columns_of, structs
from mirror.store.schema.keys import OF_RUN

_OF_RUN = f"FROM lake.console_lines WHERE {OF_RUN}"


class ConsoleRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line."""

    number: int
    at: dt.datetime | None  # UTC
    at_text: str | None  # as sent
    level: str
    label: str
    line: str


_ROW = columns_of(
    ConsoleRow,
    at="timestamp",
    at_text="timestamp_text",
    level="coalesce(level, '')",
    label="coalesce(label, '')",
    line="coalesce(line, '')",
)


class ConsoleSpan(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines of a run are held."""

    count: int
    first: int  # number of the first line; 0 when there is none
    last: int  # number of the last line

    @property
    def has_gaps(self) -> bool:
        """Whether a number in between is missing, so that a place does not tell the number."""
        return self.count > 0 and self.last - self.first + 1 != self.count


def console_span(lake: Queryable, run: RunPath) -> ConsoleSpan:
    """How many lines of a run are held."""
    rows = lake.rows(f"SELECT count(*), coalesce(min(number), 0), coalesce(max(number), 0) {_OF_RUN}", run)
    return structs(ConsoleSpan, rows)[0]


def read_console(lake: Queryable, run: RunPath, span: ConsoleSpan, start: int, stop: int) -> list[ConsoleRow]:
    """The lines at some places, oldest first.

    Args:
        lake: to ask.
        run: entity, project, run id.
        span: as the caller settled it before.
        start: place of the first line that is wanted, from 0.
        stop: place behind the last one.
    """
    query = f"SELECT {_ROW} {_OF_RUN}"
    if span.has_gaps:
        rows = lake.rows(f"{query} ORDER BY number LIMIT ? OFFSET ?", [*run, stop - start, start])
    else:  # by number, so that DuckDB skips what lies outside
        numbers = [span.first + start, span.first + stop]
        rows = lake.rows(f"{query} AND number >= ? AND number < ? ORDER BY number", [*run, *numbers])
    return aware_structs(ConsoleRow, rows)
