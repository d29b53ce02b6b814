"""Ids of the runs that filters keep, in order, kept between the pages of one walk."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from mirror.errors import ConfigError
from mirror.run.pending.listing import queued_runs
from mirror.run.pending.local import LocalMirror, Pending
from mirror.store.engine.meta import last_commit
from mirror.store.engine.queries import Queryable
from mirror.store.filters.run_listing import list_run_ids
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.listing_arguments import filters_object
from mirror.wandb_protocol.paging import Window, decode_cursor, encode_cursor

MOST_IDS = 1_000_000  # that are kept, of all listings together
_Key = tuple[int, tuple[str, str], str, str | None, str | None]


@dataclass(frozen=True)
class Listing:
    """The ids of the runs that match, in order. Not to be changed."""

    run_ids: Sequence[str]

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


class Listings:
    """Listings by commit, project, arguments and what is queued; the oldest go first. For any thread."""

    def __init__(self, most_ids: int = MOST_IDS) -> None:
        self._kept: OrderedDict[_Key, Listing] = OrderedDict()
        self._most_ids = most_ids
        self._turn = threading.Lock()

    def get(
        self,
        mirror: LocalMirror,
        lake: Queryable,
        project: tuple[str, str],
        waiting: Mapping[str, Sequence[Pending]],
        filters: str | None,
        order: str | None,
    ) -> Listing:
        """The runs of a project that filters keep, in order.

        Raises:
            RequestRefused: filters or order do not parse, or name what runs do not have.
        """
        key = (last_commit(lake), project, _digest(waiting), filters, order)
        with self._turn:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        listing = Listing(_ids(mirror, lake, project, waiting, filters_object(filters), order))
        with self._turn:
            self._kept[key] = listing
            while len(self._kept) > 1 and sum(len(kept.run_ids) for kept in self._kept.values()) > self._most_ids:
                self._kept.popitem(last=False)
        return listing


def _ids(
    mirror: LocalMirror,
    lake: Queryable,
    project: tuple[str, str],
    waiting: Mapping[str, Sequence[Pending]],
    filters: Mapping[str, Any] | None,
    order: str | None,
) -> list[str]:
    overlay = queued_runs(mirror, project, waiting) if waiting else ()
    try:
        return list_run_ids(lake, project, filters=filters, order=order, overlay=overlay)
    except ConfigError as error:  # as W&B refuses a filter on an unknown column
        raise RequestRefused(f"invalid filters: {error.message}", status=400) from error


def _digest(waiting: Mapping[str, Sequence[Pending]]) -> str:
    """What is queued of a project, as a text that changes with it."""
    if not waiting:
        return ""
    return hashlib.sha256(msgspec.json.encode({run_id: list(items) for run_id, items in waiting.items()})).hexdigest()
