"""`wandb-mirror replay --watch`: stay, and deliver what comes; a server that is away is waited for."""

from __future__ import annotations

import anyio
import anyio.to_thread
import msgspec

from mirror.backoff import jittered_backoff_s
from mirror.cli.delivery.round import Rounds
from mirror.cli.terminal.output import say
from mirror.clock import utc_now
from mirror.errors import AuthError, HomeBusy, MirrorError, ServerError, Unreachable
from mirror.replay.order import is_due
from mirror.texts.amounts import plural


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How often the outbox and an absent server are looked at."""

    rescan_s: float = 2.0
    probe_first_s: float = 5.0  # doubled for each further probe
    probe_longest_s: float = 300.0


async def deliver_forever(rounds: Rounds, pace: Pace | None = None) -> None:
    """Deliver whatever waits, as long as nobody stops it.

    Raises:
        AuthError: the server refuses the key; waiting would not help.
        MirrorError: the home or the disk cannot do it.
    """
    await _Watch(rounds, pace or Pace()).run()


class _Watch:
    def __init__(self, rounds: Rounds, pace: Pace) -> None:
        self._rounds = rounds
        self._pace = pace
        self._stop = rounds.teller.stop
        self._probes = 0  # since the server went away; 0: it is there
        self._told_busy = False

    async def run(self) -> None:
        while not self._stop.is_set():
            wait_s = self._pace.rescan_s
            if await anyio.to_thread.run_sync(is_due, self._rounds.outbox, utc_now()):
                wait_s = await self._round()
            with anyio.move_on_after(wait_s):
                await self._stop.wait()

    async def _round(self) -> float:
        """One round; how long to wait after it."""
        try:
            outage: MirrorError | None = (await self._rounds.run()).outage
        except HomeBusy as busy:
            if not self._told_busy:
                say(f"waiting: {busy.message}")
            self._told_busy = True
            return self._pace.rescan_s
        except (AuthError, Unreachable, ServerError) as error:
            outage = error
        self._told_busy = False
        if outage is None:
            if self._probes:
                say("the server is back")
            self._probes = 0
            return self._pace.rescan_s
        if isinstance(outage, AuthError):
            raise outage
        return self._next_probe(outage)

    def _next_probe(self, outage: MirrorError) -> float:
        if not self._probes:
            waiting = self._rounds.outbox.counts()["new"]
            say(f"{outage.message}; {plural(waiting, 'operation')} will wait until the server is back")
        pace, before = self._pace, self._probes
        self._probes += 1
        return jittered_backoff_s(before, first_s=pace.probe_first_s, longest_s=pace.probe_longest_s)
