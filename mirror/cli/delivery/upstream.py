"""What a delivery would meet: the server when it can be reached, else the mirror, which is as old as its last pull."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from mirror.api.client import Client
from mirror.api.rows.pages import BadRun
from mirror.cli.clients import known_key, known_server
from mirror.cli.delivery.dry_run import Side, Upstream
from mirror.cli.setting import Setting
from mirror.errors import MirrorError, NotFound
from mirror.records.operations import EditedField, RunPath
from mirror.records.runs import RunRecord
from mirror.store.engine.meta import lake_deployment, other_deployment
from mirror.store.engine.reader import Reader
from mirror.store.read.files import read_files
from mirror.store.read.runs import LightRun, read_run

_FIELDS: tuple[EditedField, ...] = ("display_name", "notes", "description", "group", "job_type", "tags")


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What entries are compared with."""

    upstream: Upstream
    against: str  # "server" or "mirror"
    why: str | None  # why it is not the server


@contextlib.asynccontextmanager
async def open_view(setting: Setting) -> AsyncIterator[View]:
    """The server, if it answers now; else the mirror.

    Raises:
        OtherDeployment: the home mirrors another server than the configured one.
    """
    check_deployment(setting)
    async with contextlib.AsyncExitStack() as opened:
        try:
            key = known_key(setting.config)
            once = msgspec.structs.replace(setting.config.server, retry_attempts=1, rate_limit_patience_minutes=0.0)
            known = known_server(setting.home, setting.deployment)
            async with Client(setting.deployment, key, once, known=known) as probe:
                await probe.check()
            client = await opened.enter_async_context(
                Client(setting.deployment, key, setting.config.server, known=known)
            )
            view = View(upstream=_Server(client), against="server", why=None)
        except MirrorError as error:
            view = View(upstream=_Mirror(Reader(setting.home)), against="mirror", why=error.message)
        yield view


def check_deployment(setting: Setting) -> None:
    """Refuse to compare with, or to write to, another server than the one that the entries are meant for.

    Raises:
        OtherDeployment: the catalog records another one.
    """
    if not setting.home.catalog.exists():
        return
    held = lake_deployment(Reader(setting.home))
    asked = setting.deployment
    if held is not None and held not in asked.names | {asked.id}:
        raise other_deployment(setting.home, held=held, asked=asked.id)


class _Server:
    """As the server has it now."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def run(self, path: RunPath) -> Side | None:
        found = await self._client.run(*path)
        if isinstance(found, BadRun):
            raise NotFound(f"the server cannot show {'/'.join(path)}: {found.reason}")
        return None if found is None else _side(found, found.config_text, found.summary_text)

    async def md5(self, path: RunPath, name: str) -> str | UnsetType | None:
        page = await self._client.file_urls(*path, [name])
        return next((file.md5 for file in page.files if file.name == name), UNSET)


class _Mirror:
    """As the last pull found it."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def run(self, path: RunPath) -> Side | None:
        found = read_run(self._reader, path)
        if found is None or found[0].gone:
            return None
        return _side(found[0], found[1].config, found[1].summary)

    async def md5(self, path: RunPath, name: str) -> str | UnsetType | None:
        file = read_files(self._reader, path, [name]).get(name)
        return UNSET if file is None or file.status == "gone" else file.md5


def _side(run: RunRecord | LightRun, config: str | None, summary: str | None) -> Side:
    fields: dict[str, Any] = {name: getattr(run, name) for name in _FIELDS}
    return Side(
        state=run.state,
        sweep=run.sweep,
        fields={**fields, "tags": list(run.tags)},
        config=_object(config),
        summary=_object(summary),
    )


def _object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return {}
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
