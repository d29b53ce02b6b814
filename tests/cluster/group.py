"""Several homes that share a lake, in one process: who has the lease delivers, all exchange with the group."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio

from mirror.api.client import Client
from mirror.api.transport.credentials import ApiKey
from mirror.api.transport.deployment import deployment_of
from mirror.cli.clients import known_server
from mirror.clock import utc_now
from mirror.layout import Home
from mirror.outbox.group import GroupOutbox, outbox_of
from mirror.records.addresses import RunPath
from mirror.records.operations import Change, Edit, Entry, Operation
from mirror.replay import DeliveryContext, Replayed, replay
from mirror.replay.wishes import fulfil_wishes
from mirror.sandbox import Sandbox
from mirror.sharing import Shared, begin_to_deliver, share, share_with_reader
from mirror.store.engine.lake import Lake
from mirror.store.objects.objects import Objects
from tests.cluster.servers import Place
from tests.mirroring import ENTITY, PROJECT, SERVER


@dataclass(kw_only=True)
class Member:
    """One machine."""

    home: Home
    sandbox: Sandbox

    @property
    def outbox(self) -> GroupOutbox:
        """Of its home."""
        found = outbox_of(self.home)
        assert isinstance(found, GroupOutbox)
        return found

    def put(self, run_id: str, operation: Operation) -> Entry:
        """Queue an operation."""
        return self.outbox.put(RunPath(ENTITY, PROJECT, run_id), None, operation)

    def note(self, run_id: str, text: str, before: str = "") -> Entry:
        """Queue an edit of a run's notes."""
        return self.put(run_id, Edit(fields={"notes": Change(base=before or None, value=text)}))

    def share(self) -> Shared:
        """Exchange with the group, as a machine that does not have the lease."""
        return share_with_reader(self.outbox)

    def seen(self) -> list[tuple[str, str]]:
        """State and run of all that waits, as this machine shows it."""
        return [(state, entry.run_id) for state, entry in self.outbox.entries()]

    @contextlib.contextmanager
    def leading(self) -> Iterator[Leader]:
        """Have the lease."""
        with Lake(self.home, deployment=deployment_of(self.sandbox.url).id) as lake:
            outbox = self.outbox
            begin_to_deliver(outbox, Objects(self.home), lake)
            yield Leader(member=self, lake=lake, outbox=outbox)


@dataclass(kw_only=True)
class Leader:
    """A machine that has the lease."""

    member: Member
    lake: Lake
    outbox: GroupOutbox

    def share(self) -> Shared:
        """Exchange with the group."""
        return share(self.outbox, Objects(self.lake.home), self.lake)

    def fulfil(self) -> int:
        """Do what people decided."""
        with self.outbox.replaying():
            return fulfil_wishes(self.lake, self.outbox, utc_now())

    def replay(self) -> Replayed:
        """One round."""
        return anyio.run(self._replay)

    async def _replay(self) -> Replayed:
        sandbox = self.member.sandbox
        deployment = deployment_of(sandbox.url)
        known = known_server(self.lake.home, deployment)
        async with Client(deployment, ApiKey(sandbox.api_key, "a test"), SERVER, known=known) as client:
            context = DeliveryContext(
                client=client,
                lake=self.lake,
                objects=Objects(self.lake.home),
                outbox=self.outbox,
                features=await client.features(),
                source_policy=lambda _: "hold",
                now=utc_now,
            )
            return await replay(context)


def members(place: Place, sandbox: Sandbox, folder: Path, *names: str) -> list[Member]:
    """Machines with a home each."""
    return [Member(home=place.home(folder / name), sandbox=sandbox) for name in names]


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that comes."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
