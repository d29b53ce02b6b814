"""Clients of a sandbox, as the tests of this folder hold them."""

from __future__ import annotations

from typing import Any

import httpx

from mirror.api.client import Client
from mirror.api.rows.listed import ListedContents
from mirror.api.rows.pages import RunsPage
from mirror.api.transport.credentials import find_api_key
from mirror.api.transport.deployment import deployment_of
from mirror.api.transport.signed_url import SignedUrl
from mirror.config import ServerSettings
from mirror.sandbox import Fault, Match, Sandbox
from mirror.sandbox.storage import Answer

TEAM = "sandbox-team"


def client_on(
    sandbox: Sandbox,
    api_key: str | None = None,
    *,
    concurrent_transfers: int = 16,
    timeout_s: float = 5.0,
    transport: httpx.AsyncBaseTransport | None = None,
    slow_after_s: float = 60.0,
) -> Client:
    """A client that waits next to nothing between tries."""
    settings = ServerSettings(
        base_url=sandbox.url,
        api_key=api_key or sandbox.api_key,
        retry_wait_max_s=0.01,
        timeout_s=timeout_s,
        concurrent_transfers=concurrent_transfers,
        slow_after_s=slow_after_s,
    )
    deployment = deployment_of(settings.base_url)
    return Client(deployment, find_api_key(settings, deployment, {}), settings, transport=transport)


def answered(
    status: int, body: bytes = b"", match: Match | None = None, times: int | None = None, **headers: str
) -> Fault:
    """A fault that answers exactly this."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = Answer(status=status, body=body, headers=names)
    return Fault(effect="answer", match=match or Match(), times=times, answer=answer)


async def page_of(client: Client, **changes: Any) -> RunsPage:
    """A page of runs of the project "p"."""
    page = await client.runs_page(TEAM, "p", **({"first": 10} | changes))
    assert page is not None
    return page


async def contents_of(client: Client, run: str = "r0") -> ListedContents:
    """What a run of the project "p" contains."""
    contents = (await client.run_contents(TEAM, "p", [run]))[run]
    assert isinstance(contents, ListedContents)
    return contents


async def url_of(client: Client, name: str, run: str = "r0") -> SignedUrl:
    """A fresh address of a file."""
    (file,) = (await client.file_urls(TEAM, "p", run, [name])).files
    return file.url


async def bytes_of(client: Client, url: SignedUrl | str, *, offset: int = 0) -> bytes:
    """What a download gives."""
    async with client.download(url, offset=offset) as body:
        assert body.offset == offset
        return b"".join([chunk async for chunk in body])
