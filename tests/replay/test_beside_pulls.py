"""A pull and a replay at once, as the daemon has them: neither undoes or doubles what the other wrote."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypedDict

import anyio

from mirror.api.client import Client
from mirror.api.transport.credentials import ApiKey
from mirror.api.transport.deployment import deployment_of
from mirror.clock import utc_now
from mirror.config import Config, SourceSettings
from mirror.outbox import Outbox
from mirror.pull import PullRequest, pull
from mirror.records.addresses import RunPath
from mirror.records.operations import Change, Delete, Edit
from mirror.replay import DeliveryContext, replay
from mirror.sandbox import Fault, Match, Sandbox
from mirror.store.engine.lake import Lake
from mirror.store.objects.objects import Objects
from mirror.store.write.fresh_rows import FreshRows
from tests.mirroring import ENTITY, PROJECT, SERVER, SOURCE, Mirror, lake_of


class Shared(TypedDict):
    """What pulls and replays of one process share."""

    storing: anyio.CapacityLimiter
    fresh: FreshRows


TAG = Edit(fields={"tags": Change(base=[], value=["best"])})


async def pull_and(mirror: Mirror, act: Callable[[Client, Lake, Shared], Coroutine[Any, Any, None]]) -> None:
    """A pull that walks, and something else once the pull has listed."""
    deployment = deployment_of(mirror.url)
    key, shared = ApiKey(mirror.api_key, "a test"), Shared(storing=anyio.CapacityLimiter(1), fresh=FreshRows())
    request = PullRequest(sources=(SourceSettings(path=SOURCE),), force_walk=True)
    config = Config(server=SERVER, pull=mirror.settings)
    async with Client(deployment, key, SERVER) as pulling, Client(deployment, key, SERVER) as replaying:
        with lake_of(mirror.home, deployment) as lake:
            async with anyio.create_task_group() as group:
                group.start_soon(act, replaying, lake, shared)
                report = await pull(pulling, lake, config, request, **shared)
    assert report.errors == []


def deliver_once(sandbox: Sandbox, mirror: Mirror, asked: str) -> None:
    """Pull, and deliver what waits once the pull has asked so and waits for bytes that come late."""
    sandbox.requests.clear()
    slow = Fault.latency(1.5, match=Match(kind="storage"))
    sandbox.faults.add(slow)

    async def deliver(client: Client, lake: Lake, shared: Shared) -> None:
        with anyio.fail_after(30):
            while not sandbox.requests.select(asked):
                await anyio.sleep(0.01)
            outbox = Outbox(mirror.home)
            context = DeliveryContext(
                client=client, lake=lake, objects=Objects(mirror.home), outbox=outbox,
                features=frozenset(sandbox.state.features), source_policy=lambda _: "hold", now=utc_now, **shared,
            )  # fmt: skip
            report = await replay(context)
        assert report.applied == 1
        assert not sandbox.requests.select(kind="storage"), "the pull was over already"

    anyio.run(pull_and, mirror, deliver)


def test_a_run_that_both_meet_first_is_held_once(sandbox: Sandbox, mirror: Mirror) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "old")
    mirror.pull()
    sandbox.state.add_run(ENTITY, PROJECT, "new", files={"model.pt": b"weights"})
    Outbox(mirror.home).put(RunPath(ENTITY, PROJECT, "new"), None, TAG)
    deliver_once(sandbox, mirror, "MirrorRuns")
    assert mirror.run_ids() == ["new", "old"]
    assert mirror.run("new")["tags"] == ["best"]
    assert mirror.ask("SELECT name FROM lake.files") == [{"name": "model.pt"}]


def test_what_was_delivered_while_a_pull_was_under_way_stays_visible(sandbox: Sandbox, mirror: Mirror) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", notes="old", files={"a": b"a"})
    mirror.pull()
    sandbox.state.edit_run(ENTITY, PROJECT, "r", notes="new", touch_heartbeat=True)
    sandbox.state.add_file(ENTITY, PROJECT, "r", "a", b"b")
    Outbox(mirror.home).put(RunPath(ENTITY, PROJECT, "r"), None, TAG)
    deliver_once(sandbox, mirror, "MirrorRuns")
    assert (mirror.run("r")["tags"], mirror.run("r")["notes"]) == (["best"], "new")
    mirror.pull(force_walk=True)
    assert (mirror.run("r")["tags"], mirror.run("r")["notes"]) == (["best"], "new")


def test_a_deletion_that_was_delivered_while_a_pull_was_under_way_is_not_undone(
    sandbox: Sandbox, mirror: Mirror
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", notes="old", files={"a": b"a"})
    mirror.pull()
    sandbox.state.edit_run(ENTITY, PROJECT, "r", notes="new", touch_heartbeat=True)
    sandbox.state.add_file(ENTITY, PROJECT, "r", "a", b"b")
    Outbox(mirror.home).put(RunPath(ENTITY, PROJECT, "r"), None, Delete(delete_artifacts=False))
    deliver_once(sandbox, mirror, "MirrorRuns")
    assert mirror.run("r")["gone_at"] is not None
