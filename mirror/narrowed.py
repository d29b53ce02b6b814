"""Which runs of a source are wanted, as W&B's filter."""

from __future__ import annotations

import datetime as dt
import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

GROUPS = ("$and", "$or", "$nor")  # of filters
OPERATORS = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$regex", "$not")  # of a field
DEEPEST = 50  # levels of a filter; far more than people write, far fewer than DuckDB refuses
_NO_OBJECT = 'the filter must be a JSON object, such as {"state": "finished"}'


def narrowed(
    filter_text: str, states: Sequence[str], tags: Sequence[str], since: str, now: dt.datetime
) -> dict[str, Any] | None:
    """The filter of a source's settings; None: all runs.

    Args:
        filter_text: JSON, or empty.
        states: one of which a run is in; empty: any.
        tags: all of which a run has.
        since: as `since_of` takes it, or empty.
        now: UTC.

    Raises:
        ValueError: one of them is wrong, in a sentence.
    """
    clauses: list[dict[str, Any]] = []
    if filter_text:
        clauses.append(filter_of(filter_text))
    if states:
        clauses.append({"state": {"$in": list(states)}})
    clauses += [{"tags": {"$in": [tag]}} for tag in tags]
    if since:
        clauses.append({"createdAt": {"$gte": f"{since_of(since, now):%Y-%m-%dT%H:%M:%S}"}})
    if not clauses:
        return None
    return clauses[0] if len(clauses) == 1 else {"$and": clauses}


def filter_of(text: str) -> dict[str, Any]:
    """A filter as W&B takes it.

    Raises:
        ValueError: it is no JSON object, an empty one, or has an operator that W&B does not know.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the filter is not JSON: {error}") from error
    if not value:
        raise ValueError(_NO_OBJECT)
    _check_tree(value, 0)
    found: dict[str, Any] = value
    return found


def _check_tree(tree: Any, depth: int) -> None:
    """Raise ValueError for what no server can take: they answer it in words of their own, or with an inner error."""
    if not isinstance(tree, Mapping):
        raise ValueError(_NO_OBJECT if depth == 0 else f"a filter is made of objects, not {tree!r}")  # noqa: TRY004 -- the text is wrong
    if depth > DEEPEST:
        raise ValueError(f"a filter may be {DEEPEST} levels deep, not more")
    for key, value in tree.items():
        if key in GROUPS:
            if not isinstance(value, list):
                raise ValueError(f"{key} of the filter needs a list, not {value!r}")
            for item in value:
                _check_tree(item, depth + 1)
        elif key == "$not":
            _check_tree(value, depth + 1)
        elif key.startswith("$"):
            raise _unknown_operator(key, (*GROUPS, "$not"))
        else:
            _check_condition(value, depth + 1)


def _check_condition(condition: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise ValueError(f"a filter may be {DEEPEST} levels deep, not more")
    if not isinstance(condition, Mapping) or not any(key.startswith("$") for key in condition):
        return
    for name, operand in condition.items():
        if name not in OPERATORS:
            raise _unknown_operator(name, OPERATORS)
        if name in ("$in", "$nin") and not isinstance(operand, list):
            raise ValueError(f"{name} of the filter needs a list, not {operand!r}")
        if name == "$not":
            _check_condition(operand, depth + 1)


def _unknown_operator(name: str, known: Sequence[str]) -> ValueError:
    near = difflib.get_close_matches(name, known, n=3)
    return ValueError(
        f"{name!r} is not a known filter operator; "
        + (f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}")
    )


def since_of(text: str, now: dt.datetime) -> dt.datetime:
    """The moment that `since` names, UTC.

    Raises:
        ValueError: with a sentence that names the forms.
    """
    days, unit = text[:-1], text[-1:]
    try:
        if unit == "d" and days.isascii() and days.isdecimal():
            return now - dt.timedelta(days=int(days))
        found = dt.datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise ValueError(f'since is a day, "2026-01-31", or a number of days, "90d"; got {text!r}') from error
    return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)
