"""Times as the page's answers have them."""

from __future__ import annotations

import datetime as dt


def utc_text(moment: dt.datetime | None) -> str | None:
    """ISO 8601 with a `Z`; a time without a zone is UTC, as the lake has it."""
    if moment is None:
        return None
    naive = moment if moment.tzinfo is None else moment.astimezone(dt.UTC).replace(tzinfo=None)
    return f"{naive.isoformat(timespec='seconds')}Z"
