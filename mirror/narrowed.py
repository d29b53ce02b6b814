"""Which runs of a source are wanted, as W&B's filter."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any


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
        ValueError: it is no JSON object.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"the filter is not JSON: {error}") from error
    if not isinstance(value, dict) or not value:
        raise ValueError('the filter must be a JSON object, such as {"state": "finished"}')
    return value


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
