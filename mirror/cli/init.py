"""`wandb-mirror init`: write a commented configuration, after the key and the sources were checked."""

from __future__ import annotations

import anyio
import click

from mirror.api import Client, Viewer, deployment_of
from mirror.cli.config_text import add_sources, new_config_text
from mirror.cli.output import UTF8, plural, say, write
from mirror.cli.setting import SOURCE_HINT, Setting, find_setting, open_client, setting_options
from mirror.cli.statuses import ASKS_SERVER, exit_statuses
from mirror.config import Config, SourceSettings, check_source, load_config, parse_config
from mirror.durable import make_folder, write_replace
from mirror.errors import ConfigError, NotFound, OtherDeployment, Unreachable
from mirror.store.engine import store_errors
from mirror.store.filesystem import check_can_hold_lake


@click.command("init", epilog=exit_statuses(*ASKS_SERVER))
@setting_options
@click.option(
    "--source", "sources", multiple=True, type=UTF8, metavar="ENTITY/PROJECT", help="What to mirror; globs as ENTITY/*."
)
@click.option("--base-url", metavar="URL", help="The W&B server (else WANDB_BASE_URL, else W&B's own).")
@click.option("--no-check", is_flag=True, help="Write the configuration without asking the server.")
def command(
    home: str | None, config: str | None, sources: tuple[str, ...], base_url: str | None, no_check: bool
) -> None:
    """Set up a home: write HOME/mirror.toml and check the API key.

    Run again with further --source options, it adds them to the file that is there.
    """
    setting = find_setting(home, config)
    for path in sources:
        _check_source_option(path)
    existing = setting.config_path.exists()
    if not sources and not setting.config.source:
        raise click.UsageError("give at least one --source ENTITY/PROJECT; ENTITY/* mirrors all projects")
    text = _text_for(setting, sources, base_url, existing)
    wanted = parse_config(text, origin=str(setting.config_path))
    with store_errors(setting.home):
        check_can_hold_lake(setting.home.root)
    if not no_check:
        viewer = _check(wanted, sources)
        say(f"the key belongs to {viewer.username} on {deployment_of(wanted.server.base_url).host}")
    with store_errors(setting.home):
        make_folder(setting.home.root)
        write_replace(setting.config_path, text.encode())
    write(f"{'updated' if existing else 'wrote'} {setting.config_path} ({plural(len(wanted.source), 'source')})")
    write("next: wandb-mirror pull")


def _check_source_option(path: str) -> None:
    try:
        check_source(path)
    except ValueError as error:
        raise ConfigError(str(error), hint=SOURCE_HINT) from error


def _text_for(setting: Setting, sources: tuple[str, ...], base_url: str | None, existing: bool) -> str:
    """The whole text of the file to write."""
    if not existing:
        url = deployment_of(base_url or setting.config.server.base_url).base_url
        return new_config_text(url, list(dict.fromkeys(sources)))
    in_file = load_config(setting.config_path, env={})
    url = base_url or setting.config.server.base_url
    if deployment_of(url).id not in deployment_of(in_file.server.base_url, in_file.server.aliases).names:
        raise OtherDeployment(
            f"{setting.config_path} is for {in_file.server.base_url}, not for {url}",
            hint="use another --home for the other server",
        )
    known = {source.path for source in in_file.source}
    added = [path for path in dict.fromkeys(sources) if path not in known]
    return add_sources(setting.config_path.read_text(encoding="utf-8"), added)


def _check(config: Config, sources: tuple[str, ...]) -> Viewer:
    """Ask the server; nothing is written when it does not answer well."""
    try:
        return anyio.run(_ask, config, [SourceSettings(path=path) for path in sources])
    except Unreachable as error:
        error.hint = f"{error.hint}; --no-check writes the configuration without asking the server"
        raise


async def _ask(config: Config, sources: list[SourceSettings]) -> Viewer:
    """Ask the server who the key is, and for each source that names one project whether it may be read."""
    async with open_client(config) as client:
        viewer = await client.viewer()
        for source in sources:
            await _check_readable(client, source)
    return viewer


async def _check_readable(client: Client, source: SourceSettings) -> None:
    if any(mark in source.project for mark in "*?["):
        return
    if await client.project(source.entity, source.project) is None:
        raise NotFound(
            f"project {source.path} does not exist, or this API key may not read it",
            hint="check the spelling; with --no-check it is configured all the same",
        )
