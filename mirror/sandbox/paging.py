"""Connections: opaque cursors, page limits, and sorted run listings that are kept between pages."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .mongo import Fields, compile_filters, field_getter
from .records import ProjectRecord, RunRecord
from .wire import SandboxError

PageLimitMode = Literal["cap", "error"]


@dataclass(frozen=True, kw_only=True)
class PageLimits:
    """Largest page served, and what becomes of a larger `first`: cut ("cap") or refused ("error")."""

    limit: int = 1000
    mode: PageLimitMode = "cap"

    def size(self, first: int | None, default: int = 50) -> int:
        asked = default if first is None else first
        if asked < 0:
            raise SandboxError("first must not be negative")
        if asked > self.limit and self.mode == "error":
            raise SandboxError(f"first must be at most {self.limit}")
        return min(asked, self.limit)


def encode_cursor(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def decode_cursor(text: str) -> Any:
    try:
        return json.loads(base64.urlsafe_b64decode(text.encode()))
    except ValueError:
        raise SandboxError("invalid cursor") from None


def connection(edges: list[dict[str, Any]], *, more: bool, **extra: Any) -> dict[str, Any]:
    """A connection value of `edges` ({"cursor", "node"})."""
    info = {
        "startCursor": edges[0]["cursor"] if edges else None,
        "endCursor": edges[-1]["cursor"] if edges else None,
        "hasNextPage": more,
        "hasPreviousPage": False,
    }
    return {"edges": edges, "pageInfo": info, **extra}


def page(items: Sequence[Any], first: int | None, after: str | None, limits: PageLimits, **extra: Any) -> Any:
    """A page of a plain list, with cursors by position."""
    size = limits.size(first)
    start = int(decode_cursor(after)) if after else 0
    chosen = items[start : start + size]
    edges = [{"cursor": encode_cursor(start + i + 1), "node": item} for i, item in enumerate(chosen)]
    return connection(edges, more=start + size < len(items), totalCount=len(items), **extra)


def ordered(items: Sequence[Any], order: str | None, fields: Fields) -> list[Any]:
    """`items` by an order such as "name" or "-createdAt"; as they are without one. Equal ones keep their order."""
    if not order:
        return list(items)
    get = fields(order.lstrip("+-"))
    return sorted(items, key=lambda item: _rank(get(item)), reverse=order.startswith("-"))


SortKey = tuple[int, Any, int]
"""(rank of the value's type, value, number of the run): total, and spelled in a cursor."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The runs that match filters, in order."""

    keys: list[SortKey]
    runs: list[RunRecord]
    descending: bool

    def start_after(self, cursor: str | None) -> int:
        """Position of the first run behind the cursor, also when runs came or went meanwhile."""
        if not cursor:
            return 0
        rank, value, number = decode_cursor(cursor)
        mark: SortKey = (rank, value, number)
        low, high = 0, len(self.keys)
        while low < high:
            middle = (low + high) // 2
            behind = self.keys[middle] < mark if self.descending else self.keys[middle] > mark
            if behind:
                high = middle
            else:
                low = middle + 1
        return low


class RunListings:
    """Sorted listings by project, filters and order, kept until the project changes."""

    def __init__(self, keep: int = 64) -> None:
        self._kept: dict[tuple[int, str | None, str | None], tuple[int, Listing]] = {}
        self._keep = keep

    def get(self, project: ProjectRecord, filters: str | None, order: str | None) -> Listing:
        key = (project.number, filters, order)
        held = self._kept.get(key)
        if held is not None and held[0] == project.version:
            return held[1]
        listing = _sort(project, filters, order)
        if len(self._kept) >= self._keep:
            self._kept.pop(next(iter(self._kept)))
        self._kept[key] = (project.version, listing)
        return listing

    def page(
        self,
        project: ProjectRecord,
        filters: str | None,
        order: str | None,
        first: int | None,
        after: str | None,
        limits: PageLimits,
    ) -> tuple[dict[str, Any], list[RunRecord]]:
        """A page of runs as a connection, and the runs in it."""
        size = limits.size(first)
        listing = self.get(project, filters, order)
        start = listing.start_after(after)
        runs = listing.runs[start : start + size]
        keys = listing.keys[start : start + size]
        edges = [{"cursor": encode_cursor(key), "node": run} for key, run in zip(keys, runs, strict=True)]
        return connection(edges, more=start + size < len(listing.runs)), runs


def _sort(project: ProjectRecord, filters: str | None, order: str | None) -> Listing:
    keep = compile_filters(filters)
    get, descending = _order(order)
    pairs = [(_sort_key(get(run), run), run) for run in project.runs.values() if keep is None or keep(run)]
    pairs.sort(key=lambda pair: pair[0], reverse=descending)
    return Listing(keys=[key for key, _ in pairs], runs=[run for _, run in pairs], descending=descending)


def _order(order: str | None) -> tuple[Callable[[RunRecord], Any], bool]:
    text = order or "+created_at"
    # Without a sign the SDK's key formatter means descending (query_generator.py).
    descending = not text.startswith("+")
    return field_getter(text.lstrip("+-")), descending


def _sort_key(value: Any, run: RunRecord) -> SortKey:
    return (*_rank(value), run.number)


def _rank(value: Any) -> tuple[int, Any]:
    """A value that compares with any other: by type first."""
    if isinstance(value, bool):
        return (1, int(value))
    if isinstance(value, int | float):
        return (2, value) if value == value else (0, "")
    if isinstance(value, str):
        return (3, value)
    return (0, "") if value is None else (4, json.dumps(value, sort_keys=True, default=str))
