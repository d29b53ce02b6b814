"""Errors beside data that name nothing that is lacking: without a path, or with one that is not the answer's.

Such a path may have the name of a field in place of its alias, an index beyond the list, or end at a run that came.
What came is believed, whatever is reported beside it; a null may be one for that error's sake, and tells nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mirror.api.rows.answers import one_line
from mirror.api.rows.flaws import failed_fields
from mirror.errors import Reported
from mirror.typed import decode

Path = Sequence[str | int]


def that_lead(data: msgspec.Raw, errors: Sequence[Reported], depth: int) -> tuple[Reported, ...]:
    """Those errors whose path leads to a field of a row, or to a null on the way there.

    Args:
        data: what came beside them.
        errors: as the server reports them.
        depth: steps that lead to a row.
    """
    root = _plain(data)
    return tuple(error for error in errors if _leads(root, error.path, depth))


def failed_of_aliases(
    data: msgspec.Raw, errors: Sequence[Reported], prefix: Sequence[str]
) -> dict[str | int, dict[str, str]] | None:
    """`failed_fields` of rows that have an alias each; an error that leads nowhere is of every null of theirs.

    Args:
        data: what came beside them.
        errors: as the server reports them.
        prefix: the path to the aliases.

    Returns:
        By alias, the reason by field; None when a row failed as a whole, or may have.
    """
    if not errors:
        return {}
    root = _plain(data)
    placed = [error for error in errors if _leads(root, error.path, len(prefix) + 1)]
    failed, lost = failed_fields(placed, prefix), [error for error in errors if error not in placed]
    if failed is None or not lost:
        return failed
    rows = _at(root, prefix)
    if not isinstance(rows, Mapping) or None in rows.values():
        return None
    words = one_line("; ".join(dict.fromkeys(error.message for error in lost)))
    for alias, row in rows.items():
        nulls = [name for name, value in row.items() if value is None] if isinstance(row, Mapping) else []
        if nulls:
            failed[alias] = {**dict.fromkeys(nulls, words), **failed.get(alias, {})}
    return failed


def _plain(data: msgspec.Raw) -> object:
    try:
        return decode(data, object)
    except (ValueError, RecursionError):
        return None


def _at(root: object, path: Path) -> object:
    here = root
    for step in path:
        here = here.get(step) if isinstance(here, Mapping) else None
    return here


def _leads(root: object, path: Path, depth: int) -> bool:
    here: Any = root
    for step in path:
        if here is None:
            return True
        steps = here if isinstance(here, Mapping) else range(len(here)) if isinstance(here, list) else ()
        if step not in steps:
            return False
        here = here[step]
    return here is None or len(path) > depth
