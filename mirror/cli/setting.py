"""Where a command works: its home, its configuration, its server. Shared options live here."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from mirror.api import ApiKey, Client, Deployment, KnownServer, deployment_of, find_api_key
from mirror.cli.terminal.output import say
from mirror.config import Config, load_config
from mirror.errors import ConfigError, HomeUnusable
from mirror.layout import Home, find_home
from mirror.records.spans import span
from mirror.server_facts import keep_server_facts, read_server_facts

SOURCE_HINT = "both names stand in the address of the project's page: https://wandb.ai/ENTITY/PROJECT"

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What every command needs to know."""

    home: Home
    config: Config
    config_path: Path

    @property
    def deployment(self) -> Deployment:
        """The configured server.

        Raises:
            ConfigError: its base URL is not one.
        """
        return deployment_of(self.config.server.base_url, self.config.server.aliases)


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
    """
    deployment = deployment_of(config.server.base_url, config.server.aliases)
    async with Client(
        deployment,
        known_key(config),
        config.server,
        on_retry=on_retry or tell_retry,
        known=known_server(home, deployment, keeps=keeps) if home is not None else None,
    ) as client:
        yield client


def known_server(home: Home, deployment: Deployment, *, keeps: bool = True) -> KnownServer:
    """What a home knows of its server; what is learnt is kept there, unless nothing is to be changed."""
    on_learnt = partial(keep_server_facts, home) if keeps else None
    return KnownServer(read_server_facts(home, deployment.id), on_learnt=on_learnt)


def tell_retry(reason: str, wait_s: float) -> None:
    say(f"waiting {f'{wait_s:.1f} s' if wait_s < 120 else span(wait_s)}: {reason}")


def setting_options(function: F) -> F:
    """`--home` and `--config`, accepted behind the command as well as before it."""
    function = click.option("--config", type=click.Path(), help="Another configuration file than HOME/mirror.toml.")(
        function
    )
    return click.option("--home", type=click.Path(), help="The mirror's directory (else WANDB_MIRROR_HOME).")(function)


def find_setting(home: str | None, config: str | None) -> Setting:
    """Put the options of the command and of the program together with the environment and the file.

    Raises:
        ConfigError: the file is wrong, or was named and does not exist.
        HomeUnusable: the home is no folder.
    """
    context = click.get_current_context()
    outer = context.obj or {}
    place = find_home(home or outer.get("home"))
    named = config or outer.get("config")
    _check_folder(place)
    path = Path(named).expanduser() if named else place.config
    if named and not path.exists():
        raise ConfigError(f"{path} does not exist", hint="without --config, HOME/mirror.toml is read")
    return Setting(home=place, config=load_config(path), config_path=path)


def _check_folder(home: Home) -> None:
    """Refuse a home that is there and no folder, or that can never be one."""
    hint = "choose another folder with --home or WANDB_MIRROR_HOME"
    try:
        if not stat.S_ISDIR(os.stat(home.root).st_mode):  # noqa: PTH116 — Path.exists hides some errors
            raise HomeUnusable(f"{home.root} is a file, not a folder", hint=hint)
    except FileNotFoundError:
        return
    except OSError as error:
        raise HomeUnusable(f"{home.root} cannot be a home: {error.strerror}", hint=hint) from error
