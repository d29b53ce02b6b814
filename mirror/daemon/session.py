"""A session: the workers under one configuration, from READY to a stop or a reload.

At its end a pull is cancelled, for every page is a commit; the replay begins nothing more, may end what is under way
within `stop_within_s`, and puts the rest back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from functools import partial

import anyio
from anyio.abc import TaskGroup

from mirror.api.client import Client
from mirror.api.limits.spent import Spent
from mirror.daemon.context import DaemonContext, ask
from mirror.daemon.events import Event
from mirror.daemon.requests.answers import Answers
from mirror.daemon.requests.server import RequestServer
from mirror.daemon.schedule.scheduler import MAINTAIN, PROBE, Scheduler, pull_of, reconcile_of
from mirror.daemon.schedule.source_states import SourceStates
from mirror.daemon.schedule.triggers import Never, Probing, pull_trigger
from mirror.daemon.watch_folder.worker import WatchWorker
from mirror.daemon.workers.activity import Activity
from mirror.daemon.workers.alone import Turns
from mirror.daemon.workers.delivering import ReplayWorker
from mirror.daemon.workers.executor import Workers
from mirror.daemon.workers.offline import OfflineWorker
from mirror.daemon.workers.pulling import Pulls
from mirror.daemon.workers.restarts import Restarts
from mirror.daemon.workers.upkeep import Upkeep
from mirror.errors import LakeAway, LeaseLost, MirrorError
from mirror.outbox import Outbox
from mirror.outbox.watch import watch_new
from mirror.tasks import first_of, side_by_side


class DaemonSession:
    """The workers under one configuration.

    Args:
        context: what they share.
        clients: for the pull, for the replay and for probes; they share their limits.
        outbox: of the home.
    """

    def __init__(self, context: DaemonContext, clients: tuple[Client, Client, Client], outbox: Outbox) -> None:
        self.context = context
        self._clients = clients
        self.source_states = SourceStates(context)
        self._prober = clients[2]
        turns = Turns()
        pulls, upkeep = Pulls(context, clients[0], self.source_states, turns), Upkeep(context, turns)
        activities = [
            Activity(f"pull {number}", context.now, lambda: (clients[0].spent, pulls.steps))
            for number in range(1, context.config.daemon.pulls_at_once + 1)
        ]
        self._pulls = Workers(pulls.gate, *activities)
        self._upkeep = Workers(upkeep.gate, Activity("upkeep", context.now))
        self._probes = Workers(nullcontext, Activity(PROBE, context.now, lambda: clients[2].spent))
        self.offline = OfflineWorker(context, outbox)
        self.requests = Answers(context, pulls, upkeep, turns, self.offline, outbox)
        self.replay = ReplayWorker(context, clients[1], outbox)
        self.watch = WatchWorker(context, outbox, lambda path: context.scheduler.hurry(pull_of(path)))
        self._plan(context.scheduler, pulls, upkeep)

    def _plan(self, scheduler: Scheduler, pulls: Pulls, upkeep: Upkeep) -> None:
        """All that comes again and again."""
        config, random = self.context.config, self.context.random
        for workers, name in ((self._pulls, "pull"), (self._upkeep, "upkeep"), (self._probes, PROBE)):
            scheduler.add_executor(workers, name)
        for path, source in ((source.path, source) for source in config.source):
            trigger = pull_trigger(config.daemon, source, random)
            scheduler.add(pull_of(path), trigger, "pull", pulls.pull, path, doing=f"pulling {path}")
            scheduler.add(reconcile_of(path), Never(), "pull", pulls.reconcile, path, doing=f"reconciling {path}")
        scheduler.add(MAINTAIN, upkeep.trigger, "upkeep", upkeep.maintain, doing="maintaining")
        scheduler.add(PROBE, Never(), PROBE, self._probe, doing="probing")

    @property
    def activities(self) -> tuple[Activity, ...]:
        """Of the workers."""
        watch = [self.watch.activity] if self.watch.statuses else []
        jobs = (*self._pulls.activities, *self._upkeep.activities, *self._probes.activities)
        return *jobs, self.requests.activity, self.replay.activity, *watch, self.offline.activity

    @property
    def spent(self) -> Spent:
        """What the session has asked of the server."""
        all_of_them = [client.spent for client in self._clients]
        fields = Spent.__struct_fields__
        return Spent(**{name: sum(getattr(spent, name) for spent in all_of_them) for name in fields})

    def woke_up(self) -> None:
        """The machine slept, or the clock was set: look at everything soon."""
        scheduler, daemon = self.context.scheduler, self.context.config.daemon
        if not self.context.connection.is_up and scheduler.status(PROBE).state == "waiting":
            scheduler.set(PROBE, Probing(settings=daemon, random=self.context.random))
            scheduler.hurry(PROBE)
        for source in self.context.config.source:
            if not source.poll_cron:
                scheduler.hurry(pull_of(source.path))
        self.source_states.begin_anew()
        self.replay.wake_up.notify()
        self.watch.look_soon()

    async def run(self, ending: anyio.Event) -> None:
        """Work until `ending` is set.

        Raises:
            MirrorError: a worker crashed again and again, for this reason.
            Exception: the same, for a defect.
        """
        pulling, home = anyio.CancelScope(), self.context.lake.home

        async def pull() -> None:
            with pulling:
                await self._supervised(self.source_states.remember, self._pulls.activities[0])
                async with side_by_side() as pulls:
                    self._start(pulls, self._pulls)
                    self._start(pulls, self._upkeep)
                    pulls.start_soon(RequestServer(home, self.context.log, self.requests.answer).run)

        async with side_by_side() as workers:
            workers.start_soon(pull)
            workers.start_soon(self._supervised, self.replay.run, self.replay.activity)
            workers.start_soon(self._supervised, self.watch.run, self.watch.activity)
            workers.start_soon(self._supervised, self.offline.run, self.offline.activity)
            self._start(workers, self._probes)
            workers.start_soon(self.context.scheduler.run)
            workers.start_soon(watch_new, home, self.replay.wake_up.notify)
            await ending.wait()
            self.replay.is_stopping = True
            pulling.cancel()
            with anyio.move_on_after(self.context.config.daemon.stop_within_s):
                await self.replay.activity.wait_settled()
            workers.cancel_scope.cancel()

    def _start(self, group: TaskGroup, workers: Workers) -> None:
        for activity in workers.activities:
            group.start_soon(self._supervised, partial(workers.work, activity), activity)

    async def _supervised(self, run: Callable[[], Awaitable[None]], activity: Activity) -> None:
        """Restart a worker that crashes; raise the cause of a crash loop."""
        context = self.context
        restarts = Restarts(context.config.daemon)
        while True:
            try:
                return await run()
            except Exception as error:
                cause = cause_of(error)
                if isinstance(cause, LeaseLost | LakeAway):
                    raise cause from error
                reason = str(cause) if isinstance(cause, MirrorError) else f"{type(cause).__name__}: {cause}"
                activity.crashed(reason)
                wait_s = restarts.crashed(context.now())
                traced = None if isinstance(cause, MirrorError) else error
                context.log.alarm(
                    Event.WORKER_CRASHED, exc=traced, worker=activity.name, reason=reason, restart_in_s=wait_s
                )
                if wait_s is None:
                    context.log.alarm(Event.CRASH_LOOP, worker=activity.name, crashes=activity.crashes, reason=reason)
                    raise cause from error
            await anyio.sleep(wait_s)

    async def _probe(self) -> bool:
        """Ask a server that is away; whether it answers."""
        connection = self.context.connection
        if (error := await ask(self._prober)) is not None:
            self.context.lost(error)
            return False
        since = connection.since
        connection.found()
        self.replay.wake_up.notify()
        away_s = (self.context.utc() - since).total_seconds() if since else 0.0
        self.context.log.info(Event.ONLINE, away_s=round(away_s, 1))
        return True


def cause_of(error: Exception) -> Exception:
    """The one error to name: ours before others, for those are sentences."""
    if not isinstance(error, ExceptionGroup):
        return error
    ours = error.subgroup(MirrorError)
    if ours is not None:
        return first_of(ours)
    return cause_of(error.exceptions[0])
