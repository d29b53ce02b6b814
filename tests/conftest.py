"""Fixtures that every folder of tests shares. The other side is always the sandbox, never a mock of our own classes."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import shutil
import signal
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import httpx._transports.default as httpx_transports
import pytest
from hypothesis import HealthCheck, settings

from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.mirroring import Mirror, lakes_stay_open

# Programs that a test starts keep their bytecode, as installed ones do: else each would compile all of this anew. So do
# the tests themselves, whose assertions take each worker 6 s to rewrite.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Folders of tests lie in memory where there is room for them, half a gigabyte: what is promised of a disk is judged by
# the order in which it is told to flush, and a worker would wait for each flush.
IN_MEMORY, ROOM = Path("/dev/shm"), 4 << 30
if "PYTEST_DEBUG_TEMPROOT" not in os.environ and IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > ROOM:
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(IN_MEMORY)


# Whoever asks a server something by `httpx.get` makes a client, and each would read all certificates anew: 20 ms.
httpx_transports.create_ssl_context = functools.cache(httpx.create_ssl_context)  # type: ignore[attr-defined]

# A runner in the background may ignore Ctrl-C, and every program that a test starts would inherit that.
with contextlib.suppress(ValueError):  # not in the main thread: nothing to do
    signal.signal(signal.SIGINT, signal.default_int_handler)

# These machines are shared: how long an example takes says nothing about the program.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=40)
settings.register_profile("long", settings.get_profile("shared"), max_examples=400)  # --hypothesis-profile=long
settings.load_profile("shared")


def pytest_configure(config: pytest.Config) -> None:
    """Have each worker begin to collect at another folder: the first one at a file rewrites its assertions for all."""
    if not hasattr(config, "workerinput") or config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    number, workers = int(config.workerinput["workerid"].removeprefix("gw")), config.workerinput["workercount"]
    found = [path for path in Path(__file__).parent.iterdir() if path.is_dir() or path.match("test_*.py")]
    places = sorted(os.path.relpath(path) for path in found)
    begin = len(places) * number // workers
    config.args[:] = [*places[begin:], *places[:begin]]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Thousands of tests and what they import stay to the end: no collection of garbage need look at them."""
    gc.disable()
    yield
    gc.enable()
    gc.freeze()
    gc.set_threshold(20_000)  # what a test leaves is little, and to look through it each time is 4 % of a pull


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark by its folder what a folder is named for; workers are given files in an order that mixes folders.

    Tests of one folder all wait, or all work; whoever waits leaves a core to the others.
    """
    for item in items:
        if "contract" in item.path.parts:
            item.add_marker(pytest.mark.contract)
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: zlib.crc32(item.nodeid.partition("::")[0].encode()))


@pytest.fixture(autouse=True)
def _lakes(request: pytest.FixtureRequest) -> Iterator[None]:
    """In these folders a lake is opened once for a test, but where processes die."""
    folder = request.path.parent.name
    with contextlib.ExitStack() as closing:
        if folder in {"pull", "replay"} and not request.node.get_closest_marker("crash"):
            closing.enter_context(lakes_stay_open())
        yield


@pytest.fixture
def anyio_backend() -> str:
    """The event loop that the program runs on."""
    return "asyncio"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A W&B-compatible server of this test's own."""
    with Sandbox.start() as server:
        yield server


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A mirror's directory that does not exist yet."""
    return Home(tmp_path / "home")


@pytest.fixture
def mirror(sandbox: Sandbox, home: Home) -> Mirror:
    """A mirror of the sandbox; nothing is pulled yet."""
    return Mirror(url=sandbox.url, api_key=sandbox.api_key, home=home)
