"""A body of a few bytes a second is put off alone, and soon; a link that is slow for everything still brings all."""

from __future__ import annotations

import datetime as dt
import itertools
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.abc
import msgspec
import pytest

from mirror.api.rows.writes import UploadSlot
from mirror.api.transport.body import CHUNK_BYTES
from mirror.clock import utc_now
from mirror.errors import Unreachable
from mirror.layout import Home
from mirror.sandbox import Fault, Match, Sandbox
from tests.api.clients import TEAM, answered, client_on, url_of
from tests.mirroring import ENTITY, Mirror
from tests.pull.contents import failures, mirror_of
from tests.soaking import thin

SLOW_AFTER_S = 0.3
SOON_S = 10.0  # of a body that would take an hour
_numbers = itertools.count(1)


@pytest.fixture
def project(sandbox: Sandbox) -> Iterator[str]:
    """A project of its own: a run that has something of everything, and one beside it."""
    name = f"slow-{next(_numbers)}"
    for run in ("r0", "r1"):
        rows = [{"_step": n, "x": n} for n in range(10)]
        sandbox.state.add_run(ENTITY, name, run, history=rows, files={"big.bin": run.encode() * 20_000})
    sandbox.state.add_artifact(ENTITY, name, "set", files={"a.txt": name.encode() * 1000}, run="r0")
    yield name
    sandbox.faults.clear()


def impatient(sandbox: Sandbox, home: Home, project: str) -> Mirror:
    """A mirror that takes a fraction of a second for a while."""
    mirror = mirror_of(sandbox, home, project)
    mirror.server = msgspec.structs.replace(mirror.server, slow_after_s=SLOW_AFTER_S)
    return mirror


def place_of(sandbox: Sandbox, project: str, kind: str) -> str:
    """A part of the address of one kind of bytes of the run r0."""
    run = sandbox.state.run(ENTITY, project, "r0")
    keys = {"file": run.files["big.bin"].object_key, "export": run.parts[0].object_key}
    return {**keys, "manifest": "/manifests/", "artifact": "/wandb_artifacts/"}[kind]


ITEMS = {
    "file": "file big.bin",
    "export": "history",
    "manifest": "artifact set:v0",
    "artifact": "artifact set:v0 a.txt",
}


@pytest.mark.parametrize(
    ("kind", "rate"),
    thin(
        [("file", 5), ("file", 40), ("export", 5), ("manifest", 5), ("artifact", 5)],
        keep=[("file", 40), ("export", 5), ("manifest", 5)],
    ),
)
def test_what_trickles_fails_alone_and_the_batch_is_committed(
    sandbox: Sandbox, project: str, home: Home, kind: str, rate: int
) -> None:
    mirror = impatient(sandbox, home, project)
    sandbox.faults.add(Fault.trickle(rate, match=Match(path=place_of(sandbox, project, kind))))
    began = time.monotonic()
    (report,) = mirror.pull().projects
    assert time.monotonic() - began < SOON_S
    assert [(failed.run_id, failed.item) for failed in report.failed] == [("r0", ITEMS[kind])]
    assert "bytes in" in failures(mirror)["r0", ITEMS[kind]]["reason"]
    assert mirror.run_ids() == ["r0", "r1"]
    kept = sum(partial.stat().st_size for partial in home.partial.iterdir())
    assert kept > 0
    sandbox.faults.clear()
    mirror.now = lambda: utc_now() + dt.timedelta(days=1)  # later, when it is due
    assert mirror.pull(force_walk=True).failures == 0
    assert failures(mirror) == {}
    assert any("range" in request.headers for request in sandbox.requests)  # it went on from what had come


def test_a_link_that_is_slow_for_all_brings_all(sandbox: Sandbox, project: str, home: Home) -> None:
    mirror = impatient(sandbox, home, project)
    sandbox.faults.add(Fault.trickle(20_000))  # a kilobyte a second and body would do
    assert mirror.pull().failures == 0
    assert failures(mirror) == {}


@pytest.mark.anyio
async def test_bytes_are_seen_as_they_come(sandbox: Sandbox) -> None:
    sandbox.state.add_run(TEAM, "p", "r0", files={"a.bin": b"a" * 12_000})
    sandbox.faults.add(Fault.trickle(5_000))
    async with client_on(sandbox) as client:
        sizes, counted = [], []
        async with client.download(await url_of(client, "a.bin")) as body:
            async for chunk in body:
                sizes.append(len(chunk))
                counted.append(client.spent.bytes_down)
    assert sum(sizes) == 12_000 < CHUNK_BYTES
    assert len(sizes) >= 2
    assert counted == sorted(set(counted))


@pytest.mark.anyio
async def test_an_answer_that_trickles_ends_as_one_that_is_slow(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault.trickle(5, match=Match(kind="graphql")))
    async with client_on(sandbox, slow_after_s=SLOW_AFTER_S) as client:
        with anyio.fail_after(SOON_S), pytest.raises(Unreachable, match="bytes in") as raised:
            await client.viewer()
    assert raised.value.answered


@pytest.mark.anyio
async def test_a_refusal_that_trickles_is_not_waited_for(sandbox: Sandbox) -> None:
    sandbox.state.add_run(TEAM, "p", "r0", files={"a.bin": b"a"})
    async with client_on(sandbox, timeout_s=0.5) as client:
        url = await url_of(client, "a.bin")
        sandbox.faults.add(answered(503, b"x" * 4000, Match(kind="storage")), Fault.trickle(5))
        with anyio.fail_after(SOON_S), pytest.raises(Unreachable, match="503"):
            async with client.download(url):
                pass


class _Storage:
    """A bucket at the end of a slow link: takes some KB a second, and answers as it is told.

    Args:
        bytes_per_s: taken.
        answer: what comes back, at a byte each tenth of a second from `trickles` on.
    """

    def __init__(self, bytes_per_s: float, answer: bytes, *, trickles: int | None = None) -> None:
        self._bytes_per_s, self._answer, self._trickles = bytes_per_s, answer, trickles
        self.taken = 0

    async def serve(self, stream: anyio.abc.SocketStream) -> None:
        """One request."""
        async with stream:
            seen = b""
            while b"\r\n\r\n" not in seen:
                seen += await stream.receive(1024)
            head, _, body = seen.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split()[0])
            self.taken = len(body)
            while self.taken < length:
                await anyio.sleep(4096 / self._bytes_per_s)
                self.taken += len(await stream.receive(4096))
            at_once = len(self._answer) if self._trickles is None else self._trickles
            await stream.send(self._answer[:at_once])
            for byte in self._answer[at_once:]:
                await anyio.sleep(0.1)
                await stream.send(bytes([byte]))


async def upload(
    tmp_path: Path, storage: _Storage, sandbox: Sandbox, size: int, timeout_s: float
) -> Unreachable | None:
    """Send a file to it; what that failed with."""
    source = tmp_path / "source"
    source.write_bytes(bytes(size))
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
        client_on(sandbox, timeout_s=timeout_s) as client,
    ):
        listener.extra(anyio.abc.SocketAttribute.raw_socket).setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        tasks.start_soon(listener.serve, storage.serve)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        failed = None
        try:
            await client.upload(UploadSlot(url=f"http://127.0.0.1:{port}/x", headers={}), source, size)
        except Unreachable as error:
            failed = error
        tasks.cancel_scope.cancel()
    return failed


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.anyio
async def test_an_upload_over_a_slow_link_arrives(sandbox: Sandbox, tmp_path: Path) -> None:
    storage = _Storage(1_000_000, OK)
    assert await upload(tmp_path, storage, sandbox, 4_000_000, timeout_s=0.5) is None
    assert storage.taken == 4_000_000


@pytest.mark.anyio
@pytest.mark.parametrize("part", ["head", "body"])
async def test_an_answer_to_an_upload_that_trickles_holds_up_nothing(
    sandbox: Sandbox, tmp_path: Path, part: str
) -> None:
    answer = OK if part == "head" else b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n" + b"x" * 4000
    storage = _Storage(1e9, answer, trickles=1 if part == "head" else 60)
    with anyio.fail_after(SOON_S):
        failed = await upload(tmp_path, storage, sandbox, 10, timeout_s=0.3)
    assert (failed is None) == (part == "body")  # the head is the answer
