"""An answer of the store in one of the three forms."""

from __future__ import annotations

from typing import Any

from mirror.cli.terminal.output import print_json_rows, say
from mirror.cli.terminal.tables import print_csv, print_table
from mirror.store.read.sql import ResultSet

TABLE_ROWS = 1000  # a table on a screen is cut there; the other forms never are


def show(result: ResultSet, form: str) -> None:
    """Print an answer in one of the forms."""
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
            rows.append(row)
        print_table(names, rows)
        if not rows:
            say("no rows")
