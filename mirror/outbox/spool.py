"""The outbox as those who change it see it: the folder is the state, a rename the transition.

The order of writes, and what a crash leaves behind each:

    put        tmp/T written and flushed            a rest in tmp/, which `recover` removes
               tmp/T → new/N, folder flushed        the entry, whole
    fold       the same over the new/N there is     the entry with the edit or without it; never both, never neither
    claim      new/N → claimed/N, folders flushed   the entry in one of them; `recover` takes it back to new/
    mark_sent, remember, put_back, bury, hold, retry, resolve
               tmp/T → S/N when its content changes the entry in its old state; what it says about attempts may be new
               S/N → another folder, both flushed   the entry in one of them
    finish, drop
               S/N → tmp/T, S flushed, T removed    the entry, or nothing but a rest in tmp/
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Literal

from msgspec.structs import replace

from mirror.clock import utc_now
from mirror.durable import Unflushed, discard, move, publish
from mirror.errors import EntryMoved, EntryUnflushed, StoreError
from mirror.layout import Home
from mirror.locks import ProcessLock
from mirror.outbox.folders import Aside, newest_id, outbox_errors
from mirror.outbox.folding import can_take, fold, goes_on
from mirror.outbox.latest import Latest
from mirror.outbox.names import ID_LENGTH, is_id, name_of, next_id, run_tag
from mirror.outbox.reading import OutboxReader, Placed, stored
from mirror.outbox.recovery import Recovered, recover
from mirror.records.addresses import RunPath
from mirror.records.operations import Edit, Entry, EntryState, Operation, encode_entry, entry_of_json


class Outbox(OutboxReader):
    """The outbox of a home. Any number of processes and threads use it at once; one process at a time replays.

    Every method either did what it says, durably, or raises and changed nothing that counts. A transition looks under
    the lock whether the entry is still where it must be; what else the caller's copy says is old news. When the disk
    can neither flush nor take back a transition, it counts as done: should a power cut undo it, the entry is where it
    was.

    Args:
        home: whose outbox; folders are created by the first write.
        told: called with each file that is no readable entry.
        now: the clock; ids rise even when it goes back.
    """

    def __init__(
        self,
        home: Home,
        told: Callable[[Aside], None] | None = None,
        *,
        now: Callable[[], dt.datetime] = utc_now,
    ) -> None:
        super().__init__(home, told)
        self._now = now
        self._last_id: str | None = None
        self._latest = Latest(self._folders)

    def put(self, run_path: RunPath, storage_id: str | None, operation: Operation) -> Entry:
        """Queue an operation. When this returns it survives a power cut, and every process sees it.

        An edit is folded into the entry before it, where that is an edit of the same run that nobody has begun to
        deliver; what is returned is that entry then, with an id of its own for this edit in `folded`.

        The bytes of an upload must be a synced object before this is called: whoever composes the two folders copies
        them, hashing as it copies, so that what happens to the source afterwards does not matter.

        When the disk refuses to flush the entry's name, the name is taken back, durably, before the error is raised.
        Should the disk refuse that as well (it became read-only at that moment), the entry is to be seen, and neither
        "it is queued" nor "it is not" would be true: that has an error of its own. To queue it again does no harm
        then, since a replay looks before it acts.

        Raises:
            EntryUnflushed: the disk failed twice; the entry is there for now.
            HomeUnusable: the disk is full or cannot be written; there is no entry.
            StoreError: the disk failed; there is no entry.
            ValueError: a value has no form in JSON; there is no entry.
        """
        path = stored(run_path)
        with outbox_errors(self.home), self._folders.changing() as lock:
            entry_id = self._next_id(lock)
            if isinstance(operation, Edit) and (last := self._foldable(path, operation)) is not None:
                return self._queue(fold(last, entry_id, operation), last)
            entry = Entry(
                id=entry_id,
                entity=path[0],
                project=path[1],
                run_id=path[2],
                storage_id=storage_id,
                operation=operation,
                created_at=self._now(),
            )
            return self._queue(entry, None)

    def adopt(self, entry: Entry) -> bool:
        """Queue an entry that another home made, under the id that it has.

        Returns:
            Whether it was not here.

        Raises:
            EntryUnflushed, HomeUnusable, StoreError, ValueError: as `put`.
        """
        name = name_of(entry.id, entry.run_path)
        with outbox_errors(self.home), self._folders.changing() as lock:
            if self._folders.place(name) is not None:
                return False
            self._latest.forget()
            self._publish(entry, None)
            if entry.id > os.pread(lock, ID_LENGTH, 0).decode("ascii", "replace"):  # later ones come after it
                os.pwrite(lock, entry.id.encode(), 0)
            return True

    @contextmanager
    def replaying(self) -> Iterator[Recovered]:
        """Be the one process that claims; puts in order first what a killed one left.

        Raises:
            HomeBusy: another process replays; the message names it.
            StoreError: the disk failed.
        """
        with outbox_errors(self.home):
            self._folders.prepare()
            lock = ProcessLock(
                self.home.replay_lock,
                self.home.replay_holder,
                busy=f"delivering the outbox of {self.home.root}",
                hint="there can be only one; wait until it is done, or stop that process",
            )
        with lock:
            yield self.recover()

    def recover(self) -> Recovered:
        """What a killed replay had claimed waits again; rests are removed. Only the process that is `replaying` may.

        Raises:
            StoreError: the disk failed; it can be called again.
        """
        with outbox_errors(self.home):
            return recover(self._folders)

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

    def remember(self, entry: Entry, operation: Operation) -> Entry:
        """Remember of a claimed entry what is still to be done.

        Raises:
            EntryMoved: it is not claimed.
            StoreError: the disk failed; the entry is as it was.
        """
        return self._change(entry, ("claimed",), "claimed", lambda before: replace(before, operation=operation))

    def put_back(
        self,
        entry: Entry,
        reason: str | None = None,
        not_before: dt.datetime | None = None,
        *,
        attempted: bool = True,
        unconfirmed: bool = False,
        operation: Operation | None = None,
    ) -> Entry:
        """Let a claimed entry wait again, in its place.

        Args:
            entry: what `claim` gave.
            reason: why its delivery failed for the moment; None: it was not begun, and does not count as an attempt.
            not_before: when to try again.
            attempted: False: the server was away, which counts for no entry.
            unconfirmed: the server took the change and does not show it.
            operation: what it is from now on, since a part of it is done.

        Raises:
            EntryMoved: it is not claimed.
            StoreError: the disk failed; it is still claimed.
        """

        def change(before: Entry) -> Entry:
            before = replace(before, operation=operation or before.operation)
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

    def _next_id(self, lock: int) -> str:
        """A new id, greater than any of this home: the lock's file holds the last one, for all processes."""
        text = os.pread(lock, ID_LENGTH, 0).decode("ascii", "replace")
        known = [one for one in (text, self._last_id) if one and is_id(one)]
        # The file may be new, or older than the entries after a power cut; then the clock may be wrong as well.
        if (self._last_id is None or len(known) < 2) and (newest := newest_id(self._folders)) is not None:
            known.append(newest)
        last = max(known, default=None)
        self._last_id = next_id(int(self._now().timestamp() * 1000), last)
        os.pwrite(lock, self._last_id.encode(), 0)
        self._latest.advance(text, self._last_id)
        return self._last_id

    def _foldable(self, path: RunPath, later: Edit) -> Entry | None:
        """The last entry of a run, if it waits and a later edit may be folded into it."""
        name = self._latest.of(run_tag(path))
        if name is None:
            return None
        found = self._folders.try_load("new", name)
        if not isinstance(found, Entry) or found.run_path != path or not can_take(found):
            return None
        return found if isinstance(found.operation, Edit) and goes_on(found.operation, later) else None

    def _queue(self, entry: Entry, before: Entry | None) -> Entry:
        """Let a new or folded entry be seen, or say that it is not."""
        try:
            whole = self._publish(entry, before)
        except Unflushed as error:
            self._latest.forget()
            raise EntryUnflushed(
                f"the disk that holds {self.home.root} failed ({error.strerror}): entry {entry.id} was written, but may"
                " not survive a power cut"
            ) from error
        except BaseException:
            self._latest.forget()
            raise
        self._latest.note(name_of(whole.id, whole.run_path))
        return whole

    def _publish(self, entry: Entry, before: Entry | None, state: EntryState = "new") -> Entry:
        """Write an entry under its name, over what it was before."""
        content = encode_entry(entry)
        whole = entry_of_json(content)  # what could not be read back must not be acknowledged
        target = self._folders.path(state, name_of(entry.id, entry.run_path))
        publish(self._folders.write(content), target, None if before is None else lambda: encode_entry(before))
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
