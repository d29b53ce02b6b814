"""A term: the workers under one configuration, from READY to a stop or a reload.

At its end a pull is cancelled, for every page is a commit; the replay begins nothing more, may end what is under way
within `stop_within_s`, and puts the rest back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from mirror.api import Client, Spent
from mirror.daemon.alone import Turns
from mirror.daemon.cron import CronClock
from mirror.daemon.delivering import ReplayWorker
from mirror.daemon.events import Event
from mirror.daemon.pulling import PullWorker
from mirror.daemon.pulse import Pulse
from mirror.daemon.restarts import Restarts
from mirror.daemon.roster import Roster
from mirror.daemon.upkeep import UpkeepWorker
from mirror.daemon.watch_folder import WatchWorker
from mirror.daemon.world import World, ask
from mirror.errors import MirrorError
from mirror.outbox import Outbox
from mirror.outbox.watch import watch_new
from mirror.tasks import first_of, side_by_side


class Term:
    """The workers under one configuration.

    Args:
        world: what they share.
        clients: for the pull, for the replay and for probes; they share their limits.
        outbox: of the home.
    """

    def __init__(self, world: World, clients: tuple[Client, Client, Client], outbox: Outbox) -> None:
        self.world = world
        self._clients = clients
        self.roster = Roster(world)
        turns = Turns()
        self.pulls = [
            PullWorker(f"pull {number}", world, clients[0], self.roster, turns)
            for number in range(1, world.config.daemon.pulls_at_once + 1)
        ]
        self.upkeep = UpkeepWorker(world, turns)
        self.replay = ReplayWorker(world, clients[1], outbox)
        self.watch = WatchWorker(world, outbox, self.roster.ring)
        self._prober = clients[2]
        self._cron = CronClock(world.config.source, self.roster.ring, world.utc)

    @property
    def pulses(self) -> tuple[Pulse, ...]:
        """Of the workers."""
        pulls = [pull.pulse for pull in self.pulls]
        watch = [self.watch.pulse] if self.watch.statuses else []
        return *pulls, self.upkeep.pulse, self.replay.pulse, *watch

    @property
    def spent(self) -> Spent:
        """What the term has asked of the server."""
        all_of_them = [client.spent for client in self._clients]
        fields = Spent.__struct_fields__
        return Spent(**{name: sum(getattr(spent, name) for spent in all_of_them) for name in fields})

    def woke_up(self) -> None:
        """The machine slept, or the clock was set: look at everything soon."""
        self._cron.look_again()
        self.world.line.nudge()
        self.roster.timetable.hurry(self.world.now())
        self.roster.begin_anew()
        self.roster.ring()
        self.replay.bell.ring()
        self.watch.look_soon()

    def look_at_clock(self) -> None:
        """Let cron see the wall clock, now and then."""
        self._cron.look()

    async def run(self, ending: anyio.Event) -> None:
        """Work until `ending` is set.

        Raises:
            MirrorError: a worker crashed again and again, for this reason.
            Exception: the same, for a defect.
        """
        pulling = anyio.CancelScope()

        async def pull() -> None:
            with pulling:
                await self._supervised(self.roster.remember, self.pulls[0].pulse)
                async with side_by_side() as pulls:
                    for one in self.pulls:
                        pulls.start_soon(self._supervised, one.run, one.pulse)
                    pulls.start_soon(self._supervised, self.upkeep.run, self.upkeep.pulse)

        async with side_by_side() as workers:
            workers.start_soon(pull)
            workers.start_soon(self._supervised, self.replay.run, self.replay.pulse)
            workers.start_soon(self._supervised, self.watch.run, self.watch.pulse)
            workers.start_soon(self._probe)
            workers.start_soon(watch_new, self.world.lake.home, self.replay.bell.ring)
            await ending.wait()
            self.replay.is_stopping = True
            pulling.cancel()
            with anyio.move_on_after(self.world.config.daemon.stop_within_s):
                await self.replay.pulse.wait_settled()
            workers.cancel_scope.cancel()

    async def _supervised(self, run: Callable[[], Awaitable[None]], pulse: Pulse) -> None:
        """Restart a worker that crashes; raise the cause of a crash loop."""
        world = self.world
        restarts = Restarts(world.config.daemon)
        while True:
            try:
                return await run()
            except Exception as error:
                cause = cause_of(error)
                reason = str(cause) if isinstance(cause, MirrorError) else f"{type(cause).__name__}: {cause}"
                pulse.crashed(reason)
                wait_s = restarts.crashed(world.now())
                traced = None if isinstance(cause, MirrorError) else error
                world.log.alarm(Event.WORKER_CRASHED, exc=traced, worker=pulse.name, reason=reason, restart_in_s=wait_s)
                if wait_s is None:
                    world.log.alarm(Event.CRASH_LOOP, worker=pulse.name, crashes=pulse.crashes, reason=reason)
                    raise cause from error
            await anyio.sleep(wait_s)

    async def _probe(self) -> None:
        """Ask a server that is away until it answers."""
        line = self.world.line
        while True:
            await line.wait_to_probe()
            error = await ask(self._prober)
            if error is not None:
                self.world.lost(error)
                continue
            since = line.since
            line.found()
            self.replay.bell.ring()
            away_s = (self.world.utc() - since).total_seconds() if since else 0.0
            self.world.log.info(Event.ONLINE, away_s=round(away_s, 1))


def cause_of(error: Exception) -> Exception:
    """The one error to name: ours before others, for those are sentences."""
    if not isinstance(error, ExceptionGroup):
        return error
    ours = error.subgroup(MirrorError)
    if ours is not None:
        return first_of(ours)
    return cause_of(error.exceptions[0])
