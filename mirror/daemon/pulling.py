"""The worker that pulls: sources that are due, one pull at a time, and a record of how each source is.

Between two pulls it also maintains the home, for that may not be done beside one.
"""

from __future__ import annotations

import datetime as dt

import anyio.to_thread
import msgspec

from mirror.api import Client
from mirror.daemon.bell import Bell
from mirror.daemon.events import Event
from mirror.daemon.line import may_be_outage
from mirror.daemon.pace import Timetable
from mirror.daemon.promise import owed_at
from mirror.daemon.pulse import Pulse
from mirror.daemon.upkeep import Upkeep
from mirror.daemon.world import World, ask
from mirror.errors import MirrorError, StoreError
from mirror.pull import ProjectReport, PullReport, PullRequest, pull
from mirror.pull.cycle import policy_of
from mirror.records.passes import ProjectKey
from mirror.store.activity import active_projects
from mirror.store.standing import standing


class SourceState(msgspec.Struct, kw_only=True):
    """How a source is, as the daemon saw it."""

    last_good_at: dt.datetime | None = None  # UTC; the last pull without an error, also of another process
    due_at: dt.datetime | None = None  # UTC; when its pace owes the next one
    last_error: str | None = None  # why a project of it could not be pulled last time
    last_error_at: dt.datetime | None = None
    active: bool = False  # it has runs that have not ended


class PullWorker:
    """Pulls for as long as nobody cancels it.

    Args:
        world: what it shares.
        client: its own, so that its requests show that it moves.
    """

    def __init__(self, world: World, client: Client) -> None:
        self.bell = Bell()
        self._progress = _Progress()
        self._upkeep = Upkeep(world)
        self.sources = {source.path: SourceState() for source in world.config.source}
        self.timetable = Timetable(world.config.daemon, world.config.source, world.now(), world.random)
        self.pulse = Pulse("pull", world.now, lambda: (client.spent, self._progress.steps))
        self._world = world
        self._client = client
        self._owed: set[str] = set()  # rung for and not pulled yet
        self.begin_anew()

    def begin_anew(self) -> None:
        """No source is late by what was before: the daemon was not there, or the machine slept."""
        for path, state in self.sources.items():
            state.due_at = self._due_after(path, self._world.utc())

    async def run(self) -> None:
        """Wait, maintain or pull what is due, and again.

        Raises:
            StoreError: the home, the lake or the disk.
        """
        await self._remember()
        while True:
            due_s = self.timetable.wait_s(self._world.now())
            wait_s = self._upkeep.wait_s if due_s is None else min(due_s, self._upkeep.wait_s)
            self.pulse.idle(wait_s)
            self._owed |= await self.bell.wait(wait_s)
            if not self._upkeep.wait_s:
                with self.pulse.busy():
                    await self._upkeep.run()
            if not self._due():
                continue
            self.pulse.idle(None)
            await self._world.line.wait_for_pull()
            with self.pulse.busy():
                await self._pull(frozenset(self._due()))

    def _due(self) -> set[str]:
        return {*self._owed, *self.timetable.due(self._world.now())} & self.sources.keys()

    async def _pull(self, due: frozenset[str]) -> None:
        world = self._world
        request = PullRequest(sources=world.config.source, due=due)
        try:
            report = await pull(
                self._client,
                world.lake,
                world.config,
                request,
                watcher=self._progress,
                now=world.utc,
                storing=world.storing,
            )
        except StoreError:
            raise
        except MirrorError as error:
            if not may_be_outage(error):
                raise
            world.tally.pulls_failed += 1
            world.lost(error)
            return
        if any(map(may_be_outage, report.errors)) and (outage := await ask(self._client)) is not None:
            world.tally.pulls_failed += 1
            world.lost(outage)
            return
        await self._note(due, report)

    async def _remember(self) -> None:
        """What pulls before this one came to: those of an earlier term, of an earlier daemon or of the command."""
        known = await anyio.to_thread.run_sync(standing, self._world.lake)
        self._world.tally.quarantined = known.quarantined
        for key, at in known.good_at.items():
            path = self._source_of(key)
            if (state := self.sources.get(path)) is not None and (state.last_good_at or at) <= at:
                state.last_good_at = at

    def _due_after(self, path: str, at: dt.datetime) -> dt.datetime | None:
        source = next(source for source in self._world.config.source if source.path == path)
        return owed_at(self._world.config.daemon, source, at)

    async def _note(self, due: frozenset[str], report: PullReport) -> None:
        """Remember how each source is, and when it is pulled next."""
        world = self._world
        active = await anyio.to_thread.run_sync(active_projects, world.lake)
        world.tally.quarantined = (await anyio.to_thread.run_sync(standing, world.lake)).quarantined
        if report.errors:
            world.tally.pulls_failed += 1
        else:
            world.tally.pulls_good += 1
        by_source: dict[str, list[ProjectReport]] = {path: [] for path in due}
        for project in report.projects:
            by_source.setdefault(self._source_of(project.key), []).append(project)
        for path, projects in by_source.items():
            if (state := self.sources.get(path)) is None:
                continue
            self._note_source(state, path, projects)
            state.active = any(project.key in active for project in projects)
            moved = any(project.written or project.gone for project in projects)
            self.timetable.pulled(path, world.now(), active=state.active, moved=moved)
        self._owed -= due
        world.log.info(
            Event.PULL_DONE,
            sources=sorted(due),
            written=sum(project.written for project in report.projects),
            files=sum(project.files for project in report.projects),
            failures=report.failures,
            requests=report.requests,
            bytes_down=report.bytes_down,
            seconds=round(report.seconds, 3),
        )

    def _note_source(self, state: SourceState, path: str, projects: list[ProjectReport]) -> None:
        at, before = self._world.utc(), state.last_error
        failed = [project for project in projects if project.error is not None]
        if not failed:
            state.last_good_at, state.last_error, state.last_error_at = at, None, None
            state.due_at = self._due_after(path, at)
            return
        self._world.tally.source_errors[path] += 1
        where = "" if str(failed[0].key) == path else f"{failed[0].key}: "
        state.last_error, state.last_error_at = f"{where}{failed[0].error}", at
        if state.last_error != before:  # the same error every few minutes is one line, not thousands
            for project in failed:
                hint = project.error.hint if project.error else ""
                self._world.log.warning(
                    Event.SOURCE_FAILED, source=path, project=str(project.key), reason=str(project.error), hint=hint
                )

    def _source_of(self, key: ProjectKey) -> str:
        # The report of a glob that could not be expanded carries the glob itself.
        path = f"{key.entity}/{key.project}"
        return path if path in self.sources else policy_of(key, self._world.config.source).path


class _Progress:
    """Hears of each step of a pull, which shows that it moves."""

    def __init__(self) -> None:
        self.steps = 0

    def pass_started(self, report: ProjectReport) -> None:  # noqa: ARG002 -- a watcher's signature
        self.steps += 1

    def page_done(self, report: ProjectReport, expected: int | None) -> None:  # noqa: ARG002
        self.steps += 1

    def pass_ended(self, report: ProjectReport) -> None:  # noqa: ARG002
        self.steps += 1
