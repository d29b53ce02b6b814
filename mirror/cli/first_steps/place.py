"""Where the lake is to stand: the options of `init` and `migrate`, and the first look at a shared one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from mirror.cli.config_text import PLACE, set_store
from mirror.cli.lake import lake_to_write
from mirror.cli.setting import Setting
from mirror.cli.terminal.output import UTF8, say
from mirror.cluster.place import place_of
from mirror.config import parse_config
from mirror.errors import ConfigError, LeaseHeld, Refused
from mirror.store_settings import StoreSettings

F = TypeVar("F", bound=Callable[..., Any])


def place_options(function: F) -> F:
    """`--catalog`, `--data` and what belongs to them."""
    for name, metavar, text in reversed(
        (
            ("--catalog", "URL", "PostgreSQL for the catalog of a shared lake: postgresql://USER@HOST/DATABASE."),
            ("--data", "S3URL", "Where its files lie: s3://BUCKET/PREFIX."),
            ("--objects", "S3URL", "Another place for the bytes of files and exports."),
            ("--s3-endpoint", "URL", "Another server than AWS that speaks S3."),
            ("--s3-region", "NAME", "The region, where AWS's own settings do not say."),
        )
    ):
        function = click.option(name, type=UTF8, metavar=metavar, help=text)(function)
    return function


def with_place(text: str, setting: Setting, options: Mapping[str, str | None]) -> str:
    """The text of a configuration with the place that options name; without any, as it is.

    Raises:
        ConfigError: they are wrong.
        Refused: the lake of this home is elsewhere.
    """
    said = {name: value for name, value in options.items() if value}
    if not said:
        return text
    if setting.home.catalog.exists():
        hint = "`wandb-mirror migrate --catalog … --data …` moves it"
        raise Refused(f"{setting.home.root} has a lake of its own", hint=hint)
    before = place_of(setting.home)
    if before is not None and any(getattr(before, name) != value for name, value in said.items()):
        raise Refused(f"{setting.home.root} shares another lake", hint="choose another --home for this one")
    return placed_text(text, said, str(setting.config_path))


def placed_text(text: str, said: Mapping[str, str], origin: str) -> str:
    """The text of a configuration with this place of the lake.

    Raises:
        ConfigError: it is wrong; or the file cannot be changed line by line, which is for a person then.
    """
    changed = set_store(text, said)
    if place_in(parse_config(changed, origin=origin).store) != dict(said):
        lines = ", ".join(f'{name} = "{value}"' for name, value in said.items()) or "no place"
        raise ConfigError(f"{origin} cannot be changed line by line", hint=f"write below [store]: {lines}")
    return changed


def place_in(settings: StoreSettings) -> dict[str, str]:
    """The settings of where a lake stands, without those that are empty."""
    return {name: value for name in PLACE if (value := getattr(settings, name))}


def check_shared_place(settings: StoreSettings) -> None:
    """Whether database and bucket can hold a shared lake; one in the home is not looked at.

    Raises:
        LakeAway, HomeUnusable, StoreError: they cannot.
    """
    if settings.is_shared:
        from mirror.cluster.inspection import check_place  # brings what only a shared lake needs

        check_place(settings)


def make_shared_lake(setting: Setting) -> None:
    """Make a shared lake where there is none.

    Raises:
        LakeAway, StoreError: it cannot be made.
        OtherDeployment: it mirrors another server.
    """
    if not setting.config.store.is_shared:
        return
    try:
        with lake_to_write(setting):
            say(f"the shared lake is there: {setting.config.store.data}")
    except LeaseHeld as held:
        say(f"the lake is there; {held.message}")
