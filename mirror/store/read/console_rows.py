"""Console output of a run as rows."""

from __future__ import annotations

import datetime as dt

import msgspec

from mirror.records.addresses import RunPath
from mirror.store.engine.reader import Reader

_RUN = "entity = ? AND project = ? AND run_id = ?"


class ConsoleRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line."""

    number: int
    at: dt.datetime | None  # UTC
    level: str
    label: str
    line: str


class ConsoleSpan(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines of a run are held."""

    count: int
    first: int  # number of the first line; 0 when there is none
    last: int  # number of the last line

    @property
    def has_gaps(self) -> bool:
        """Whether a number in between is missing, so that a place does not tell the number."""
        return self.count > 0 and self.last - self.first + 1 != self.count


def console_span(reader: Reader, run: RunPath) -> ConsoleSpan:
    """How many lines of a run are held."""
    query = f"SELECT count(*), coalesce(min(number), 0), coalesce(max(number), 0) FROM lake.console_lines WHERE {_RUN}"
    ((count, first, last),) = reader.rows(query, run)
    return ConsoleSpan(count=count, first=first, last=last)


def read_console(reader: Reader, run: RunPath, span: ConsoleSpan, start: int, stop: int) -> list[ConsoleRow]:
    """The lines at some places, oldest first.

    Args:
        reader: of the mirror.
        run: entity, project, run id.
        span: as the caller settled it before.
        start: place of the first line that is wanted, from 0.
        stop: place behind the last one.
    """
    query = (
        "SELECT number, timestamp, coalesce(level, ''), coalesce(label, ''), coalesce(line, '')"
        f" FROM lake.console_lines WHERE {_RUN}"
    )
    if span.has_gaps:
        rows = reader.rows(f"{query} ORDER BY number LIMIT ? OFFSET ?", [*run, stop - start, start])
    else:  # by number, so that DuckDB skips what lies outside
        numbers = [span.first + start, span.first + stop]
        rows = reader.rows(f"{query} AND number >= ? AND number < ? ORDER BY number", [*run, *numbers])
    return [
        ConsoleRow(number=row[0], at=row[1] and row[1].replace(tzinfo=dt.UTC), level=row[2], label=row[3], line=row[4])
        for row in rows
    ]
