"""No body grows without a bound: what was listed, announced or configured is the most that is taken, once decoded."""

from __future__ import annotations

import gzip
import itertools
import shutil
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.api.client import Client
from mirror.api.transport.credentials import find_api_key
from mirror.api.transport.decoding import PIECE_BYTES, Inflate
from mirror.api.transport.deployment import deployment_of
from mirror.config import HealthSettings, ServerSettings
from mirror.errors import HomeUnusable, ServerError
from mirror.layout import Home
from mirror.sandbox import Fault, Match, Sandbox
from tests.api.clients import answered
from tests.mirroring import ENTITY
from tests.pull.contents import failures, mirror_of
from tests.soaking import thin

BOMB_BYTES = 50_000_000
BOMB = gzip.compress(bytes(BOMB_BYTES), 6)
A_FILE = Match(kind="storage")
_numbers = itertools.count(1)


@contextmanager
def at_most(megabytes: int) -> Iterator[None]:
    """Python's own memory inside; what was there before does not count."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < megabytes * 1e6


@pytest.fixture
def project(sandbox: Sandbox) -> Iterator[str]:
    """A project of its own, with a run of one file."""
    name = f"bounded-{next(_numbers)}"
    sandbox.state.add_run(ENTITY, name, "r0", files={"a.txt": b"a" * 2000})
    yield name
    sandbox.faults.clear()


TOO_LONG = {
    "gzip": lambda: answered(200, BOMB, A_FILE, content_encoding="gzip"),
    "deflate": lambda: answered(200, zlib.compress(bytes(BOMB_BYTES), 9), A_FILE, content_encoding="deflate"),
    "plain": lambda: answered(200, b"a" * 2001, A_FILE),
}


@pytest.mark.parametrize("answer", thin(TOO_LONG, keep=["gzip", "plain"]))
def test_a_file_takes_no_more_than_its_listed_size(
    sandbox: Sandbox, project: str, home: Home, answer: Callable[[], Fault]
) -> None:
    mirror = mirror_of(sandbox, home, project)
    mirror.pull()  # what loads for the first time is not counted
    sandbox.state.add_run(ENTITY, project, "r1", files={"a.txt": b"c" * 2000})
    sandbox.faults.add(answer())
    with at_most(30):
        (report,) = mirror.pull().projects
    sandbox.faults.clear()
    assert [(failed.item, failed.run_id) for failed in report.failed] == [("file a.txt", "r1")]
    assert "2,000 bytes that are listed" in failures(mirror)["r1", "file a.txt"]["reason"]
    assert report.bytes_fetched < 3e6
    assert list(home.partial.iterdir()) == []
    assert mirror.pull(force_walk=True, retry_quarantined=True).failures == 0


def test_an_export_takes_no_more_than_the_configuration_allows(sandbox: Sandbox, project: str, home: Home) -> None:
    sandbox.state.add_run(ENTITY, project, "r1", history=[{"_step": n, "x": n} for n in range(10)])
    sandbox.faults.add(answered(200, BOMB, Match(kind="storage"), content_encoding="gzip"))
    mirror = mirror_of(sandbox, home, project).using(export_size_max_mb=1.0)
    (report,) = mirror.pull().projects
    sandbox.faults.clear()
    assert ("history", "r1") in [(failed.item, failed.run_id) for failed in report.failed]
    assert "1 MB that the configuration allows" in failures(mirror)["r1", "history"]["reason"]
    assert report.bytes_fetched < 3e6


def free_space(monkeypatch: pytest.MonkeyPatch, home: Home, size: int) -> None:
    """A disk with so much room, less what downloads take."""

    def usage(_: object) -> SimpleNamespace:
        return SimpleNamespace(free=size - sum(one.stat().st_size for one in home.root.glob("partial/*")))

    monkeypatch.setattr(shutil, "disk_usage", usage)


@pytest.mark.parametrize("form", ["gzip", "announced"])
def test_an_export_leaves_the_disk_its_reserve_and_nothing_of_itself(
    sandbox: Sandbox, project: str, home: Home, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    sandbox.state.add_run(ENTITY, project, "r1", history=[{"_step": n, "x": n} for n in range(10)], files={"b": b"b"})
    (part,) = sandbox.state.run(ENTITY, project, "r1").parts
    packed, place = form == "gzip", Match(path=part.object_key)
    body, encoding = (BOMB, "gzip") if packed else (bytes(BOMB_BYTES), "identity")
    sandbox.faults.add(answered(200, body, place, content_encoding=encoding))
    mirror = mirror_of(sandbox, home, project)
    mirror.health = HealthSettings(disk_free_min_gb=1.0)
    free_space(monkeypatch, home, 1_040_000_000)
    (report,) = mirror.pull().projects
    assert [(failed.run_id, failed.item) for failed in report.failed] == [("r1", "history")]  # the files are there
    assert "1 are kept free" in failures(mirror)["r1", "history"]["reason"]
    assert list(home.partial.iterdir()) == []
    assert report.bytes_fetched < 45e6
    asked = sum(part.object_key in request.path for request in sandbox.requests)
    assert asked == 1  # not once more, for the same
    sandbox.faults.clear()
    assert mirror.pull(force_walk=True, retry_quarantined=True).failures == 0


def test_a_disk_without_its_reserve_ends_a_pull_and_costs_no_file_an_attempt(
    sandbox: Sandbox, project: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.state.add_run(ENTITY, project, "r1", files={"large.bin": bytes(3_000_000)})
    mirror = mirror_of(sandbox, home, project)
    mirror.health = HealthSettings(disk_free_min_gb=1.0)
    with monkeypatch.context() as patch:
        free_space(patch, home, 900_000_000)
        for _ in range(12):
            with pytest.raises(HomeUnusable, match="disk_free_min_gb = 1 stay free"):
                mirror.pull(force_walk=True)
    assert failures(mirror) == {}
    assert mirror.pull(force_walk=True).failures == 0
    assert mirror.ask("SELECT status FROM files WHERE name = 'large.bin'") == [{"status": "held"}]


def test_what_is_announced_as_too_long_is_not_even_begun(sandbox: Sandbox, project: str, home: Home) -> None:
    sandbox.state.add_run(ENTITY, project, "r1", history=[{"_step": n, "x": n} for n in range(10)])
    (part,) = sandbox.state.run(ENTITY, project, "r1").parts
    sandbox.faults.add(answered(200, bytes(BOMB_BYTES), Match(path=part.object_key)))
    mirror = mirror_of(sandbox, home, project).using(export_size_max_mb=1.0)
    (report,) = mirror.pull().projects
    assert "50,000,000 bytes are announced" in failures(mirror)["r1", "history"]["reason"]
    assert report.bytes_fetched == 2000  # the file
    assert list(home.partial.iterdir()) == []


def test_a_part_that_grew_too_long_stays_on_no_disk(sandbox: Sandbox, project: str, home: Home) -> None:
    sandbox.state.add_run(ENTITY, project, "r1", history=[{"_step": n, "x": n} for n in range(10)])
    (part,) = sandbox.state.run(ENTITY, project, "r1").parts
    sandbox.faults.add(answered(200, BOMB, Match(path=part.object_key), content_encoding="gzip"))
    mirror = mirror_of(sandbox, home, project).using(export_size_max_mb=5.0)
    mirror.pull()
    assert "5 MB that the configuration allows" in failures(mirror)["r1", "history"]["reason"]
    assert list(home.partial.iterdir()) == []
    assert sum(part.object_key in request.path for request in sandbox.requests) == 1


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield bytes(100_000)


class _Endless(httpx.AsyncBaseTransport):
    """A server whose answers never end."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Bytes for ever."""
        return httpx.Response(200, content=_endless())


@pytest.mark.anyio
@pytest.mark.parametrize("form", ["gzip", "endless"])
async def test_an_answer_takes_no_more_than_the_configuration_allows(sandbox: Sandbox, project: str, form: str) -> None:
    settings = ServerSettings(base_url=sandbox.url, api_key=sandbox.api_key, answer_max_mb=3, retry_wait_max_s=0.01)
    deployment = deployment_of(sandbox.url)
    transport = _Endless() if form == "endless" else None
    async with Client(deployment, find_api_key(settings, deployment, {}), settings, transport=transport) as client:
        sandbox.faults.add(answered(200, bytes(BOMB_BYTES), Match(kind="graphql")))
        with pytest.raises(ServerError, match="more than 3 MB"), at_most(20):
            await client.viewer()


def test_a_page_that_is_too_long_is_asked_for_in_smaller_ones(sandbox: Sandbox, project: str, home: Home) -> None:
    for number in range(8):
        sandbox.state.add_run(ENTITY, project, f"long-{number}", config={"text": "x" * 400_000})
    mirror = mirror_of(sandbox, home, project)
    mirror.server = msgspec.structs.replace(mirror.server, answer_max_mb=1)
    assert mirror.pull().failures == 0
    assert len(mirror.ask("SELECT run_id FROM lake.runs WHERE run_id LIKE 'long-%'")) == 8


@given(
    st.lists(st.binary(max_size=2000) | st.integers(1, 3).map(lambda n: bytes(n * PIECE_BYTES)), max_size=4), st.data()
)
def test_what_is_decoded_in_pieces_is_what_was_compressed(members: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(gzip.compress(member, mtime=0) for member in members)
    inflate = Inflate()
    pieces: list[bytes] = []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        pieces += inflate.pieces(stream[:cut])
        stream = stream[cut:]
    inflate.close()
    assert b"".join(pieces) == b"".join(members)
    assert all(len(piece) <= PIECE_BYTES for piece in pieces)
