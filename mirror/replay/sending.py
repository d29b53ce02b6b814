"""What a delivery is sent with, and what it comes to."""

from __future__ import annotations

from typing import Any

import msgspec

from mirror.records.addresses import RunPath
from mirror.records.contents import Direction, FileRow
from mirror.records.offline import OfflineLog
from mirror.records.operations import (
    EditArtifact,
    Entry,
    Operation,
)
from mirror.records.runs import RunRecord
from mirror.replay.context import DeliveryContext, Result
from mirror.replay.decide import (
    Decision,
    Seen,
    needs_of,
    undecidable,
)


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """What a delivery came to, and what the server shows afterwards."""

    outcome: Result
    run: RunRecord | None = None  # as it is upstream now; None: as it was looked at before
    gone: bool = False  # the run is no longer there, as was asked
    files: tuple[FileRow, ...] = ()  # of the run, as they are upstream now
    links: tuple[tuple[str, Direction], ...] = ()  # artifact ids that the run logged or used, on top of others
    marked: tuple[EditArtifact, ...] = ()  # what versions are called otherwise than before
    sent: Any = None  # what was sent, as plain values
    answer: str | None = None  # what the server said, or why nothing was sent
    unconfirmed: bool = False  # "put_back": the server does not show (yet) what it took
    again_in_s: float | None = None  # "put_back": nothing is wrong, and there will be more by then
    behind: RunPath | None = None  # "put_back": it goes on as soon as that run is upstream
    remains: Operation | None = None  # "put_back": what is still to be done
    logs: tuple[OfflineLog, ...] = ()  # of which all is upstream now
    versions: tuple[tuple[str, str], ...] = ()  # of each that only the mirror had, the id there, and the server's


class SendRefused(Exception):
    """The server will not do what was sent, whenever it is asked.

    Args:
        words: the server's.
        run: as it was looked at; the mirror takes it, and so shows why.
    """

    def __init__(self, words: str, *, run: RunRecord | None = None) -> None:
        super().__init__(words)
        self.run = run


class Unconfirmed(Exception):
    """The server does not show (yet) what it took."""


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation is sent with."""

    context: DeliveryContext
    entry: Entry
    seen: Seen
    decision: Decision

    @property
    def path(self) -> RunPath:
        """Entity, project, run id."""
        return self.entry.run_path

    @property
    def run(self) -> RunRecord:
        """The run, which was seen whole enough."""
        if not isinstance(self.seen.run, RunRecord):
            raise TypeError(f"{self.entry.kind} is sent for a run that was seen")
        return self.seen.run

    async def look(self) -> RunRecord:
        """The run as it is after a change that the server took.

        Raises:
            Unconfirmed: it cannot be read.
        """
        after = await self.context.upstream.run(self.path, needs_of(self.entry.operation)[0], ())
        undecided = undecidable(self.entry, after)
        if undecided is not None or not isinstance(after.run, RunRecord):
            raise Unconfirmed(f"the server took the change, and then: {undecided and undecided.words}")
        return after.run
