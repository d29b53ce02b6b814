"""The reference of the views: columns and types from the schema of the lake, meanings from `meanings`."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import mirror
from mirror.layout import Home
from mirror.store.engine.lake import Lake
from mirror.store_settings import StoreSettings
from tests.pages.meanings import COLUMNS, OF_VIEW, VIEW


@cache
def columns() -> Mapping[str, Mapping[str, str]]:
    """Columns with their types, by view, as an empty mirror of this version shows them."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        with Lake(home, deployment="nobody", settings=StoreSettings(threads=1)):
            pass
        with mirror.connect(home.root, settings=StoreSettings(threads=1)) as engine:
            shown = engine.execute(
                "SELECT view_name FROM duckdb_views() WHERE NOT internal AND schema_name = 'main' ORDER BY view_oid"
            ).fetchall()
            return {
                name: {row[0]: row[1] for row in engine.execute(f'DESCRIBE "{name}"').fetchall()} for (name,) in shown
            }


def ordered() -> list[str]:
    """The views, those that people ask most first."""
    known = [name for name in VIEW if name in columns()]
    return [*known, *(name for name in columns() if name not in VIEW)]


def views() -> str:
    """A section for each view."""
    return "\n\n".join(_section(name) for name in ordered())


def meaning(view: str, column: str) -> str:
    """What a column says; empty where nobody wrote it down."""
    return OF_VIEW.get(view, {}).get(column) or COLUMNS.get(column, "")


def _section(view: str) -> str:
    rows = [f"| `{column}` | {kind} | {meaning(view, column)} |" for column, kind in columns()[view].items()]
    head = ["| column | type | meaning |", "|---|---|---|"]
    return "\n\n".join([f"## `{view}`", VIEW.get(view, ""), "\n".join([*head, *rows])])
