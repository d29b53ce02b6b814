"""Connections: opaque cursors, page limits, and what of a list is asked for."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mirror.wandb_protocol.errors import RequestRefused

PageLimitMode = Literal["cap", "error"]


@dataclass(frozen=True, kw_only=True)
class PageLimits:
    """Largest page served, and what becomes of a larger `first`: cut ("cap") or refused ("error")."""

    limit: int = 1000
    mode: PageLimitMode = "cap"

    def size(self, first: int | None, default: int = 50) -> int:
        asked = default if first is None else first
        if asked < 0:
            raise RequestRefused("first must not be negative")
        if asked > self.limit and self.mode == "error":
            raise RequestRefused(f"first must be at most {self.limit}")
        return min(asked, self.limit)


@dataclass(frozen=True, kw_only=True)
class Window:
    """Which part of a listing is asked for: the paging arguments of a connection."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None

    def of(self, start: int, stop: int, limits: PageLimits) -> tuple[int, int]:
        """The places of a page, of those that lie behind `after` and before `before`.

        Raises:
            RequestRefused: the page is larger than what is served.
        """
        if self.last is not None and self.first is None:
            return max(start, stop - limits.size(self.last)), stop
        return start, min(stop, start + limits.size(self.first))


def encode_cursor(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def decode_cursor(text: str) -> Any:
    """What a cursor holds.

    Raises:
        RequestRefused: it is none of ours.
    """
    try:
        return json.loads(base64.urlsafe_b64decode(text.encode()))
    except ValueError:
        raise RequestRefused("invalid cursor") from None


def connection(edges: list[dict[str, Any]], *, more: bool, earlier: bool = False, **extra: Any) -> dict[str, Any]:
    """A connection value of `edges` ({"cursor", "node"}); `earlier` says that something comes before them."""
    info = {
        "startCursor": edges[0]["cursor"] if edges else None,
        "endCursor": edges[-1]["cursor"] if edges else None,
        "hasNextPage": more,
        "hasPreviousPage": earlier,
    }
    return {"edges": edges, "pageInfo": info, **extra}


def place_after(cursor: str | None) -> int:
    """The first place behind a cursor by place; 0 without one.

    Raises:
        RequestRefused: the cursor is none of ours.
    """
    if not cursor:
        return 0
    place = decode_cursor(cursor)
    if not isinstance(place, int) or place < 0:
        raise RequestRefused("invalid cursor")
    return place


def edges_by_place(nodes: Sequence[Any], start: int) -> list[dict[str, Any]]:
    """Edges of nodes that lie one behind the other from a place on."""
    return [{"cursor": encode_cursor(start + i + 1), "node": node} for i, node in enumerate(nodes)]


def page(items: Sequence[Any], first: int | None, after: str | None, limits: PageLimits, **extra: Any) -> Any:
    """A page of a plain list, with cursors by position."""
    size = limits.size(first)
    start = place_after(after)
    edges = edges_by_place(items[start : start + size], start)
    return connection(edges, more=start + size < len(items), totalCount=len(items), matching=items, **extra)
