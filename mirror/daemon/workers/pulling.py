"""What the workers that pull do: the pull of one source, so that a long one delays no other; and pulls that are asked
for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec

from mirror.api.client import Client
from mirror.api.limits.spent import Spent
from mirror.daemon.connection import may_be_outage
from mirror.daemon.context import DaemonContext, ask
from mirror.daemon.events import Event
from mirror.daemon.schedule.scheduler import pull_of
from mirror.daemon.schedule.source_states import SourceStates
from mirror.daemon.schedule.triggers import Pulled
from mirror.daemon.workers.alone import Turns
from mirror.errors import MirrorError, StoreError
from mirror.pull import ProjectReport, PullReport, PullRequest, PullWatcher, pull


class Pulls:
    """Pulls one source at a time for each worker that asks.

    Args:
        context: what is shared with other work.
        client: of all pulls.
        source_states: the sources.
        turns: pulls go beside one another, maintenance does not.
    """

    def __init__(self, context: DaemonContext, client: Client, source_states: SourceStates, turns: Turns) -> None:
        self.steps = 0  # of all pulls, which shows that they move
        self._context = context
        self._client = client
        self._source_states = source_states
        self._turns = turns

    @asynccontextmanager
    async def gate(self) -> AsyncIterator[None]:
        """Inside, a source may be pulled: the server is there, and nobody is alone at the home."""
        await self._context.connection.wait_for_pull()
        async with self._turns.beside():
            yield

    async def pull(self, path: str) -> Pulled | None:
        """Pull a source; None if the server is away.

        Raises:
            StoreError: the home, the lake or the disk.
        """
        request = PullRequest(sources=self._context.config.source, due=frozenset({path}))
        try:
            _, noted = await self.done(request, self)
        except StoreError:
            raise
        except MirrorError as error:
            if not may_be_outage(error):
                raise
            return None
        return noted.get(path)

    async def done(self, request: PullRequest, watcher: PullWatcher) -> tuple[PullReport, Mapping[str, Pulled]]:
        """Do a pull that is due, or that somebody asked for, and tell the connection, the sources and the log of it.

        Returns:
            What it came to, and how its sources are now: none of them where the server is away, or where it was not
            about whole sources.

        Raises:
            MirrorError: it could not be begun, or the disk failed.
        """
        context = self._context
        try:
            report = await pull(
                self._client,
                context.lake,
                context.config,
                request,
                watcher=watcher,
                now=context.utc,
                storing=context.storing,
                fresh=context.fresh,
                objects=context.objects,
            )
        except MirrorError as error:
            if not isinstance(error, StoreError) and may_be_outage(error):
                self._lost(error)
            raise
        if any(map(may_be_outage, report.errors)) and (outage := await ask(self._client)) is not None:
            self._lost(outage)
            return report, {}
        if request.dry_run:
            return report, {}
        noted: dict[str, Pulled] = {}
        if not request.runs:
            by_source = self._source_states.by_source(report.projects)
            for path in request.due or by_source:
                own = msgspec.structs.replace(report, projects=by_source.get(path, []))
                noted[path] = await self._source_states.note(path, own)
        context.log.info(
            Event.PULL_DONE,
            sources=list(noted) or sorted({str(run.key) for run in request.runs}),
            written=sum(project.written for project in report.projects),
            files=sum(project.files for project in report.projects),
            failures=report.failures,
            seconds=round(report.seconds, 3),
        )
        return report, noted

    @property
    def spent(self) -> Spent:
        """What pulls have asked of the server."""
        return self._client.spent

    def _lost(self, error: MirrorError) -> None:
        self._context.counters.pulls_failed += 1
        self._context.lost(error)

    async def reconcile(self, path: str) -> bool:
        """Have a source pulled now: a pull compares all runs of projects for which that is due."""
        self._context.scheduler.hurry(pull_of(path))
        return True

    def pass_started(self, _: ProjectReport) -> None:
        """A step, as the watcher of a pull hears of it."""
        self.steps += 1

    def page_done(self, _: ProjectReport, __: int | None) -> None:
        """The same."""
        self.steps += 1

    def pass_ended(self, _: ProjectReport) -> None:
        """The same."""
        self.steps += 1
