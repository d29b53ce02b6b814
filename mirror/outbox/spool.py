"""The outbox as those who change it see it: the folder is the state, a rename the transition.

The order of writes, and what a crash leaves behind each:

    put        tmp/T written and flushed            a rest in tmp/, which `recover` removes
               tmp/T → new/N, folder flushed        the entry, whole
    fold       the same over the new/N there is     the entry with the edit or without it; never both, never neither
    claim      new/N → claimed/N, folders flushed   the entry in one of them; `recover` takes it back to new/
    put_back, bury, hold, retry, resolve
               tmp/T → S/N when its content changes the entry in its old state; what it says about attempts may be new
               S/N → another folder, both flushed   the entry in one of them
    finish, drop
               S/N → tmp/T, S flushed, T removed    the entry, or nothing but a rest in tmp/
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mirror.clock import utc_now
from mirror.durable import Unflushed
from mirror.errors import EntryUnflushed
from mirror.layout import Home
from mirror.locks import ProcessLock
from mirror.outbox.folders import Aside, newest_id, outbox_errors
from mirror.outbox.folding import can_take, fold, goes_on
from mirror.outbox.latest import Latest
from mirror.outbox.names import ID_LENGTH, is_id, name_of, next_id, run_tag
from mirror.outbox.reading import stored
from mirror.outbox.recovery import Recovered, recover
from mirror.outbox.transitions import Transitions
from mirror.records.addresses import RunPath
from mirror.records.operations import Edit, Entry, Operation


class Outbox(Transitions):
    """The outbox of a home. Any number of processes and threads use it at once; one process at a time replays.

    Every method either did what it says, durably, or raises and changed nothing that counts.

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
