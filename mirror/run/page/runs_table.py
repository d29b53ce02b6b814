"""A list of runs as a table for a notebook's cell: the first ones, what they are called, and their first numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mirror.run.page.text import element, shortened, text
from mirror.texts.amounts import plural

RUNS_SHOWN = 20
_FACTS = ("display_name", "run_id", "state", "created_at", "user", "tags")
_KEYS_SHOWN = 5  # of config, and of summary
_CELL_MOST = 80  # characters


def runs_table(place: str, count: int, columns: Mapping[str, Sequence[Any]]) -> str:
    """The table.

    Args:
        place: entity and project.
        count: how many runs there are.
        columns: of the runs that are shown, as `RunTable` has them.
    """
    names = [*_FACTS, *_keys(columns, "config."), *_keys(columns, "summary.")]
    head = element("thead", element("tr", *(element("th", text(shortened(name, _CELL_MOST))) for name in names)))
    rows = [
        element("tr", *(element("td", text(shortened(_cell(value), _CELL_MOST))) for value in row))
        for row in zip(*(columns[name] for name in names), strict=True)
    ]
    shown = f", the first {len(rows)}" if len(rows) < count else ""
    title = element("p", text(f"{plural(count, 'run')} of {place}{shown}"))
    return element("div", title, element("table", head, element("tbody", *rows)))


def _keys(columns: Mapping[str, Sequence[Any]], prefix: str) -> list[str]:
    """The keys with plain values, W&B's own left out: those that tell the runs apart go first."""
    plain = [
        name
        for name, values in columns.items()
        if name.startswith(prefix)
        and not name.startswith(f"{prefix}_")
        and not any(isinstance(value, list | dict) for value in values)
    ]
    return sorted(plain, key=lambda name: len({_cell(value) for value in columns[name]}) < 2)[:_KEYS_SHOWN]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, default=str)
