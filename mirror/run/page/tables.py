"""Config and summary as tables: nested values flattened, long ones shortened, their number bounded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from mirror.run.page.text import element, shortened, text
from mirror.texts.amounts import plural

ROWS_OPEN = 24  # rows that are shown at once; the others unfold
ROWS_MOST = 400
KEY_MOST = 200  # characters
VALUE_MOST = 400
DEEPEST = 6  # levels that are flattened; what lies below is JSON


def table(title: str, document: Mapping[str, Any], *, none: str) -> str:
    """A document as a titled table of its keys.

    Args:
        title: for people.
        document: JSON values by key.
        none: what is said when there is no key.
    """
    head = element("h2", text(title))
    rows = [_row(key, value) for key, value in islice(_flat("", document, 0), ROWS_MOST)]
    if not rows:
        return element("section", head, element("p", text(none), class_="wm-none"), class_="wm-table")
    total = sum(1 for _ in _flat("", document, 0))
    parts = [head, element("dl", *rows[:ROWS_OPEN])]
    if len(rows) > ROWS_OPEN:
        left = f" of {total - ROWS_OPEN:,}" if total > len(rows) else ""
        summary = element("summary", text(f"{len(rows) - ROWS_OPEN:,}{left} more"))
        parts.append(element("details", summary, element("dl", *rows[ROWS_OPEN:])))
    if total > len(rows):
        parts.append(element("p", text(f"{plural(total - len(rows), 'key')} not shown here"), class_="wm-none"))
    return element("section", *parts, class_="wm-table")


def _row(key: str, value: Any) -> str:
    content = _value(value)
    absent = "wm-null" if value is None else None
    return element(
        "div",
        element("dt", text(shortened(key, KEY_MOST))),
        element("dd", text(shortened(content, VALUE_MOST)), class_=absent),
    )


def _flat(prefix: str, document: Mapping[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    """Keys with their values; those of a nested object are joined by dots, and W&B's own come last."""
    for key in sorted(document, key=lambda name: (name.startswith("_"), 0)):
        value = document[key]
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value and depth < DEEPEST and "_type" not in value:
            yield from _flat(f"{name}.", value, depth + 1)
        else:
            yield name, value


def _value(value: Any) -> str:
    """A value as it is read: texts without quotes, all else as JSON has it."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and isinstance(value.get("_type"), str):
        return _media(value)
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        return "a value that cannot be shown"


def _media(value: dict[str, Any]) -> str:
    """An image, a table, a histogram: what it is, and where."""
    where = value.get("path") or value.get("artifact_path")
    return f"{value['_type']} \N{MIDDLE DOT} {where}" if isinstance(where, str) else value["_type"]
