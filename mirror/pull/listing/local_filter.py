"""The filters of a pull, applied here: for a server that lists all runs whatever is asked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from mirror.api.rows.times import time_or_none
from mirror.records.runs import RunRecord

_TIMES = {"heartbeatAt": "heartbeat_at", "createdAt": "created_at"}


def matches(run: RunRecord, filters: Mapping[str, Any] | None) -> bool:
    """Whether a run is one that a filter of `plan` asks for.

    Args:
        run: as listed.
        filters: Mongo-style, made of `$or`, `$in` on `name`, and `$gte` and `$lt` on times; None: every run.
    """
    return all(_clause(run, field, wanted) for field, wanted in (filters or {}).items())


def _clause(run: RunRecord, field: str, wanted: Any) -> bool:
    if field == "$or":
        return any(matches(run, clause) for clause in wanted)
    if field == "name":
        return run.run_id in wanted["$in"]
    moment: dt.datetime | None = getattr(run, _TIMES[field])
    return moment is not None and all(_compares(moment, sign, text) for sign, text in wanted.items())


def _compares(moment: dt.datetime, sign: str, text: str) -> bool:
    bound = time_or_none(text)
    if bound is None:
        return True
    return moment >= bound if sign == "$gte" else moment < bound
