"""What becomes of an entry: each transition is a rename that is durable when it returns, and fails without effect."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

from msgspec.structs import replace

from mirror.durable import Unflushed, discard, move, publish
from mirror.errors import EntryMoved, StoreError
from mirror.outbox.folders import Aside, outbox_errors
from mirror.outbox.names import name_of
from mirror.outbox.reading import OutboxReader, Placed
from mirror.records.operations import Entry, EntryState, entry_json, entry_of_json


class Transitions(OutboxReader):
    """An outbox whose entries can be moved.

    Each looks under the lock whether the entry is still where it must be; what else the caller's copy says is old news.
    When the disk can neither flush nor take back a transition, it counts as done: should a power cut undo it, the entry
    is where it was.
    """

    def claim(self, entry: Entry) -> Entry | None:
        """Take an entry that waits, to deliver it. Only the process that is `replaying` may.

        Returns:
            The entry as it is now, with what was folded into it meanwhile; None when it does not wait any more.

        Raises:
            StoreError: the disk failed; it still waits.
        """
        name = name_of(entry.id, entry.run_path)
        with outbox_errors(self.home), self._folders.changing():
            found = self._folders.try_load("new", name)
            if isinstance(found, Entry):
                self._move(name, "new", "claimed")
                return found
        if isinstance(found, Aside):
            self._folders.set_aside(found)
        return None

    def mark_sent(self, entry: Entry) -> Entry:
        """Remember of a claimed entry that the server may hear of it from now on.

        Raises:
            EntryMoved: it is not claimed.
            StoreError: the disk failed; nothing may be sent.
        """
        return self._change(entry, ("claimed",), "claimed", lambda before: replace(before, sent=True))

    def put_back(
        self,
        entry: Entry,
        reason: str | None = None,
        not_before: dt.datetime | None = None,
        *,
        attempted: bool = True,
        unconfirmed: bool = False,
    ) -> Entry:
        """Let a claimed entry wait again, in its place.

        Args:
            entry: what `claim` gave.
            reason: why its delivery failed for the moment; None: it was not begun, and does not count as an attempt.
            not_before: when to try again.
            attempted: False: the server was away, which counts for no entry.
            unconfirmed: the server took the change and does not show it.

        Raises:
            EntryMoved: it is not claimed.
            StoreError: the disk failed; it is still claimed.
        """

        def change(before: Entry) -> Entry:
            if reason is None:
                return replace(before, not_before=not_before)
            return replace(
                before,
                attempts=before.attempts + attempted,
                unconfirmed=before.unconfirmed + unconfirmed,
                reason=reason,
                not_before=not_before,
            )

        return self._change(entry, ("claimed",), "new", change)

    def bury(self, entry: Entry, reason: str) -> Entry:
        """Put a claimed entry aside for good, with the server's words.

        Raises:
            EntryMoved: it is not claimed.
            StoreError: the disk failed; it is still claimed.
        """

        def change(before: Entry) -> Entry:
            attempts = before.attempts + 1
            return replace(before, attempts=attempts, unconfirmed=0, sent=False, reason=reason, not_before=None)

        return self._change(entry, ("claimed",), "dead", change)

    def hold(self, entry: Entry, reason: str) -> Entry:
        """Let a claimed entry wait for a person, since the remote moved.

        Raises:
            EntryMoved: it is not claimed.
            StoreError: the disk failed; it is still claimed.
        """

        def change(before: Entry) -> Entry:
            return replace(before, attempts=before.attempts + 1, reason=reason, not_before=None)

        return self._change(entry, ("claimed",), "conflict", change)

    def retry(self, entry: Entry) -> Entry:
        """Let an entry that is dead, in conflict or backing off wait again, in its place in the run's order.

        Raises:
            EntryMoved: it is claimed, or gone.
            StoreError: the disk failed; it is where it was.
        """

        def change(before: Entry) -> Entry:
            return replace(before, retried=before.attempts, not_before=None)

        return self._change(entry, ("dead", "conflict", "new"), "new", change)

    def resolve(self, entry: Entry, how: Literal["ours", "theirs"]) -> Entry:
        """Let an entry in conflict wait again, with a person's decision.

        Raises:
            EntryMoved: it is not in conflict.
            StoreError: the disk failed; it is still in conflict.
        """
        return self._change(entry, ("conflict",), "new", lambda before: replace(before, resolved=how, not_before=None))

    def finish(self, *entries: Entry) -> None:
        """Remove claimed entries: the server has them, and their receipts are written.

        Raises:
            EntryMoved: one is not claimed; nothing was removed.
            StoreError: the disk failed; they are still claimed.
        """
        self._remove(entries, ("claimed",))

    def drop(self, entry: Entry) -> None:
        """Remove an entry that a person gave up.

        Raises:
            EntryMoved: it is claimed, or gone.
            StoreError: the disk failed; it is where it was.
        """
        self._remove([entry], ("new", "conflict", "dead"))

    def _publish(self, entry: Entry, before: Entry | None, state: EntryState = "new") -> Entry:
        """Write an entry under its name, over what it was before."""
        content = entry_json(entry)
        whole = entry_of_json(content)  # what could not be read back must not be acknowledged
        target = self._folders.path(state, name_of(entry.id, entry.run_path))
        publish(self._folders.write(content), target, None if before is None else lambda: entry_json(before))
        return whole

    def _change(
        self, entry: Entry, sources: tuple[EntryState, ...], target: EntryState, change: Callable[[Entry], Entry]
    ) -> Entry:
        """Move an entry. New content comes first, so that none is dead without its reason."""
        with outbox_errors(self.home), self._folders.changing():
            name = name_of(entry.id, entry.run_path)
            state, before = self._where(entry, name, sources)
            changed = change(before)
            if changed != before:
                with suppress(Unflushed):
                    changed = self._publish(changed, before, state)
            if state != target:
                self._move(name, state, target)
            return changed

    def _remove(self, entries: Sequence[Entry], sources: tuple[EntryState, ...]) -> None:
        with outbox_errors(self.home), self._folders.changing():
            names = [name_of(entry.id, entry.run_path) for entry in entries]
            placed = [self._where(entry, name, sources) for entry, name in zip(entries, names, strict=True)]
            paths = [self._folders.path(one.state, name) for one, name in zip(placed, names, strict=True)]
            with suppress(Unflushed):
                discard(paths, self._folders.tmp)

    def _where(self, entry: Entry, name: str, sources: tuple[EntryState, ...]) -> Placed:
        state = self._folders.place(name)
        if state is None:
            raise EntryMoved(f"entry {entry.id} is no longer in the outbox")
        if state not in sources:
            raise EntryMoved(f"entry {entry.id} is {state} now")
        try:
            return Placed(state, self._folders.load(state, name))
        except ValueError as error:
            raise StoreError(f"entry {entry.id} is damaged: {error}") from error

    def _move(self, name: str, source: EntryState, target: EntryState) -> None:
        with suppress(Unflushed):
            move(self._folders.path(source, name), self._folders.path(target, name))
