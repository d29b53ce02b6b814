"""Runs in order, by filters; sorted listings are kept between pages."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from mirror.sandbox.state.mongo import field_getter
from mirror.sandbox.state.records import ProjectRecord, RunRecord
from mirror.wandb_protocol.filters import compile_filters, rank
from mirror.wandb_protocol.listing_arguments import field_and_direction
from mirror.wandb_protocol.paging import PageLimits, Window, connection, decode_cursor, encode_cursor

SortKey = tuple[int, Any, int]
"""(rank of the value's type, value, number of the run): total, and spelled in a cursor."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The runs that match filters, in order."""

    keys: list[SortKey]
    runs: list[RunRecord]
    descending: bool

    def start_after(self, cursor: str) -> int:
        """Position of the first run behind the cursor, also when runs came or went meanwhile."""
        mark = _mark(cursor)
        return self._first(lambda key: key < mark if self.descending else key > mark)

    def stop_before(self, cursor: str) -> int:
        """Position of the run of the cursor, or of the first behind where it was."""
        mark = _mark(cursor)
        return self._first(lambda key: key <= mark if self.descending else key >= mark)

    def only(self, names: Collection[str]) -> Listing:
        """The runs of these run ids, in the same order."""
        kept = [(key, run) for key, run in zip(self.keys, self.runs, strict=True) if run.name in names]
        return Listing(keys=[key for key, _ in kept], runs=[run for _, run in kept], descending=self.descending)

    def _first(self, behind: Callable[[SortKey], bool]) -> int:
        low, high = 0, len(self.keys)
        while low < high:
            middle = (low + high) // 2
            if behind(self.keys[middle]):
                high = middle
            else:
                low = middle + 1
        return low


def _mark(cursor: str) -> SortKey:
    rank, value, number = decode_cursor(cursor)
    return (rank, value, number)


class RunListings:
    """Sorted listings by project, filters and order, kept until the project changes."""

    def __init__(self, keep: int = 64) -> None:
        self._kept: dict[tuple[int, str | None, str | None], tuple[int, Listing]] = {}
        self._keep = keep

    def get(self, project: ProjectRecord, filters: str | None, order: str | None) -> Listing:
        """The listing of these filters and this order.

        Raises:
            RequestRefused: filters or order do not parse, or name what runs do not have.
        """
        key = (project.number, filters, order)
        held = self._kept.get(key)
        if held is not None and held[0] == project.version:
            return held[1]
        listing = _sort(project, filters, order)
        if len(self._kept) >= self._keep:
            self._kept.pop(next(iter(self._kept)))
        self._kept[key] = (project.version, listing)
        return listing

    def page(self, listing: Listing, window: Window, limits: PageLimits) -> tuple[dict[str, Any], list[RunRecord]]:
        """A page of runs as a connection, and the runs in it."""
        start, stop = 0, len(listing.runs)
        if window.after:
            start = listing.start_after(window.after)
        if window.before:
            stop = listing.stop_before(window.before)
        start, stop = window.of(start, stop, limits)
        runs, keys = listing.runs[start:stop], listing.keys[start:stop]
        edges = [{"cursor": encode_cursor(key), "node": run} for key, run in zip(keys, runs, strict=True)]
        shown = connection(
            edges,
            more=stop < len(listing.runs),
            earlier=start > 0,
            totalCount=len(listing.runs),
            matching=listing.runs,
        )
        return shown, runs


def _sort(project: ProjectRecord, filters: str | None, order: str | None) -> Listing:
    keep = compile_filters(filters, field_getter)
    get, descending = _order(order)
    pairs = [(_sort_key(get(run), run), run) for run in project.runs.values() if keep is None or keep(run)]
    pairs.sort(key=lambda pair: pair[0], reverse=descending)
    return Listing(keys=[key for key, _ in pairs], runs=[run for _, run in pairs], descending=descending)


def _order(order: str | None) -> tuple[Callable[[RunRecord], Any], bool]:
    field, descending = field_and_direction(order)
    return field_getter(field), descending


def _sort_key(value: Any, run: RunRecord) -> SortKey:
    return (*rank(value), run.number)
