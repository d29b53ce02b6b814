"""Downloads beside a bare httpx loop, from a sandbox in another process: `pytest -m bench -s tests/api`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence

import anyio
import httpx
import pytest

from mirror.api.client import Client
from mirror.api.transport.credentials import find_api_key
from mirror.api.transport.deployment import deployment_of
from mirror.api.transport.signed_url import SignedUrl
from mirror.config import ServerSettings
from tests.api.clients import TEAM

pytestmark = [pytest.mark.anyio, pytest.mark.bench]

ROUNDS = 5
AT_ONCE = 16
SERVER = """
import os, sys
from mirror.sandbox import Sandbox
with Sandbox.start() as sandbox:
    small = {f"small/{n}": os.urandom(2_000) for n in range(1_000)}
    large = {f"large/{n}": os.urandom(300_000) for n in range(200)}
    sandbox.state.add_run("sandbox-team", "p", "r0", files=small | large)
    print(sandbox.url, sandbox.api_key, flush=True)
    sys.stdin.read()
"""

Fetch = Callable[[SignedUrl], Awaitable[int]]


@pytest.fixture
def far_sandbox() -> Iterator[ServerSettings]:
    """A sandbox that shares no processor time with the client."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdin=-1, stdout=-1, text=True) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        url, key = server.stdout.readline().split()
        yield ServerSettings(base_url=url, api_key=key, concurrent_transfers=AT_ONCE)
        server.stdin.close()


async def all_of(urls: Sequence[SignedUrl], fetch: Fetch) -> tuple[float, int]:
    """Seconds and bytes for all of them."""
    sizes: list[int] = []

    async def one(url: SignedUrl) -> None:
        sizes.append(await fetch(url))

    begun = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for url in urls:
            tasks.start_soon(one, url)
    return time.perf_counter() - begun, sum(sizes)


async def test_downloads_cost_little_more_than_bare_httpx(far_sandbox: ServerSettings) -> None:
    deployment = deployment_of(far_sandbox.base_url)
    slots = anyio.Semaphore(AT_ONCE)
    async with (
        Client(deployment, find_api_key(far_sandbox, deployment, {}), far_sandbox) as client,
        bare_http() as http,
    ):

        async def bare(url: SignedUrl) -> int:
            async with slots, http.stream("GET", url.reveal()) as response:
                return sum([len(chunk) async for chunk in response.aiter_bytes()])

        async def ours(url: SignedUrl) -> int:
            async with client.download(url) as body:
                return sum([len(chunk) async for chunk in body])

        page = await client.files_page(TEAM, "p", "r0", first=1000)
        files = page.files + (await client.files_page(TEAM, "p", "r0", page.after, first=1000)).files
        assert len(files) == 1200
        for kind in ("small", "large"):
            urls = [file.url for file in files if file.name.startswith(kind)]
            rounds = [(await all_of(urls, bare), await all_of(urls, ours)) for _ in range(ROUNDS)]
            assert len({size for pair in rounds for _, size in pair}) == 1
            plain, mirrored = (min(pair[which][0] for pair in rounds) for which in (0, 1))
            print(f"{len(urls)} {kind} files: bare {plain:.2f} s, ours {mirrored:.2f} s, ratio {mirrored / plain:.2f}")


def bare_http() -> httpx.AsyncClient:
    return httpx.AsyncClient(limits=httpx.Limits(max_connections=100, max_keepalive_connections=64))
