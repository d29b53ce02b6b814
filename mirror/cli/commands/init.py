"""`wandb-mirror init`: write a commented configuration, after the key and the sources were checked."""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase

import anyio
import click
import msgspec

from mirror.api.client import Client
from mirror.api.transport.deployment import deployment_of
from mirror.cli.asked_server import refuse_gateway
from mirror.cli.clients import open_client
from mirror.cli.config_text import add_sources, new_config_text
from mirror.cli.first_steps.place import check_shared_place, make_shared_lake, place_options, with_place
from mirror.cli.first_steps.questions import Offer, ask_key, ask_server, ask_sources
from mirror.cli.setting import SOURCE_HINT, Setting, find_setting, setting_options
from mirror.cli.terminal.output import UTF8, on_terminal, say, write
from mirror.cli.terminal.statuses import ASKS_SERVER, exit_statuses
from mirror.clock import utc_now
from mirror.cluster.place import has_lake
from mirror.config import Config, SourceSettings, check_source, load_config, parse_config
from mirror.durable import make_folder, write_replace
from mirror.errors import ConfigError, MirrorError, NotFound, NotOffered, OtherDeployment, Unreachable
from mirror.private import tighten
from mirror.records.capabilities import Lack
from mirror.records.server import ServerFacts
from mirror.server_facts import keep_server_facts
from mirror.store.engine.connection import store_errors
from mirror.store.engine.filesystem import check_can_hold_lake
from mirror.texts.amounts import plural

GLOB_MARKS = frozenset("*?[")


@click.command("init", epilog=exit_statuses(*ASKS_SERVER))
@setting_options
@click.option(
    "--source", "sources", multiple=True, type=UTF8, metavar="ENTITY/PROJECT", help="What to mirror; globs as ENTITY/*."
)
@click.option("--base-url", metavar="URL", help="The W&B server (else WANDB_BASE_URL, else W&B's own).")
@click.option("--no-check", is_flag=True, help="Write the configuration without asking the server.")
@place_options
def command(
    home: str | None,
    config: str | None,
    sources: tuple[str, ...],
    base_url: str | None,
    no_check: bool,
    **place: str | None,
) -> None:
    """Set up a home: write HOME/mirror.toml and check the API key.

    On a terminal it asks for what is not given: the server, the key, and which projects, from a list with their sizes.
    Run again with further --source options, it adds them to the file that is there.

    With --catalog and --data the lake is a group's: its catalog in PostgreSQL, its files in a bucket. Both are checked,
    and the lake is made where there is none.
    """
    setting = find_setting(home, config)
    if base_url is None:
        refuse_gateway(setting.config, setting.home)
    for path in sources:
        _check_source_option(path)
    existing = setting.config_path.exists()
    asks = sys.stdin.isatty() and on_terminal() and not no_check
    if not sources and not setting.config.source and not asks:
        raise click.UsageError("give at least one --source ENTITY/PROJECT; ENTITY/* mirrors all projects")
    if asks and not existing and base_url is None and not sources:
        base_url = ask_server(setting.config.server.base_url)
    if asks:
        ask_key(parse_config(_text_for(setting, (), base_url, existing), origin=str(setting.config_path)).server)
    if not sources and not setting.config.source:
        sources = tuple(_chosen(setting, base_url, existing))
    text = with_place(_text_for(setting, sources, base_url, existing), setting, place)
    wanted = parse_config(text, origin=str(setting.config_path))
    with store_errors(setting.home):
        check_can_hold_lake(setting.home.root)
    check_shared_place(wanted.store)
    answers = None if no_check else _check(wanted, sources)
    if answers is not None:
        host = deployment_of(wanted.server.base_url).host
        say(f"the key belongs to {answers.owner} on {host}" if answers.owner else f"{host} takes the key")
        for lack in answers.lacks:
            say(f"this server {lack}")
    with store_errors(setting.home):
        make_folder(setting.home.root)
        if tighten(setting.home):
            say(f"{setting.home.root} was open to other users of this machine; it is yours alone now")
        write_replace(setting.config_path, text.encode())
    if answers is not None:
        keep_server_facts(setting.home, answers.facts)
    make_shared_lake(Setting(home=setting.home, config=wanted, config_path=setting.config_path))
    write(f"{'updated' if existing else 'wrote'} {setting.config_path} ({plural(len(wanted.source), 'source')})")
    if asks and not has_lake(setting.home):
        _tell_estimate(Setting(home=setting.home, config=wanted, config_path=setting.config_path))
    write("next: wandb-mirror pull")


def _chosen(setting: Setting, base_url: str | None, existing: bool) -> list[str]:
    """Sources, chosen from what the key may read."""
    server = parse_config(_text_for(setting, (), base_url, existing), origin=str(setting.config_path))

    async def offers() -> list[Offer]:
        async with open_client(server, None) as client:
            await client.learn(utc_now())
            found = await client.viewer()
            entities = dict.fromkeys(name for name in (found.entity, *found.teams) if name)
            return [offer for entity in entities for offer in await _offers(client, SourceSettings(path=f"{entity}/*"))]

    return ask_sources(anyio.run(offers))


async def _offers(client: Client, source: SourceSettings) -> list[Offer]:
    """The projects of a source, with their sizes."""
    if not GLOB_MARKS & set(source.project):
        record = await client.project(source.entity, source.project)
        return [] if record is None else [Offer(source.path, record.run_count)]
    return [
        Offer(f"{source.entity}/{record.project}", record.run_count)
        async for page in client.projects(source.entity)
        for record in page
        if fnmatchcase(record.project, source.project)
    ]


def _tell_estimate(setting: Setting) -> None:
    """Say what a first pull will take; a server that does not answer this costs the estimate alone."""
    from mirror.cli.first_steps.estimate import Estimate, estimate_first_pull  # brings DuckDB, which nothing else needs

    async def look() -> Estimate:
        async with open_client(setting.config, None) as client:
            await client.learn(utc_now())
            projects = [offer for source in setting.config.source for offer in await _offers(client, source)]
            return await estimate_first_pull(client, setting, projects)

    try:
        say(str(anyio.run(look)))
    except MirrorError as error:
        say(f"what a first pull takes could not be estimated: {error.message}")


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


def _check(config: Config, sources: tuple[str, ...]) -> _Answers:
    """Ask the server; nothing is written when it does not answer well."""
    try:
        return anyio.run(_ask, config, [SourceSettings(path=path) for path in sources])
    except Unreachable as error:
        error.hint = f"{error.hint}; --no-check writes the configuration without asking the server"
        raise


class _Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What the server told."""

    owner: str | None  # of the key; None: this server tells nobody's
    facts: ServerFacts
    lacks: tuple[Lack, ...]


async def _ask(config: Config, sources: list[SourceSettings]) -> _Answers:
    """Ask the server what it knows, who the key is, and for each source that names one project whether it is there."""
    async with open_client(config, None) as client:
        await client.learn(utc_now())
        try:
            owner: str | None = (await client.viewer()).username
        except NotOffered:
            owner = None
        for source in sources:
            await _check_readable(client, source)
        return _Answers(owner=owner, facts=client.facts, lacks=client.lacks)


async def _check_readable(client: Client, source: SourceSettings) -> None:
    if GLOB_MARKS & set(source.project):
        return
    if await client.project(source.entity, source.project) is None:
        raise NotFound(
            f"project {source.path} does not exist, or this API key may not read it",
            hint="check the spelling; with --no-check it is configured all the same",
        )
