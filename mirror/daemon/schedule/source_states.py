"""The sources as all pull workers know them: how each is, and by when its pace owes a pull."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import anyio.to_thread
import msgspec

from mirror.daemon.context import DaemonContext
from mirror.daemon.events import Event
from mirror.daemon.schedule.owed import owed_at
from mirror.daemon.schedule.scheduler import reconcile_of
from mirror.daemon.schedule.triggers import Pulled, reconcile_trigger
from mirror.pull import ProjectReport, PullReport
from mirror.pull.begun import forget
from mirror.pull.cycle import policy_of
from mirror.records.addresses import ProjectKey
from mirror.store.read.projects import active_projects, standing


class SourceSchedule(msgspec.Struct, kw_only=True):
    """How a source is, as the daemon saw it."""

    last_good_at: dt.datetime | None = None  # UTC; the last pull without an error, also of another process
    due_at: dt.datetime | None = None  # UTC; when its pace owes the next one
    last_error: str | None = None  # why a project of it could not be pulled last time
    last_error_at: dt.datetime | None = None
    active: bool = False  # it has runs that have not ended


class SourceStates:
    """Of one session; it belongs to one event loop.

    Args:
        context: what the workers share.
    """

    def __init__(self, context: DaemonContext) -> None:
        self.sources = {source.path: SourceSchedule() for source in context.config.source}
        self._settings = {source.path: source for source in context.config.source}
        self._context = context
        self.begin_anew()

    def begin_anew(self) -> None:
        """No source is late by what was before: the daemon was not there, or the machine slept."""
        for path, state in self.sources.items():
            state.due_at = self._due_after(path, self._context.utc())

    async def remember(self) -> None:
        """What earlier pulls came to: those of an earlier session, of an earlier daemon or of the command."""
        known = await anyio.to_thread.run_sync(standing, self._context.lake)
        self._context.counters.quarantined = known.quarantined
        for key, at in known.good_at.items():
            path = self._source_of(key)
            if (state := self.sources.get(path)) is not None and (state.last_good_at or at) <= at:
                state.last_good_at = at

    async def note(self, path: str, report: PullReport) -> Pulled:
        """Remember how a source is after a pull."""
        context, state = self._context, self.sources[path]
        active = await anyio.to_thread.run_sync(active_projects, context.lake)
        known = await anyio.to_thread.run_sync(standing, context.lake)
        context.counters.quarantined = known.quarantined
        if report.errors:
            context.counters.pulls_failed += 1
        else:
            context.counters.pulls_good += 1
        self._note_errors(state, path, report.projects)
        if all(one.last_good_at is not None for one in self.sources.values()):
            await anyio.to_thread.run_sync(forget, context.lake.home)  # a pull of all that was stopped is made good
        self._plan_reconcile(path, [at for one in report.projects if (at := known.walked_at.get(one.key)) is not None])
        state.active = any(project.key in active for project in report.projects)
        moved = any(project.written or project.gone for project in report.projects)
        return Pulled(active=state.active, moved=moved)

    def _plan_reconcile(self, path: str, walked_at: list[dt.datetime]) -> None:
        every = dt.timedelta(hours=self._context.config.pull.reconcile_every_hours)
        if walked_at:
            self._context.scheduler.set(
                reconcile_of(path), reconcile_trigger(self._settings[path], min(walked_at), every)
            )

    def _note_errors(self, state: SourceSchedule, path: str, projects: list[ProjectReport]) -> None:
        at, before = self._context.utc(), state.last_error
        failed = [project for project in projects if project.error is not None]
        if not failed:
            state.last_good_at, state.last_error, state.last_error_at = at, None, None
            state.due_at = self._due_after(path, at)
            return
        self._context.counters.source_errors[path] += 1
        where = "" if str(failed[0].key) == path else f"{failed[0].key}: "
        state.last_error, state.last_error_at = f"{where}{failed[0].error}", at
        if state.last_error != before:  # the same error every few minutes is one line, not thousands
            for project in failed:
                hint = project.error.hint if project.error else ""
                self._context.log.warning(
                    Event.SOURCE_FAILED, source=path, project=str(project.key), reason=str(project.error), hint=hint
                )

    def _due_after(self, path: str, at: dt.datetime) -> dt.datetime | None:
        return owed_at(self._context.config.daemon, self._settings[path], at)

    def by_source(self, projects: Sequence[ProjectReport]) -> dict[str, list[ProjectReport]]:
        """Reports of a pull by the path of their source; those of no source are left out."""
        found: dict[str, list[ProjectReport]] = {}
        for project in projects:
            if (path := self._source_of(project.key)) in self.sources:
                found.setdefault(path, []).append(project)
        return found

    def _source_of(self, key: ProjectKey) -> str:
        # The report of a glob that could not be expanded carries the glob itself.
        path = f"{key.entity}/{key.project}"
        return path if path in self.sources else policy_of(key, self._context.config.source).path
