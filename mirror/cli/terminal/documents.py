"""Config, summary and keys of a run on a page: a line a key, long values cut, of many keys the first ones.

Pure: a document in, lines of text out, in which nothing is left that a terminal acts on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mirror.texts.visible import visible, visible_json

MOST_KEYS = 40  # of a document on a page
NAMED = 6  # keys of a history on a page
_INDENT = 2  # characters


def folded(document: Any, *, width: int) -> list[str]:
    """A line for each key of a document, with its value as JSON; what is left out is said in the last line.

    Args:
        document: what JSON holds.
        width: characters of a line; longer values end with `…`.
    """
    if not isinstance(document, Mapping):
        return [_cut(_compact(document), width)]
    shown = list(document.items())[:MOST_KEYS]
    lines = [_cut(f"{'':{_INDENT}}{_compact(key)}: {_compact(value)}", width) for key, value in shown]
    left = len(document) - len(shown)
    return [*lines, *([f"{'':{_INDENT}}… {left:,} more keys: --all shows them"] if left else [])]


def whole(document: Any) -> list[str]:
    """A document as indented JSON."""
    return visible_json(json.dumps(document, ensure_ascii=False, indent=_INDENT)).split("\n")


def logged_keys(history_keys: Any) -> list[tuple[str, str, int]] | None:
    """The keys of a history as the server counts them: name, types, how often; W&B's own ones come last.

    Args:
        history_keys: W&B's document (`historyKeys`).

    Returns:
        None where the document has another form.
    """
    keys = history_keys.get("keys") if isinstance(history_keys, Mapping) else None
    if not isinstance(keys, Mapping):
        return None
    found = [(str(name), *_types(facts)) for name, facts in keys.items()]
    return sorted(found, key=lambda one: (one[0].startswith("_"), one[0]))


def rising_keys(history_keys: Any) -> set[str]:
    """The keys of a history that only rise, by the server's word: counters of epochs and samples."""
    keys = history_keys.get("keys") if isinstance(history_keys, Mapping) else None
    facts = keys.items() if isinstance(keys, Mapping) else ()
    return {str(name) for name, one in facts if isinstance(one, Mapping) and one.get("monotonic") is True}


def keys_line(keys: list[tuple[str, str, int]], *, width: int) -> str:
    """How many keys were logged, and the first few: as many as find room."""
    own = [visible(name) for name, _, _ in keys if not name.startswith("_")]
    named = own[:NAMED]
    while len(line := _keys_named(len(own), named)) > width and named:
        named.pop()
    return line


def _keys_named(count: int, named: Sequence[str]) -> str:
    names = ", ".join([*named, *(["…"] if len(named) < count else [])])
    return f"{count:,}{': ' if names else ''}{names} (--keys lists all)"


def _types(facts: Any) -> tuple[str, int]:
    """The types of a key's values, and how many values there are."""
    counts = facts.get("typeCounts") if isinstance(facts, Mapping) else None
    listed = [one for one in counts if isinstance(one, Mapping)] if isinstance(counts, list) else []
    number = sum(one["count"] for one in listed if isinstance(one.get("count"), int))
    return ", ".join(str(one.get("type")) for one in listed), number


def _compact(value: Any) -> str:
    return visible_json(json.dumps(value, ensure_ascii=False))


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: max(1, width - 1)]}…"
