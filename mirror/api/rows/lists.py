"""A list inside of an answer, place by place: files, artifacts, console lines, rows.

What one place is lying about, or lacks, never costs another one. A list that is not there, or null, tells nothing: it
is not an empty one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

from mirror.api.rows.flaws import Flaws, decode_flawed, fields_of
from mirror.api.rows.scalars import ABSENT, Int64, int_or_none, is_told
from mirror.api.rows.wire import WirePageInfo
from mirror.typed import decode

NO_FLAWS: Flaws = MappingProxyType({})
CUT = "the list promises more but gives no place to continue from"  # what came of it is taken all the same


class _Connection(msgspec.Struct, rename="camel"):
    edges: msgspec.Raw = ABSENT
    page_info: msgspec.Raw = ABSENT
    total_count: Int64 = None


class _Edge(msgspec.Struct):
    node: msgspec.Raw = ABSENT
    cursor: str | int | None = None


@dataclass(frozen=True, kw_only=True)
class WireList:
    """One page of a list."""

    nodes: tuple[msgspec.Raw | None, ...]  # by place; None: the server put nothing there
    told: bool  # False: the server did not say what is in it
    total: int | None  # of the whole list, by the server's count
    last_cursor: str | None
    end_cursor: str | None
    has_next: bool | None  # None: the server does not tell

    def goes_on(self, after: str | None, first: int) -> tuple[bool, bool]:
        """Whether more follows, and whether it cannot be had: no place to continue from is given.

        Where the server does not tell, a page as long as asked for is not the last.

        Args:
            after: the place to continue from.
            first: rows that were asked for.

        Raises:
            ValueError: it promises more, and nothing of it came.
        """
        more = len(self.nodes) >= first if self.has_next is None else self.has_next
        more = more and self.told
        if more and all(node is None for node in self.nodes):
            raise ValueError(CUT)
        can_go_on = bool(after)
        return more and can_go_on, more and not can_go_on


UNTOLD = WireList(nodes=(), told=False, total=None, last_cursor=None, end_cursor=None, has_next=None)


def read_list(raw: msgspec.Raw) -> WireList:
    """One page of a list. One that the server counts to be empty is told, even if it is null.

    Raises:
        ValueError: it is something else.
    """
    if not is_told(raw):
        return UNTOLD
    wire, _ = decode_flawed(raw, _Connection)
    total = int_or_none(wire.total_count)
    edges = decode(wire.edges, list[msgspec.Raw]) if is_told(wire.edges) else []
    info = decode_flawed(wire.page_info, WirePageInfo)[0] if is_told(wire.page_info) else WirePageInfo()
    nodes: list[msgspec.Raw | None] = []
    cursor: str | int | None = None
    for edge in edges:
        node, mark = _read_edge(edge)
        cursor = mark if node is not None or mark is not None else cursor
        nodes.append(node)
    return WireList(
        nodes=tuple(nodes),
        told=is_told(wire.edges) or total == 0,
        total=total,
        last_cursor=None if cursor is None else str(cursor),
        end_cursor=None if info.end_cursor is None else str(info.end_cursor),
        has_next=info.has_next_page,
    )


def _read_edge(raw: msgspec.Raw) -> tuple[msgspec.Raw | None, str | int | None]:
    """The node of an edge, None when there is none, and its cursor."""
    try:
        edge, _ = decode_flawed(raw, _Edge)
    except ValueError:
        return None, None
    return edge.node if is_told(edge.node) else None, edge.cursor


def lost_to(listed: WireList, failed: Mapping[int, Flaws], needed: frozenset[str]) -> frozenset[str]:
    """The fields that took a whole row along as they failed: without them the rows can be had.

    Args:
        listed: the list.
        failed: from `flaws_by_place`.
        needed: fields without which a row is of no use.
    """
    lost = (fields for place, fields in failed.items() if place < len(listed.nodes) and listed.nodes[place] is None)
    return frozenset(name for fields in lost for name in fields_of(fields)) - needed


def flaws_by_place(flaws: Flaws) -> tuple[Mapping[int, Flaws], str | None]:
    """What failed inside of a list: by place what of the row there, and the server's words for anything at all.

    Args:
        flaws: by path from the list on, such as `edges.2.node.md5`.
    """
    found: dict[int, dict[str, str]] = {}
    for path, reason in flaws.items():
        steps = path.split(".")
        if len(steps) > 3 and steps[0] == "edges" and steps[1].isdigit() and steps[2] == "node":
            found.setdefault(int(steps[1]), {})[".".join(steps[3:])] = reason
    return found, next(iter(flaws.values()), None)
