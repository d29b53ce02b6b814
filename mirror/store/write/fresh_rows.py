"""Rows that a replay read back from the server while passes of a pull are under way: younger than what they listed.

Without this a delivered edit would seem undone until the next reconcile, and a run that a pass and a replay both meet
first would be held twice. No clock is asked, for clocks are set back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import msgspec

from mirror.records.addresses import ProjectKey
from mirror.records.passes import Changes


class FreshRows:
    """Of one process, which alone writes the lake. All but `watched` is called with the turn to commit."""

    def __init__(self) -> None:
        self._watchers: list[set[tuple[ProjectKey, str]]] = []

    @contextmanager
    def watched(self) -> Iterator[set[tuple[ProjectKey, str]]]:
        """The runs that replays write from now on; for a pass, from before it lists anything to its end."""
        seen: set[tuple[ProjectKey, str]] = set()
        self._watchers.append(seen)
        try:
            yield seen
        finally:
            self._watchers = [one for one in self._watchers if one is not seen]

    def written(self, key: ProjectKey, run_ids: Iterable[str]) -> None:
        """A replay has committed the rows of these runs."""
        for run_id in run_ids:
            for seen in self._watchers:
                seen.add((key, run_id))


def without_older(changes: Changes, seen: set[tuple[ProjectKey, str]]) -> Changes:
    """What a pass wants to write, without rows that are older than what replays wrote meanwhile.

    A run that a replay made is not new any more, though the pass did not find it in the lake. What moved upstream since
    is seen by the next pass, whose watermark is the beginning of this one.
    """
    fresh = {run_id for key, run_id in seen if key == changes.key}
    if not fresh:
        return changes
    runs = tuple(run for run in changes.runs if run.run_id not in fresh)
    return msgspec.structs.replace(changes, runs=runs, new=changes.new - fresh)
