"""The workers that pull: each takes the source that has waited longest, so that a long pull of one delays no other."""

from __future__ import annotations

from mirror.api import Client
from mirror.daemon.alone import Turns
from mirror.daemon.events import Event
from mirror.daemon.line import may_be_outage
from mirror.daemon.pulse import Pulse
from mirror.daemon.roster import Roster
from mirror.daemon.world import World, ask
from mirror.errors import MirrorError, StoreError
from mirror.pull import ProjectReport, PullRequest, pull


class PullWorker:
    """Pulls for as long as nobody cancels it.

    Args:
        name: of the worker.
        world: what it shares with others.
        client: of all pull workers, which share its limits.
        roster: the sources.
        turns: pulls go beside one another, maintenance does not.
    """

    def __init__(self, name: str, world: World, client: Client, roster: Roster, turns: Turns) -> None:
        self._progress = _Progress()
        self.pulse = Pulse(name, world.now, lambda: (client.spent, self._progress.steps))
        self._world = world
        self._client = client
        self._roster = roster
        self._turns = turns

    async def run(self) -> None:
        """Wait until a source is due, pull it, and again.

        Raises:
            StoreError: the home, the lake or the disk.
        """
        while True:
            wait_s = self._roster.wait_s
            if wait_s != 0.0:
                self.pulse.idle(wait_s)
                await self._roster.wait(wait_s)
                continue
            self.pulse.idle(None)
            await self._world.line.wait_for_pull()
            async with self._turns.beside():
                with self._roster.taken() as path:
                    if path is not None:
                        with self.pulse.busy(f"pulling {path}"):
                            await self._pull(path)

    async def _pull(self, path: str) -> None:
        world = self._world
        request = PullRequest(sources=world.config.source, due=frozenset({path}))
        try:
            report = await pull(
                self._client,
                world.lake,
                world.config,
                request,
                watcher=self._progress,
                now=world.utc,
                storing=world.storing,
                fresh=world.fresh,
                objects=world.objects,
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
        await self._roster.note(path, report)
        world.log.info(
            Event.PULL_DONE,
            sources=[path],
            written=sum(project.written for project in report.projects),
            files=sum(project.files for project in report.projects),
            failures=report.failures,
            seconds=round(report.seconds, 3),
        )


class _Progress:
    """Hears of each step of a pull, which shows that it moves."""

    def __init__(self) -> None:
        self.steps = 0

    def pass_started(self, _: ProjectReport) -> None:
        self.steps += 1

    def page_done(self, _: ProjectReport, __: int | None) -> None:
        self.steps += 1

    def pass_ended(self, _: ProjectReport) -> None:
        self.steps += 1
