"""The worker that takes runs in which train without a server: it looks for new ones, and follows those that go on.

What it reads and copies holds nobody up; for each commit alone it has the turn at the lake that pulls and deliveries
have, too.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
import msgspec

from mirror.api.transport.deployment import deployment_of
from mirror.carry.archive import reading
from mirror.carry.importing import Importer, check_server
from mirror.carry.outcome import Imported
from mirror.config import Config, sole_entity
from mirror.daemon.context import DaemonContext
from mirror.daemon.events import Event
from mirror.daemon.requests.wire import Added, LeftOut
from mirror.daemon.status.status_file import OfflineFolderStatus, OfflineStatus
from mirror.daemon.workers.activity import Activity
from mirror.daemon.workers.stopping import StoppedError, Stopping
from mirror.errors import ConfigError, HomeUnusable, MirrorError
from mirror.layout import Home
from mirror.offline.adding import Candidate, OfflineRuns, candidates
from mirror.offline.copies import copy_of, identify
from mirror.offline.found import FoundLog
from mirror.offline.wanted import Wanted
from mirror.outbox import Outbox
from mirror.records.offline import OfflineLog
from mirror.server_facts import read_viewer
from mirror.store.read.offline import offline_logs
from mirror.watch_settings import OfflineSettings

SEARCH_S = 10.0  # between two looks for new logs
LOOK_S = 1.0  # between two looks at those that grow
END_WITHIN_S = 5.0  # so long a look that is stopped may take to come to its end
LEFT_OUT_SAID = 1000  # logs of which the log has said why they are left out; then it begins anew

Result = TypeVar("Result")


class OfflineWorker:
    """Takes runs in for as long as nobody cancels it.

    Args:
        context: what it shares.
        outbox: of the home.
    """

    def __init__(self, context: DaemonContext, outbox: Outbox) -> None:
        self.activity = Activity("offline", context.now)
        self._context = context
        self._outbox = outbox
        self._runs = OfflineRuns(context.lake, outbox, now=context.utc, turn=self._turn)
        self._one = threading.Lock()  # what is asked for, or what is due
        self._stopping = Stopping(self.activity)
        self._followed: dict[str, Candidate] = {}  # by log; those that have not ended
        self._folders = [_Folder(settings) for settings in context.config.offline]
        self._told: set[str] = set()  # sources of logs that are left out
        self._is_begun = False
        self._search_at = 0.0  # monotonic seconds
        self._status = OfflineStatus()

    @property
    def status(self) -> OfflineStatus:
        """What `status.json` says about it."""
        folders = [folder.status for folder in self._folders]
        return msgspec.structs.replace(self._status, following=len(self._followed), folders=folders)

    async def run(self) -> None:
        """Look, wait, and again.

        Raises:
            Exception: a defect; what goes wrong with a folder or a log is in the status.
        """
        self._stopping.begin()
        async with anyio.create_task_group() as group:
            group.start_soon(self._stopping.wait)
            while True:
                with self.activity.busy("looking at offline runs"):
                    now = self._context.now()  # a thread has no event loop to ask
                    await self._in_thread(lambda now=now: self._look(now))  # type: ignore[misc]
                self.activity.idle(LOOK_S)
                await anyio.sleep(LOOK_S)

    async def add(self, wanted: Wanted) -> Added:
        """Take in what somebody asked for, and go on with what has not ended.

        Raises:
            ConfigError: a path is not there, or is no log.
            StoreError: the home; what was taken so far stays.
        """
        return await self._in_thread(lambda: self._add(wanted))

    def _add(self, wanted: Wanted) -> Added:
        with self._one, self._undone():
            found = candidates(wanted, self._known(), self._context.utc())
            left_out = [LeftOut(str(one.found.path), one.left_out or "") for one in found if one.row is None]

            def failed(candidate: Candidate, error: OSError) -> None:
                left_out.append(LeftOut(str(candidate.found.path), f"it cannot be read: {error.strerror}"))

            taken = self._take(found, failed)
            rows = tuple(one.row for one in taken if one.row is not None)
            return Added(rows, tuple(one.is_new for one in taken), tuple(left_out), tuple(one.lost for one in taken))

    async def take_archive(self, file: str) -> Imported:
        """Queue what another home exported, and go on with what has not ended of it.

        Args:
            file: path of the archive.

        Raises:
            ConfigError, OtherDeployment: the archive is refused.
            StoreError: the home; what was taken so far stays.
        """
        return await self._in_thread(lambda: self._take_archive(Path(file)))

    def _take_archive(self, path: Path) -> Imported:
        context = self._context
        with self._one, reading(path) as archive:
            server = context.config.server
            check_server(str(path), archive, deployment_of(server.base_url, server.aliases))
            self._runs.leave()  # what it brings of them is not what they have read
            try:
                return Importer(
                    context.lake, self._outbox, archive, turn=self._turn, passed=self._stopping.passed
                ).run()
            finally:
                self._begin()

    def _look(self, now: float) -> None:
        """One look at everything that is due.

        Args:
            now: monotonic seconds.
        """
        errors: list[str] = []

        def failed(candidate: Candidate, error: OSError) -> None:
            errors.append(f"{candidate.found.path} cannot be read: {error.strerror}")

        with self._one:
            due = now >= self._search_at
            try:
                with self._undone():
                    if not self._is_begun:
                        self._begin()
                    self._take(list(self._found(is_due=due)), failed)
                    if due:
                        self._runs.forget_delivered()
                        self._search_at = now + SEARCH_S
            except HomeUnusable as error:
                errors.append(error.message)
            self._status = msgspec.structs.replace(self._status, last_error=errors[0] if errors else None)

    @contextlib.contextmanager
    def _undone(self) -> Iterator[None]:
        """What could not be committed is read anew by the next look."""
        try:
            yield
        except BaseException:
            self._runs.leave()
            raise

    def _begin(self) -> None:
        """Go on with what the lake says has not ended."""
        for row in self._known():
            if row.delivered_at is not None:
                continue
            if row.ended:
                self._runs.queue(row)
                self._followed.pop(row.log, None)
            else:
                held = self._followed.get(row.log)
                found = held.found if held else FoundLog(path=self._place(row), is_online=False, is_synced=False)
                self._followed[row.log] = Candidate(found=found, row=row)
        self._is_begun = True

    def _place(self, row: OfflineLog) -> Path:
        """Where a log is: where it was found, if that is still the same one; else there is the copy alone."""
        with contextlib.suppress(OSError, MirrorError):
            identity = identify(Path(row.source))
            if identity is not None and identity[0] == row.log:
                return Path(row.source)
        return copy_of(self._context.lake.home, row.log)

    def _found(self, *, is_due: bool) -> Iterator[Candidate]:
        """What is followed, what is recorded in the home, and, when that is due, what is new in the folders."""
        seen = set(self._followed)
        yield from list(self._followed.values())
        context = self._context
        recordings = context.lake.home.recordings
        if recordings.exists():
            wanted = Wanted(paths=(str(recordings),), online=True, synced=True)
            yield from self._new(candidates(wanted, self._known(), context.utc()), seen)
        for folder in self._folders:
            if is_due or folder.has_come:
                yield from self._new(self._search(folder), seen)

    def _new(self, found: list[Candidate], seen: set[str]) -> Iterator[Candidate]:
        """Those that are not followed, and of which there is something to take."""
        for candidate in found:
            row = candidate.row
            if row is None or row.log in seen:
                continue
            seen.add(row.log)
            with contextlib.suppress(FileNotFoundError):  # it was cleaned away meanwhile
                if not row.ended or candidate.found.path.stat().st_size > row.bytes:
                    yield candidate

    def _search(self, folder: _Folder) -> list[Candidate]:
        """The logs of a folder; none where it cannot be looked through."""
        context, settings = self._context, folder.settings
        viewer = read_viewer(context.lake.home)
        wanted = Wanted(
            paths=(settings.folder,), entity=settings.entity or None, project=settings.project or None,
            default_entity=sole_entity(context.config.source) or (viewer.entity if viewer else None),
            online=settings.online, synced=settings.synced, home=str(context.lake.home.root),
        )  # fmt: skip
        try:
            found = candidates(wanted, self._known(), context.utc())
        except (ConfigError, OSError) as error:
            reason = error.message if isinstance(error, MirrorError) else str(error.strerror)
            if folder.error is None:
                context.log.warning(Event.OFFLINE_FAILED, folder=settings.folder, reason=reason)
            folder.error = reason, context.utc()
            return []
        if folder.error is not None:
            context.log.info(Event.OFFLINE_RESUMED, folder=settings.folder)
        left_out = [candidate for candidate in found if candidate.row is None]
        folder.error, folder.runs, folder.left_out = None, len(found) - len(left_out), left_out
        for candidate in left_out:
            self._tell_left_out(candidate)
        return found

    def _tell_left_out(self, candidate: Candidate) -> None:
        if len(self._told) >= LEFT_OUT_SAID:
            self._told.clear()
        source = str(candidate.found.path)
        if source not in self._told:
            self._told.add(source)
            self._context.log.info(Event.OFFLINE_RUN_LEFT_OUT, source=source, reason=candidate.left_out)

    def _take(self, found: list[Candidate], failed: Callable[[Candidate, OSError], None]) -> list[Candidate]:
        """Take what is new of logs, and say so; those that could be read, with what the lake has of them now.

        Raises:
            StoreError: the home.
        """
        before = {one.row.log: one.row for one in found if one.row is not None}
        taken = list(self._runs.take_all(found, failed, self._stopping.passed))
        for candidate in taken:
            assert candidate.row is not None
            self._note(candidate, candidate.row, before[candidate.row.log])
        return taken

    def _note(self, candidate: Candidate, row: OfflineLog, before: OfflineLog) -> None:
        """Say what came of a log, and follow it while it goes on."""
        context, run = self._context, str(row.run_path)
        if candidate.is_new:
            self._status = msgspec.structs.replace(self._status, added=self._status.added + 1)
            context.log.info(Event.OFFLINE_RUN_ADDED, run=run, source=row.source)
        if (row.rows, row.bytes) != (before.rows, before.bytes):
            self._status = msgspec.structs.replace(self._status, last=run, last_at=_without_zone(context.utc()))
        if row.ended:
            self._followed.pop(row.log, None)
            self._runs.leave(row.log)
            if not before.ended:
                context.log.info(
                    Event.OFFLINE_RUN_ENDED, run=run, rows=row.rows, exit_code=row.exit_code, damaged=row.damaged
                )
        else:
            self._followed[row.log] = Candidate(found=candidate.found, row=row)

    def _known(self) -> list[OfflineLog]:
        return offline_logs(self._context.lake)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """The turn at the lake, for one commit; in a thread of this worker."""
        borrower = object()
        anyio.from_thread.run(self._context.storing.acquire_on_behalf_of, borrower)
        try:
            yield
        finally:
            anyio.from_thread.run(self._give_turn, borrower)

    async def _give_turn(self, borrower: object) -> None:
        self._context.storing.release_on_behalf_of(borrower)

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        """Do what blocks. What is cancelled comes to its end at the next record, for it may be within a commit."""
        try:
            return await anyio.to_thread.run_sync(work)
        except StoppedError:
            await anyio.lowlevel.checkpoint()
            raise


class _Folder:
    """A folder of offline runs, and how it is."""

    def __init__(self, settings: OfflineSettings) -> None:
        self.settings = settings
        self.runs = 0
        self.left_out: list[Candidate] = []
        self.error: tuple[str, dt.datetime] | None = None

    @property
    def has_come(self) -> bool:
        """Whether it could not be looked through, and is there now."""
        return self.error is not None and Path(self.settings.folder).expanduser().is_dir()

    @property
    def status(self) -> OfflineFolderStatus:
        """What `status.json` says about it."""
        first = self.left_out[0] if self.left_out else None
        return OfflineFolderStatus(
            folder=self.settings.folder,
            runs=self.runs,
            left_out=len(self.left_out),
            left_out_reason=None if first is None else f"{first.found.path.parent.name}: {first.left_out}",
            last_error=self.error[0] if self.error else None,
            last_error_at=_without_zone(self.error[1]) if self.error else None,
        )


def check_offline(config: Config, home: Home) -> None:
    """Refuse folders of offline runs that lie in the home, where the mirror's own copies are.

    Raises:
        ConfigError: one does, or there is no such user.
    """
    root = os.path.realpath(home.root)
    for number, settings in enumerate(config.offline):
        folder = os.path.expanduser(settings.folder)  # noqa: PTH111 -- a text, as realpath gives
        if folder.startswith("~"):
            raise ConfigError(
                f"offline[{number}].folder: there is no such user: {settings.folder}", hint="give a full path"
            )
        if os.path.commonpath([root, os.path.realpath(folder)]) == root:
            raise ConfigError(
                f"offline[{number}].folder: {settings.folder} lies in the mirror's home {home.root}",
                hint="name the folder of the trainings, or keep the home elsewhere (--home)",
            )


def _without_zone(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC).replace(tzinfo=None)
