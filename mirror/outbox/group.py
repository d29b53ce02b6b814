"""The outbox of a home that shares a lake: entries are handed over to the group, and what the group has is copied here.

A home's own entries stay files of its own until the group has them. From then on they have an author, and the files
here are copies, which show everybody what waits. The group's rows say what is so; only the holder of the lease changes
them, and it alone delivers. So a copy may be behind, and is lost with nothing.

    an entry of this home     no author    it may be folded; nobody else knows it
    handed over               author set, durably, before the group is told; no edit is folded into it any more
    the group's               its row      crash before: it is handed over again, under the same id
    done with                 the row is gone: so goes the copy
"""

from __future__ import annotations

import datetime as dt
import getpass
import socket
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from typing import Literal

from msgspec.structs import replace

from mirror.clock import utc_now
from mirror.cluster.outbox_rows import OutboxRows
from mirror.cluster.place import place_of
from mirror.durable import Unflushed, discard
from mirror.layout import Home
from mirror.outbox.folders import STATES, Aside, outbox_errors
from mirror.outbox.folding import rest_of
from mirror.outbox.names import name_of
from mirror.outbox.reading import OutboxReader
from mirror.outbox.spool import Outbox
from mirror.records.operations import Edit, Entry, EntryState


def outbox_of(
    home: Home, told: Callable[[Aside], None] | None = None, *, now: Callable[[], dt.datetime] = utc_now
) -> Outbox:
    """The outbox of a home, whether its lake is its own or a group's."""
    place = place_of(home)
    return Outbox(home, told, now=now) if place is None else GroupOutbox(home, OutboxRows(place), told, now=now)


def needed_objects(home: Home) -> Iterator[str]:
    """Digests of all objects that entries need: those here, and where the home shares a lake, those of its group.

    What is here may be behind, or nothing at all: a home that never exchanged may hold the lease, and collect.

    Raises:
        LakeAway, StoreError: the folders or the database cannot be read; nothing may be collected then.
    """
    yield from OutboxReader(home).needed_objects()
    if (place := place_of(home)) is not None:
        yield from OutboxRows(place).needed_objects()


def author_here() -> str:
    """Who queues things in this process: `USER@HOST`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container may have no name for its user
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


class GroupOutbox(Outbox):
    """The outbox of a home that shares a lake.

    Args:
        home: whose.
        rows: what the group knows.
        told: called with each file that is no readable entry.
        now: the clock.
    """

    def __init__(
        self,
        home: Home,
        rows: OutboxRows,
        told: Callable[[Aside], None] | None = None,
        *,
        now: Callable[[], dt.datetime] = utc_now,
    ) -> None:
        super().__init__(home, told, now=now)
        self.rows = rows
        self.delivers = False  # this process has the lease: what it changes, it tells the group

    def sign(self, entry: Entry, author: str) -> Entry | None:
        """Begin to hand an entry over: it has an author from now on, and takes no edit.

        Returns:
            It as it is now; None when it is claimed or gone.

        Raises:
            StoreError: the disk failed; it is as it was.
        """
        with outbox_errors(self.home), self._folders.changing():
            name = name_of(entry.id, entry.run_path)
            state = self._folders.place(name)
            found = None if state in (None, "claimed") else self._folders.try_load(state, name)
            if state is None or not isinstance(found, Entry):
                return None
            signed = replace(found, author=author)
            with suppress(Unflushed):
                self._publish(signed, found, state)
            self._latest.forget()
            return signed

    def renew(self, entry: Entry, done: Edit, folded: Collection[str]) -> bool:
        """Queue under a new id what a waiting edit asks beyond what the group has, or had, under its id.

        A home that was copied, or restored, has an entry that is known to the group, and folded later edits into it.

        Args:
            entry: of this home.
            done: what the group has under its id.
            folded: ids of the edits that are in that.

        Returns:
            Whether it was one that waits.

        Raises:
            StoreError: the disk failed; it may be there under both ids.
        """
        with outbox_errors(self.home), self._folders.changing() as lock:
            name = name_of(entry.id, entry.run_path)
            found = self._folders.try_load("new", name)
            if not isinstance(found, Entry) or not isinstance(found.operation, Edit):
                return False
            rest = rest_of(found.operation, done)
            if rest.fields or rest.config or rest.summary:
                later = tuple(one for one in found.folded if one not in folded)
                with suppress(Unflushed):
                    self._publish(
                        replace(found, id=self._next_id(lock), operation=rest, folded=later, author=None), None
                    )
            with suppress(Unflushed):
                discard([self._folders.path("new", name)], self._folders.tmp)
            self._latest.forget()
            return True

    def copy(self, entry: Entry, state: EntryState) -> None:
        """Have an entry here as the group has it. What this process delivers is as it is here, and stays.

        Raises:
            StoreError: the disk failed; the copy is as it was.
        """
        with outbox_errors(self.home), self._folders.changing():
            name = name_of(entry.id, entry.run_path)
            there = self._folders.place(name)
            if there is not None and self.delivers:
                return
            with suppress(Unflushed):
                self._publish(entry, None, there or state)
            if there not in (None, state):
                self._move(name, there, state)
            self._latest.forget()

    def forget(self, entries: Collection[Entry]) -> None:
        """Remove copies of what the group is done with; a claimed one is of this process's delivery, if it delivers.

        Raises:
            StoreError: the disk failed; some may be there.
        """
        with outbox_errors(self.home), self._folders.changing():
            paths = []
            for entry in entries:
                name = name_of(entry.id, entry.run_path)
                paths += [
                    path
                    for state in STATES
                    if not (self.delivers and state == "claimed") and (path := self._folders.path(state, name)).exists()
                ]
            for path in paths:
                with suppress(Unflushed):
                    discard([path], self._folders.tmp)
            self._latest.forget()

    def retry(self, entry: Entry) -> Entry:
        """As `Outbox.retry`; of an entry of the group's, whoever delivers is told."""
        if self._is_for_others(entry):
            self.rows.wish(entry.id, "retry", author_here())
            return entry
        return super().retry(entry)

    def resolve(self, entry: Entry, how: Literal["ours", "theirs"]) -> Entry:
        """As `Outbox.resolve`; of an entry of the group's, whoever delivers is told."""
        if self._is_for_others(entry):
            self.rows.wish(entry.id, how, author_here())
            return entry
        return super().resolve(entry, how)

    def give_up(self, entry: Entry) -> bool:
        """Tell whoever delivers that a person gave an entry of the group's up; False: it is for this process to do."""
        if not self._is_for_others(entry):
            return False
        self.rows.wish(entry.id, "drop", author_here())
        return True

    def _is_for_others(self, entry: Entry) -> bool:
        return entry.author is not None and not self.delivers

    def _change(
        self, entry: Entry, sources: tuple[EntryState, ...], target: EntryState, change: Callable[[Entry], Entry]
    ) -> Entry:
        changed = super()._change(entry, sources, target, change)
        if changed.author is not None and self.delivers:
            self.rows.update(changed, "new" if target == "claimed" else target)
        return changed

    def _remove(self, entries: Sequence[Entry], sources: tuple[EntryState, ...]) -> None:
        super()._remove(entries, sources)
        if self.delivers and (ids := [entry.id for entry in entries if entry.author is not None]):
            self.rows.leave(ids)
