"""One look at one watch folder: what changed and stays as it is is queued. It blocks; a thread does it.

Nothing here is lost by being stopped at any moment: what is not queued is found by the next look.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable, Mapping

from mirror.daemon.context import WatchContext
from mirror.daemon.events import Event
from mirror.daemon.logs import Log
from mirror.daemon.status.status_file import WatchStatus
from mirror.daemon.watch_folder.memory import Memory
from mirror.daemon.watch_folder.queue import NOT_YET, KnownPlaces, Queue
from mirror.daemon.watch_folder.rules import (
    FileStamp,
    Queued,
    Restless,
    Rules,
    Target,
    due_at,
    growing_at,
    newly_left_out,
    printable_path,
    restless,
)
from mirror.daemon.watch_folder.scan import open_below, scan, seen_of
from mirror.errors import HomeUnusable, StoreError
from mirror.outbox import Outbox
from mirror.records.addresses import ProjectKey
from mirror.store.objects.uploads import md5_of, take_in_open
from mirror.watch_settings import WatchSettings

AWAY_S = 5.0  # how often a folder that is not there is looked for: that costs nothing
SAVE_S = 5.0  # the longest time that queueing goes on without the memory being written


class WatchedFolder:
    """One watch of a source.

    Args:
        context: what the workers share.
        outbox: of the home.
        key: the project of the runs.
        settings: of the watch.
        size_max_mb: larger files are left out.
        passed: told of every file and every piece that was read; what it raises ends the look.
    """

    def __init__(
        self,
        context: WatchContext,
        outbox: Outbox,
        key: ProjectKey,
        settings: WatchSettings,
        size_max_mb: float,
        passed: Callable[[int], None],
    ) -> None:
        self.settings = settings
        self.root = os.path.realpath(os.path.expanduser(settings.folder))  # noqa: PTH111 -- texts, as for scans
        self.identity: tuple[int, int] | None = None  # of the folder as it was seen last
        self.folders: tuple[str, ...] = ()  # in it, for notifications
        self.scan_s = 0.0  # how long its files took to be listed, real seconds
        self.lacks_runs = False  # files wait for runs that the mirror does not hold
        self._context = context
        self._log: Log = context.log
        self._passed = passed
        self._rules = Rules(settings, size_max_mb)
        self._queue = Queue(context.lake, outbox, key)
        self._memory = Memory(context.lake.home, (str(key), self.root, settings.run, settings.prefix))
        self._restless: dict[str, Restless] = {}
        self._left_out: dict[str, str] = {}
        self._path = f"{key.entity}/{key.project}/{settings.run}"
        self._count = 0  # files that were queued
        self._last: tuple[str, dt.datetime] | None = None  # the last of them: its name in the run, when
        self._error: tuple[str, dt.datetime] | None = None  # what goes wrong, and when it did so last

    @property
    def status(self) -> WatchStatus:
        """What `status.json` says about it."""
        first = next(iter(self._left_out.items()), None)
        return WatchStatus(
            folder=self.settings.folder,
            path=self._path,
            queued=self._count,
            changing=len(self._restless.keys() - self._left_out.keys()),
            left_out=len(self._left_out),
            left_out_reason=None if first is None else f"{printable_path(first[0])}: {first[1]}",
            last_queued=self._last[0] if self._last else None,
            last_queued_at=self._last[1] if self._last else None,
            last_error=self._error[0] if self._error else None,
            last_error_at=self._error[1] if self._error else None,
        )

    def look(self, now: float) -> float:
        """Look at the folder and queue what is due.

        Args:
            now: monotonic seconds.

        Returns:
            When it is worth looking again though nothing is noticed, monotonic seconds.
        """
        began = time.monotonic()
        try:
            found = scan(self.root, self._rules)
        except OSError as error:
            self.identity, self.folders, self._restless = None, (), {}
            self._failed(f"the folder {self.root} cannot be read: {error.strerror}", "it is looked for again")
            return now + min(AWAY_S, self._context.config.daemon.rescan_s)
        self.scan_s = time.monotonic() - began
        self._passed(0)
        left_out = found.left_out
        self._sort_out(found.files, left_out, now)
        try:
            try:
                self._queue_due(left_out, now)
            finally:
                self._memory.forget_vanished(found.files)
                self._memory.save()
        except StoreError as error:
            self._failed(error.message, error.hint, is_alarm=isinstance(error, HomeUnusable))
        else:
            self._well()
        self._tell_left_out(left_out)
        self.identity, self.folders = found.identity, tuple(found.folders)
        return self._look_again_at(now)

    def _sort_out(self, files: Mapping[str, FileStamp], left_out: dict[str, str], now: float) -> None:
        """Find what differs from what was queued, and what may not be."""
        changed: dict[str, Restless] = {}
        for path, seen in files.items():
            if (reason := self._rules.why_left_out(path, seen)) is not None:
                left_out[path] = reason
            elif (file := restless(seen, self._memory.get(path), self._restless.get(path), now)) is not None:
                changed[path] = file
        self._restless = changed

    def _queue_due(self, left_out: dict[str, str], now: float) -> None:
        """Queue the files that are due, those first that were written first."""
        self.lacks_runs = False
        due = [path for path, file in self._restless.items() if due_at(file, self.settings) <= now]
        if not due:
            return
        due.sort(key=lambda path: self._restless[path].seen.mtime_ns)
        targets = {path: self._target(path) for path in due}
        before = self._queue.before(targets.values())
        saved = time.monotonic()
        for path, target in targets.items():
            if (reason := before.why_not(target.run_id)) is not None:
                left_out[path] = reason
                self.lacks_runs |= reason == NOT_YET
                continue
            try:
                self._one(path, target, before, now)
            except OSError as error:
                if not isinstance(error, FileNotFoundError):
                    left_out[path] = f"it cannot be read: {error.strerror}"
            if time.monotonic() - saved > SAVE_S:
                self._memory.save()
                saved = time.monotonic()

    def _one(self, path: str, target: Target, before: KnownPlaces, now: float) -> None:
        """Queue a file, unless the run has these bytes or will have them.

        Raises:
            OSError: the file cannot be read.
            StoreError: the home.
        """
        queued, wanted = self._memory.get(path), self._restless[path]
        # One upload of a name at a time: else a file that changes for days without a network fills the disk.
        if queued is not None and target in before.waiting:
            return
        with open_below(self.root, path) as file:
            seen = seen_of(os.fstat(file.fileno()))

            def read() -> str:
                file.seek(0)
                return md5_of(file, self._passed)

            is_same = queued is not None and queued.seen.size == seen.size and read() == queued.md5
            md5 = queued.md5 if queued is not None and is_same else before.is_there(target, seen.size, read)
            if md5 is not None and seen == seen_of(os.fstat(file.fileno())):
                self._remember(path, seen, md5)
            if md5 is not None or target in before.waiting:
                return
            file.seek(0)
            taken = take_in_open(self._queue.objects, file, path, self._passed)
            is_still = seen_of(os.fstat(file.fileno())) == wanted.seen
        if not is_still and now < growing_at(wanted, self.settings):
            return
        entry = self._queue.put(target, taken, before)
        self._remember(path, seen, taken.md5)
        self._count += 1
        self._last = target.name, self._utc()
        self._log.info(
            Event.FILE_QUEUED, run=str(entry.run_path), name=target.name, bytes=taken.size, id=entry.id,
            folder=printable_path(self.root),
        )  # fmt: skip

    def _remember(self, path: str, seen: FileStamp, md5: str) -> None:
        self._memory.note(path, Queued(seen, md5))
        self._restless.pop(path, None)

    def _target(self, path: str) -> Target:
        target = self._rules.target(path)
        assert target is not None, "left out before"
        return target

    def _look_again_at(self, now: float) -> float:
        """When the first file that changes will have been still for long enough; what waits for others is rescanned."""
        rescan = now + self._context.config.daemon.rescan_s
        later = (at for file in self._restless.values() if (at := due_at(file, self.settings)) > now)
        return min(rescan, min(later, default=rescan))

    def _tell_left_out(self, left_out: dict[str, str]) -> None:
        """Log what is left out that was not before: a line a reason, however many files."""
        for reason, paths in newly_left_out(self._left_out, left_out).items():
            self._log.warning(
                Event.FILES_LEFT_OUT,
                folder=printable_path(self.root),
                reason=reason,
                count=len(paths),
                first=printable_path(paths[0]),
            )
        self._left_out = left_out

    def _failed(self, reason: str, hint: str, *, is_alarm: bool = False) -> None:
        """Say once what goes wrong with the folder; each look tries again."""
        if self._error is None or self._error[0] != reason:
            say = self._log.alarm if is_alarm else self._log.warning
            say(Event.WATCH_FAILED, folder=printable_path(self.root), reason=reason, hint=hint)
        self._error = reason, self._utc()

    def _well(self) -> None:
        if self._error is not None:
            self._log.info(Event.WATCH_RESUMED, folder=printable_path(self.root))
        self._error = None

    def _utc(self) -> dt.datetime:
        """The time now without a zone, as `status.json` has them."""
        return self._context.utc().replace(tzinfo=None)
