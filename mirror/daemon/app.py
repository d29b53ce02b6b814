"""The process: one lock, one lake, terms one after the other, and the signals that end them.

1. daemon.lock, writer.lock      taken by another: refused, with its name
2. the lake, the outbox, staged objects    put in order after whatever happened to the last process
3. READY=1                       and the first session
4. SIGHUP, an edited file        a good configuration ends the session and begins another; a bad one changes nothing
5. SIGTERM, SIGINT               ends the session; a second one ends the process at once, as a kill would: that is safe
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import anyio
import msgspec

from mirror.api.client import Client
from mirror.api.fitting.known_server import KnownServer
from mirror.api.limits.host import Limits
from mirror.api.transport.credentials import ApiKey, find_api_key
from mirror.api.transport.deployment import deployment_of
from mirror.cluster.place import place_of
from mirror.config import Config
from mirror.daemon.config_watch import stamp_of, watch_config
from mirror.daemon.connection import Connection
from mirror.daemon.context import DaemonContext, StandbyContext
from mirror.daemon.events import Event
from mirror.daemon.gateway import GatewayBeside
from mirror.daemon.group import GroupMember
from mirror.daemon.heartbeat import Heartbeat
from mirror.daemon.http.endpoint import Endpoint
from mirror.daemon.http.pages import HAS_METRICS, NO_METRICS_HINT, DaemonPages
from mirror.daemon.logs import Log
from mirror.daemon.notify import Notifier
from mirror.daemon.schedule.clock import Clock
from mirror.daemon.schedule.scheduler import Scheduler
from mirror.daemon.schedule.triggers import cron_trigger
from mirror.daemon.session import DaemonSession, cause_of
from mirror.daemon.watch_folder.worker import WatchWorker, check_watches
from mirror.daemon.workers.offline import check_offline
from mirror.durable import make_folder
from mirror.errors import ConfigError, MirrorError
from mirror.layout import Home
from mirror.locks import ProcessLock
from mirror.outbox import Aside, Outbox
from mirror.outbox.group import GroupOutbox, outbox_of
from mirror.records.runs import RUN_STATES
from mirror.server_facts import keep_server_facts, read_server_facts
from mirror.store.engine.lake import Lake
from mirror.store.engine.reader import Reader
from mirror.store.objects.objects import Objects
from mirror.tasks import side_by_side

WATCH_AGAIN_S = 10.0  # after a crash of what watches folders while another process has the lease


class Daemon:
    """The daemon of one home.

    Args:
        home: whose.
        config_path: the file that is watched.
        load: reads the configuration; may raise ConfigError.
        log: where events go.
        notifier: the service manager.
        clock: the time; the event loop it runs on has the same.
    """

    def __init__(
        self,
        home: Home,
        config_path: Path,
        load: Callable[[], Config],
        log: Log,
        notifier: Notifier | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._home = home
        self._config_path = config_path
        self._load = load
        self._log = log
        self._notifier = notifier or Notifier()
        self._clock = clock or Clock()
        self._gateway = GatewayBeside(home, config_path, log)
        self._heartbeat = Heartbeat(home, log, self._notifier, self._clock, lambda: self._gateway.trouble)
        self._endpoint = Endpoint(log, DaemonPages(lambda: self._heartbeat.said, self._heartbeat.findings))
        self._stopping = False
        self._stop = anyio.Event()
        self._turn = anyio.Event()  # ends the session that is on
        self._config = Config()
        self._deployment = ""  # the server of this home: another one needs another home

    async def run(self) -> None:
        """Run until a signal ends it.

        Raises:
            HomeBusy: another daemon, or another process that writes, has the home.
            ConfigError, AuthError: it cannot begin like this.
            MirrorError: a worker crashed again and again, for this reason.
        """
        self._log.info(Event.STARTING, home=str(self._home.root), pid=os.getpid())
        stamp = stamp_of(self._config_path)
        self._config, _ = self._checked()
        make_folder(self._home.root)
        lock = ProcessLock(
            self._home.daemon_lock,
            self._home.daemon_holder,
            busy=f"the daemon of {self._home.root}",
            hint="one home has one daemon; stop that one first, or choose another --home",
        )
        outbox = outbox_of(self._home, told=self._tell_aside, now=self._clock.utc)
        with lock, contextlib.ExitStack() as opened:
            is_shared = isinstance(outbox, GroupOutbox)
            lake = None if is_shared else opened.enter_context(self._lake(self._config))
            self._deployment = deployment_of(self._config.server.base_url, self._config.server.aliases).id
            async with side_by_side() as group:
                group.start_soon(self._listen)
                group.start_soon(watch_config, self._config_path, stamp, self._reload)
                group.start_soon(self._heartbeat.run)
                group.start_soon(self._endpoint.run)
                group.start_soon(self._gateway.run)
                if lake is not None:
                    await self._terms(outbox, lake)
                elif isinstance(outbox, GroupOutbox):
                    await self._in_group(outbox)
                group.cancel_scope.cancel()
            await self._heartbeat.tell(stopped=True)
        self._log.info(Event.STOPPED)

    async def _in_group(self, outbox: GroupOutbox) -> None:
        """Work whenever the lease of the shared lake is ours."""
        self._listen_at(self._config.daemon.listen)
        self._gateway.follow(self._config.serve)
        self._notifier.tell(READY=1)
        place = place_of(self._home)

        def lake() -> Lake:
            if place_of(self._home) != place:
                raise ConfigError("the configuration says that the lake is elsewhere now", hint="restart the daemon")
            return self._lake(self._config)

        member = GroupMember(
            outbox, self._log, self._clock, lake, self._heartbeat.leased, partial(self._watch_folders, outbox)
        )
        await member.run(partial(self._terms, outbox), lambda: self._stopping, self._stop)

    async def _watch_folders(self, outbox: Outbox) -> None:
        """Queue what is in watch folders, for whoever has the lease to deliver; anew with each configuration."""
        with Reader(self._home) as reader:
            while True:
                self._turn = anyio.Event()
                context = StandbyContext(lake=reader, config=self._config, log=self._log, clock=self._clock)
                worker = self._heartbeat.watching = WatchWorker(context, outbox, lambda _: None)
                try:
                    async with side_by_side() as group:
                        group.start_soon(worker.run)
                        await self._turn.wait()
                        group.cancel_scope.cancel()
                except Exception as error:
                    cause = cause_of(error)
                    self._log.alarm(Event.WORKER_CRASHED, exc=error, worker="watch", reason=str(cause))
                    await anyio.sleep(WATCH_AGAIN_S)
                finally:
                    self._heartbeat.watching = None

    async def _terms(self, outbox: Outbox, lake: Lake) -> None:
        objects = Objects(self._home)
        with outbox.replaying():
            objects.recover()
        first = True
        while not self._stopping:
            self._turn = anyio.Event()
            config = self._config
            async with self._clients(config) as clients:
                context = DaemonContext(
                    lake=lake,
                    objects=objects,
                    config=config,
                    log=self._log,
                    connection=Connection(),
                    clock=self._clock,
                    scheduler=Scheduler(self._clock),
                    random=random.random,
                    counters=self._heartbeat.counters,
                )
                session = self._heartbeat.session = DaemonSession(context, clients, outbox)
                self._listen_at(config.daemon.listen)
                self._gateway.follow(config.serve)
                self._notifier.tell(READY=1)
                sources = [source.path for source in config.source]
                self._log.info(Event.READY if first else Event.CONFIG_RELOADED, sources=sources)
                first = False
                for source in config.source:
                    if unknown := sorted(set(source.states) - RUN_STATES):  # a server may know more of them than W&B
                        self._log.warning(Event.STATES_UNKNOWN, source=source.path, states=unknown)
                try:
                    await session.run(self._turn)
                finally:
                    self._heartbeat.ended(session)

    @contextlib.asynccontextmanager
    async def _clients(self, config: Config) -> AsyncIterator[tuple[Client, Client, Client]]:
        """One for each flow, so that each shows whether it moves, and one that asks but once; one budget for all."""
        deployment = deployment_of(config.server.base_url, config.server.aliases)
        key = self._key(config)
        limits = Limits(concurrent=config.server.concurrent_requests, host=deployment.host)
        known = KnownServer(
            read_server_facts(self._home, deployment.id), on_learnt=partial(keep_server_facts, self._home)
        )
        # A worker that waits for a limit must not pass for one that is stuck.
        patience = min(config.server.rate_limit_patience_minutes, config.daemon.stuck_after_minutes / 2)
        server = msgspec.structs.replace(config.server, rate_limit_patience_minutes=patience)
        once = msgspec.structs.replace(config.server, retry_attempts=1, rate_limit_patience_minutes=0.0)
        told = self._on_retry
        async with (
            Client(deployment, key, server, limits=limits, on_retry=told("pull"), known=known) as pulling,
            Client(deployment, key, server, limits=limits, on_retry=told("replay"), known=known) as replaying,
            Client(deployment, key, once, limits=limits, known=known) as probing,
        ):
            yield pulling, replaying, probing

    def _on_retry(self, worker: str) -> Callable[[str, float], None]:
        def told(reason: str, wait_s: float) -> None:
            self._log.info(Event.REQUEST_RETRIED, worker=worker, reason=reason, wait_s=round(wait_s, 1))

        return told

    def _key(self, config: Config) -> ApiKey:
        key = find_api_key(config.server, deployment_of(config.server.base_url, config.server.aliases))
        self._log.redactor.hide([key.reveal()])
        return key

    def _lake(self, config: Config) -> Lake:
        deployment = deployment_of(config.server.base_url, config.server.aliases)
        return Lake(
            self._home,
            deployment=deployment.id,
            known_as=deployment.names,
            app_url=deployment.app_url,
            settings=config.store,
        )

    def _checked(self) -> tuple[Config, ApiKey]:
        """The configuration as it is in the file now.

        Raises:
            ConfigError: it is wrong, or names another server than the home mirrors.
            AuthError: there is no key for it.
        """
        config = self._load()
        for source in config.source:
            if source.poll_cron:
                cron_trigger(source)
        check_watches(config, self._home)
        check_offline(config, self._home)
        deployment = deployment_of(config.server.base_url, config.server.aliases)
        if self._deployment and self._deployment not in deployment.names | {deployment.id}:
            raise ConfigError(
                f"the configuration names {deployment.id} now, but this home mirrors {self._deployment}",
                hint="use another --home for the other server",
            )
        key = self._key(config)
        for warning in key.warnings:
            self._log.warning(Event.CREDENTIAL_WARNING, reason=warning)
        return config, key

    def _reload(self, *, asked: bool = False) -> None:
        """Take the file as it is now, if it is good; `asked` by a signal also when it is the same, for a new key."""
        try:
            config, _ = self._checked()
        except MirrorError as error:
            if str(error) != self._heartbeat.config_error or asked:
                self._log.alarm(Event.CONFIG_REFUSED, reason=error.message, hint=error.hint)
            self._heartbeat.config_error = str(error)
            return
        self._heartbeat.config_error = None
        if config != self._config or asked:
            self._notifier.reloading()
            self._config = config
            self._turn.set()

    def _listen_at(self, address: str) -> None:
        if address and not HAS_METRICS:
            self._log.warning(Event.METRICS_MISSING, hint=NO_METRICS_HINT)
        self._endpoint.move(address)

    async def _listen(self) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async for number in signals:
                if number == signal.SIGHUP:
                    self._reload(asked=True)
                elif self._stopping:
                    self._log.warning(Event.STOPPED_AT_ONCE, signal=number.name)
                    os._exit(128 + number)
                else:
                    self._stopping = self._heartbeat.is_stopping = True
                    self._stop.set()
                    self._log.info(Event.STOPPING, signal=number.name)
                    self._notifier.tell(STOPPING=1)
                    self._turn.set()

    def _tell_aside(self, aside: Aside) -> None:
        self._log.warning(Event.ENTRY_SET_ASIDE, reason=str(aside))
