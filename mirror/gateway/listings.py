"""Ids of the runs that filters keep, in order: read once for all pages of a walk."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec

from mirror.errors import ConfigError
from mirror.gateway.context import ProjectPath, RequestContext
from mirror.run.pending.listing import queued_runs
from mirror.run.pending.local import Pending
from mirror.store.engine.queries import Snapshot
from mirror.store.filters.run_listing import list_run_ids
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.listing_arguments import filters_object, invalid_filters
from mirror.wandb_protocol.paging import Window, decode_cursor, encode_cursor

_ID_BYTES = 150  # that an id takes, with its place


@dataclass(frozen=True)
class Listing:
    """The ids of the runs that match, in order. Not to be changed."""

    run_ids: Sequence[str]
    key: Hashable  # of the question that it answers; None: of none

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Where each run stands."""
        return {run_id: place for place, run_id in enumerate(self.run_ids)}

    def cursor(self, place: int) -> str:
        """The cursor of the run at a place. It names the run: a walk goes on where runs come or go meanwhile."""
        return encode_cursor([place, self.run_ids[place]])

    def bounds(self, window: Window) -> tuple[int, int]:
        """The places behind `after` and before `before`.

        Raises:
            RequestRefused: a cursor is none of ours.
        """
        start = self._place(window.after) + 1 if window.after else 0
        stop = self._place(window.before) if window.before else len(self.run_ids)
        return start, max(start, stop)

    def _place(self, cursor: str) -> int:
        held = decode_cursor(cursor)
        if not (isinstance(held, list) and len(held) == 2 and isinstance(held[0], int) and isinstance(held[1], str)):
            raise RequestRefused("invalid cursor")
        place: int = held[0]
        run_id: str = held[1]
        if 0 <= place < len(self.run_ids) and self.run_ids[place] == run_id:
            return place
        return self.places.get(run_id, min(max(place, 0), len(self.run_ids)) - 1)


def listing_of(
    ctx: RequestContext, project: ProjectPath, filters: str | None, order: str | None, search: str = ""
) -> Listing:
    """The runs of a project that filters and the words of a search keep, in order.

    Raises:
        RequestRefused: filters or order do not parse, or name what runs do not have.
    """
    waiting = ctx.waiting.get(project, {})
    key = ("listing", project, filters, order, search, digest_of(waiting))

    def read(lake: Snapshot) -> Listing:
        overlay = queued_runs(ctx.mirror, project, waiting) if waiting else ()
        try:
            found = list_run_ids(
                lake, project, filters=filters_object(filters), order=order, overlay=overlay, search=search
            )
        except ConfigError as error:  # as W&B refuses a filter on an unknown column
            raise invalid_filters(error.message) from error
        return Listing(found, key)

    return ctx.recall(key, read, lambda listing: _ID_BYTES * len(listing.run_ids))


def digest_of(waiting: Mapping[str, Sequence[Pending]]) -> str:
    """What is queued of a project, as a text that changes with it."""
    if not waiting:
        return ""
    return hashlib.sha256(msgspec.json.encode({run_id: list(items) for run_id, items in waiting.items()})).hexdigest()
