"""Where a command works: its home, its configuration, its server. Shared options live here."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mirror.config import Config, load_config
from mirror.errors import ConfigError, HomeUnusable
from mirror.layout import Home, find_home

if TYPE_CHECKING:
    from mirror.api.transport.deployment import Deployment

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
        from mirror.api.transport.deployment import deployment_of  # brings httpx, which few commands need

        return deployment_of(self.config.server.base_url, self.config.server.aliases)


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
    return Setting(
        home=Home(place.root, path.absolute() if named else None), config=load_config(path), config_path=path
    )


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
