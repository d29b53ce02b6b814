"""The client of a command that speaks to the server: its key, its retries, what its home knows of the server."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial

from mirror.api.client import Client
from mirror.api.fitting.kept import KeptDocuments
from mirror.api.fitting.known_server import KnownServer
from mirror.api.transport.credentials import ApiKey, find_api_key
from mirror.api.transport.deployment import Deployment, deployment_of
from mirror.cli.asked_server import refuse_gateway
from mirror.cli.terminal.output import say
from mirror.config import Config
from mirror.layout import Home
from mirror.server_facts import keep_server_facts, read_server_facts
from mirror.texts.amounts import span


def known_key(config: Config) -> ApiKey:
    """The key for the configured server; what could not be read on the way is said.

    Raises:
        AuthError: there is none, or it cannot be one.
    """
    key = find_api_key(config.server, deployment_of(config.server.base_url, config.server.aliases))
    for warning in key.warnings:
        say(f"warning: {warning}")
    return key


OnRetry = Callable[[str, float], None]


@contextlib.asynccontextmanager
async def open_client(
    config: Config, home: Home | None, on_retry: OnRetry | None = None, *, keeps: bool = True
) -> AsyncIterator[Client]:
    """A client that tells about its retries: on standard error, if nobody else is named.

    Args:
        config: names the server.
        home: keeps what is known of the server; None: nothing is kept.
        on_retry: told about each retry.
        keeps: what is learnt of the server is kept in the home.

    Raises:
        ConfigError: the server is a gateway.
    """
    refuse_gateway(config, home)
    deployment = deployment_of(config.server.base_url, config.server.aliases)
    known = known_server(home, deployment, keeps=keeps) if home is not None else KnownServer()
    async with Client(
        deployment, known_key(config), config.server, on_retry=on_retry or tell_retry, known=known
    ) as client:
        try:
            yield client
        finally:
            if keeps:
                known.keep()


def known_server(home: Home, deployment: Deployment, *, keeps: bool = True) -> KnownServer:
    """What a home knows of its server; what is learnt is kept there, unless nothing is to be changed."""
    on_learnt = partial(keep_server_facts, home) if keeps else None
    return KnownServer(read_server_facts(home, deployment.id), on_learnt, KeptDocuments(home.documents))


def tell_retry(reason: str, wait_s: float) -> None:
    say(f"waiting {f'{wait_s:.1f} s' if wait_s < 120 else span(wait_s)}: {reason}")
