"""The worker that watches folders: a look on notice and now and then in any case, one folder after the other.

A notification is a hint and no more: a folder that has many or none of them is looked at all the same, and one that
never rests is not looked at more often than its size allows.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import anyio
import anyio.to_thread

from mirror.config import Config, SourceSettings
from mirror.daemon.context import WatchContext
from mirror.daemon.status.status_file import WatchStatus
from mirror.daemon.watch_folder.look import WatchedFolder
from mirror.daemon.workers.activity import Activity
from mirror.daemon.workers.stopping import StoppedError, Stopping
from mirror.daemon.workers.wake_up import WakeUp
from mirror.errors import ConfigError
from mirror.layout import Home
from mirror.outbox import Outbox
from mirror.outbox.watch import notified
from mirror.records.addresses import ProjectKey
from mirror.watch_settings import project_of_watch

GAP_S = 1.0  # the shortest time between two looks at a folder …
GAP_SHARE = 20  # … and so many times as long as its files took to be listed: a twentieth of one core, at most

END_WITHIN_S = 5.0  # so long a look that is stopped may take to put away what it copied


class WatchWorker:
    """Watches for as long as nobody cancels it.

    Args:
        context: what it shares.
        outbox: of the home.
        hurry: called with the path of a source that is to be pulled soon, for files wait for a run of it.
    """

    def __init__(self, context: WatchContext, outbox: Outbox, hurry: Callable[[str], None]) -> None:
        self._context = context
        self._hurry = hurry
        self._wake_up = WakeUp()
        self.activity = Activity("watch", context.now)
        self._stopping = Stopping(self.activity)
        self._watches = [
            _Watch(source, folder)
            for source in context.config.source
            for settings in source.watch
            for folder in [
                WatchedFolder(
                    context,
                    outbox,
                    ProjectKey(source.entity, project_of_watch(settings, source.project)),
                    settings,
                    source.file_size_max_mb,
                    self._stopping.passed,
                )
            ]
        ]

    @property
    def statuses(self) -> list[WatchStatus]:
        """How each folder is, in the order of the configuration."""
        return [watch.folder.status for watch in self._watches]

    def look_soon(self) -> None:
        """The machine slept, or something else happened that may have changed much."""
        for watch in self._watches:
            watch.next_at = min(watch.next_at, self._context.now())
        self._wake_up.notify()

    async def run(self) -> None:
        """Wait, look, and again.

        Raises:
            Exception: a defect; what goes wrong with a folder or the home is in the statuses.
        """
        if not self._watches:
            return
        self._stopping.begin()
        async with anyio.create_task_group() as group:
            group.start_soon(self._stopping.wait)
            for watch in self._watches:
                group.start_soon(self._listen, watch)
            while True:
                wait_s = max(0.0, min(watch.next_at for watch in self._watches) - self._context.now())
                self.activity.idle(wait_s)
                await self._wake_up.wait(wait_s)
                for watch in self._watches:
                    if watch.next_at <= self._context.now():
                        with self.activity.busy(f"looking at {watch.folder.settings.folder}"):
                            await self._look(watch)

    async def _look(self, watch: _Watch) -> None:
        began = self._context.now()
        watch.is_noticed = False
        notified_of = watch.folder.identity, watch.folder.folders
        try:
            watch.next_at = await _in_thread(lambda: watch.folder.look(began))
        except StoppedError:
            return
        ended = self._context.now()
        watch.not_before = ended + min(
            self._context.config.daemon.rescan_s, max(GAP_S, GAP_SHARE * watch.folder.scan_s)
        )
        watch.next_at = watch.not_before if watch.is_noticed else max(watch.next_at, watch.not_before)
        if (watch.folder.identity, watch.folder.folders) != notified_of:
            watch.moved.set()
        if watch.folder.lacks_runs and not watch.has_hurried and not watch.source.poll_cron:
            self._hurry(watch.source.path)
        watch.has_hurried = watch.folder.lacks_runs

    async def _listen(self, watch: _Watch) -> None:
        """Have notifications from the folders that the last look found; anew when those are others."""

        def notify() -> None:
            watch.is_noticed = True  # a look that is under way may have passed by
            watch.next_at = min(watch.next_at, max(watch.not_before, self._context.now()))
            self._wake_up.notify()

        while True:
            watch.moved = anyio.Event()
            async with anyio.create_task_group() as group:
                if watch.folder.folders:
                    group.start_soon(notified, watch.folder.folders, notify)
                    notify()  # for what happened between the look and now
                await watch.moved.wait()
                group.cancel_scope.cancel()


async def _in_thread(look: Callable[[], float]) -> float:
    """Do what blocks. When it is not wanted any more it may end by itself, but is not waited for without a bound: a
    file server that does not answer would keep a stop or a reload, and with it all other workers, waiting.
    """
    ended = threading.Event()

    def run() -> float:
        try:
            return look()
        finally:
            ended.set()

    try:
        return await anyio.to_thread.run_sync(run, abandon_on_cancel=True)
    except anyio.get_cancelled_exc_class():
        with anyio.move_on_after(END_WITHIN_S, shield=True):
            while not ended.is_set():
                await anyio.sleep(0.01)
        raise


class _Watch:
    """A folder and when it is looked at."""

    def __init__(self, source: SourceSettings, folder: WatchedFolder) -> None:
        self.source = source
        self.folder = folder
        self.next_at = 0.0  # monotonic seconds
        self.not_before = 0.0  # whatever is noticed
        self.moved = anyio.Event()
        self.is_noticed = False  # since the last look began
        self.has_hurried = False


def check_watches(config: Config, home: Home) -> None:
    """Refuse watch folders that cannot be.

    Raises:
        ConfigError: one lies in the home or holds it, or two are the same.
    """
    root = os.path.realpath(home.root)
    seen: dict[tuple[str, str, str], str] = {}
    for number, source in enumerate(config.source):
        for place, watch in enumerate(source.watch):
            where = f"source[{number}].watch[{place}]"
            folder = os.path.realpath(os.path.expanduser(watch.folder))  # noqa: PTH111 -- a text, as realpath gives
            if os.path.expanduser(watch.folder).startswith("~"):  # noqa: PTH111 -- as above
                raise ConfigError(f"{where}.folder: there is no such user: {watch.folder}", hint="give a full path")
            if os.path.commonpath([root, folder]) in (root, folder):
                raise ConfigError(
                    f"{where}.folder: {watch.folder} and the mirror's home {home.root} lie in each other",
                    hint="watch another folder, or keep the home elsewhere (--home)",
                )
            target = (folder, f"{source.entity}/{project_of_watch(watch, source.project)}", watch.run)
            if (other := seen.setdefault(target, where)) != where:
                raise ConfigError(
                    f"{where}: {watch.folder} is watched for run {watch.run!r} already, by {other}",
                    hint="remove one of the two",
                )
