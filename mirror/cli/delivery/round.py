"""One round of a replay as the command runs it: the lake opened, the key known to the server, Ctrl-C obeyed."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import msgspec

from mirror.api.client import Client
from mirror.api.limits.spent import Spent
from mirror.cli.delivery.entries import wish
from mirror.cli.lake import lake_to_write
from mirror.cli.setting import Setting
from mirror.cli.terminal.output import say
from mirror.clock import utc_now
from mirror.config import conflict_policy
from mirror.errors import MirrorError
from mirror.outbox import Outbox
from mirror.outbox.group import GroupOutbox, outbox_of
from mirror.records.operations import Entry
from mirror.replay import DeliveryContext, Replayed, Result, replay
from mirror.sharing import begin_to_deliver, share_with_reader
from mirror.store.engine.lake import Lake
from mirror.store.objects.objects import Objects
from mirror.tasks import side_by_side

MOST_LEFT = 1000  # operations that a report names one by one
_NO_COST = Spent(graphql_requests=0, transfer_requests=0, retries=0, bytes_down=0, bytes_up=0)


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that a round did not deliver."""

    id: str
    path: str
    wish: str
    ending: Result
    reason: str | None


class Teller:
    """Hears of each operation as it ends, and passes on the wish to stop.

    Args:
        show: tells a person or a program.
    """

    def __init__(self, show: Callable[[Entry, Result, str | None], None]) -> None:
        self._show = show
        self.stop = anyio.Event()
        self.left: list[Left] = []

    @property
    def is_stopping(self) -> bool:
        """Whether somebody pressed Ctrl-C."""
        return self.stop.is_set()

    def ended(self, entry: Entry, ending: Result, words: str | None) -> None:
        """Tell, and remember what was not delivered."""
        if ending in ("buried", "held", "put_back") and len(self.left) < MOST_LEFT:
            self.left.append(
                Left(id=entry.id, path=str(entry.run_path), wish=wish(entry.operation), ending=ending, reason=words)
            )
        self._show(entry, ending, words)


class Rounds:
    """Rounds over one outbox with one client.

    Args:
        setting: whose.
        client: of the server.
        teller: hears of what happens.
    """

    def __init__(self, setting: Setting, client: Client, teller: Teller) -> None:
        self.setting = setting
        self.client = client
        self.teller = teller
        self.outbox = outbox_of(setting.home, told=lambda aside: say(f"warning: {aside}"))
        self._features: frozenset[str] | None = None

    async def run(self) -> Replayed:
        """Deliver what waits; the lake is open meanwhile and closed afterwards.

        Raises:
            HomeBusy: another process writes the home, or replays.
            OtherDeployment: the home mirrors another server.
            AuthError: the server does not know the key.
            Unreachable, ServerError: the server is not there; nothing was begun.
        """
        if isinstance(self.outbox, GroupOutbox):
            share_with_reader(self.outbox)
        with lake_to_write(self.setting) as lake, delivering(self.outbox, lake):
            try:
                features = await self._known_features()
            except MirrorError:
                with self.outbox.replaying():  # what a killed replay had claimed waits again, also offline
                    raise
            report = await replay(self._context(lake, features), self.teller)
        if report.outage is not None:
            self._features = None
        return report

    async def _known_features(self) -> frozenset[str]:
        """What the server can do; asked anew after an outage.

        To a key that it does not know, a server may show no run at all, for which every entry would be buried.
        """
        if self._features is None:
            await self.client.check()
            self._features = await self.client.current_features(utc_now())
        return self._features

    def _context(self, lake: Lake, features: frozenset[str]) -> DeliveryContext:
        sources = self.setting.config.source
        return DeliveryContext(
            client=self.client,
            lake=lake,
            objects=Objects(self.setting.home),
            outbox=self.outbox,
            features=features,
            source_policy=lambda entry: conflict_policy(sources, entry.entity, entry.project),
            now=utc_now,
        )


@contextlib.contextmanager
def delivering(outbox: Outbox, lake: Lake) -> Iterator[None]:
    """Inside, this process has the lease of a shared lake, and tells the group what becomes of operations."""
    if isinstance(outbox, GroupOutbox):
        begin_to_deliver(outbox, Objects(lake.home), lake)
    try:
        yield
    finally:
        if isinstance(outbox, GroupOutbox):
            outbox.delivers = False
            outbox.rows.option = ""


@contextlib.asynccontextmanager
async def stopped_by_signals(teller: Teller) -> AsyncIterator[None]:
    """Let the first Ctrl-C (or SIGTERM) end what runs inside after what is under way, and the second one at once.

    Raises:
        KeyboardInterrupt: there was a second one.
    """
    async with side_by_side() as group:
        impatient = False

        async def listen() -> None:
            nonlocal impatient
            with (
                contextlib.suppress(NotImplementedError),  # Windows: the first one ends it
                anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals,
            ):
                async for _ in signals:
                    if teller.is_stopping:
                        impatient = True
                        group.cancel_scope.cancel()
                        return
                    teller.stop.set()
                    say("ending after what is under way; Ctrl-C once more stops at once")

        group.start_soon(listen)
        yield
        group.cancel_scope.cancel()
    if impatient:
        raise KeyboardInterrupt


def spent_since(client: Client, before: Spent = _NO_COST) -> dict[str, Any]:
    """What a client has asked of the server since a moment."""
    now = client.spent
    return {name: getattr(now, name) - getattr(before, name) for name in Spent.__struct_fields__}
