"""An answer of the store in one of the three forms."""

from __future__ import annotations

import datetime as dt
from typing import Any

from mirror.cli.terminal.output import print_json_rows, say
from mirror.cli.terminal.tables import print_csv, print_table
from mirror.cli.terminal.times import clock_text
from mirror.store.sql.statements import ResultSet

TABLE_ROWS = 1000  # a table on a screen is cut there; the other forms never are


def show(result: ResultSet, form: str, *, by_the_clock: bool = False) -> None:
    """Print an answer in one of the forms.

    Args:
        result: read to its end.
        form: `table`, `json` or `csv`.
        by_the_clock: a table shows times as people read them, else as the lake has them.
    """
    names = [column.name for column in result.columns]
    if form == "json":
        print_json_rows(result.plain_rows())
    elif form == "csv":
        print_csv(names, result.rows())
    else:
        rows: list[tuple[Any, ...]] = []
        for row in result.rows():
            if len(rows) == TABLE_ROWS:
                say(f"cut after {TABLE_ROWS:,} rows; add a LIMIT, or use --csv, --json or --output")
                break
            rows.append(tuple(map(_by_the_clock, row)) if by_the_clock else row)
        print_table(names, rows)
        if not rows:
            say("no rows")


def _by_the_clock(value: Any) -> Any:
    return clock_text(value) if isinstance(value, dt.datetime) else value
