"""The questions, each with a default; what is typed wrong is asked again."""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec

from mirror.api.transport.credentials import ApiKey, find_api_key, keep_in_netrc
from mirror.api.transport.deployment import deployment_of
from mirror.cli.setting import SOURCE_HINT
from mirror.cli.terminal.asking import confirm, prompt
from mirror.cli.terminal.output import say
from mirror.config import ServerSettings, check_source
from mirror.errors import AuthError, ConfigError
from mirror.texts.amounts import plural
from mirror.texts.visible import visible

SHOWN = 100  # projects that are listed; the others can be named


class Offer(msgspec.Struct, frozen=True):
    """A project that the key may read."""

    path: str  # entity/project
    runs: int | None  # None: the server does not tell


def ask_server(default: str) -> str:
    """The address of the server."""
    while True:
        url = prompt("W&B server", default=default)
        try:
            return deployment_of(url.strip()).base_url
        except ConfigError as error:
            say(f"error: {error.message}")


def ask_key(settings: ServerSettings) -> None:
    """Have a key where this and later commands find it: one that is there, or one that is typed and kept.

    Raises:
        AuthError: the key that is there is malformed.
    """
    deployment = deployment_of(settings.base_url, settings.aliases)
    try:
        find_api_key(settings, deployment)
    except AuthError as error:
        if not error.message.startswith("there is no API key"):
            raise
    else:
        return
    say(f"the API key of {deployment.host} is on {deployment.app_url}/authorize; what you type is not shown")
    while True:
        typed = prompt("API key", hidden=True)
        try:
            key = ApiKey(typed, "the terminal")
        except AuthError as error:
            say(f"error: {error.message}")
            continue
        if confirm("keep it in ~/.netrc, as `wandb login` does?", default=True):
            say(f"kept in {keep_in_netrc(deployment, key)}")
        else:
            say("next commands need it: export WANDB_API_KEY=…")
            os.environ["WANDB_API_KEY"] = key.reveal()  # of this process alone
        return


def ask_sources(offers: Sequence[Offer]) -> list[str]:
    """The projects to mirror, as sources."""
    named = [offer for offer in offers if _can_be_named(offer.path)]
    if left_out := len(offers) - len(named):
        say(f"{plural(left_out, 'project')} with names that no source can have are left out; ENTITY/* takes them along")
    listed = sorted(named, key=lambda offer: (-(offer.runs or 0), offer.path))
    width = len(str(min(len(listed), SHOWN)))
    for number, offer in enumerate(listed[:SHOWN], start=1):
        size = "" if offer.runs is None else f"  {plural(offer.runs, 'run')}"
        say(f"  {number:>{width}}  {visible(offer.path)}{size}")
    if len(listed) > SHOWN:
        say(f"  … and {len(listed) - SHOWN:,} more, which can be named")
    if not listed:
        say("this key may list no project; name one that it may read")
    while True:
        typed = prompt("which? numbers, ENTITY/PROJECT or ENTITY/*, with commas")
        try:
            return chosen(typed, [offer.path for offer in listed[:SHOWN]])
        except ValueError as error:
            say(f"error: {error}")


def _can_be_named(path: str) -> bool:
    try:
        check_source(path)
    except ValueError:
        return False
    return not set("*?[") & set(path)


def chosen(typed: str, listed: Sequence[str]) -> list[str]:
    """What was typed as paths of sources.

    Args:
        typed: numbers from 1, ranges as 2-5, and paths; with commas or blanks between them.
        listed: paths by their numbers.

    Raises:
        ValueError: one of them is none of these.
    """
    found: list[str] = []
    for word in typed.replace(",", " ").split():
        first, _, last = word.partition("-")
        if first.isdigit() and (last.isdigit() or not last):
            numbers = range(int(first), int(last or first) + 1)
            if not numbers or numbers[0] < 1 or numbers[-1] > len(listed):
                raise ValueError(f"{word} is no number of the list, which goes to {len(listed)}")
            found += [listed[number - 1] for number in numbers]
        else:
            try:
                check_source(word)
            except ValueError as error:
                raise ValueError(f"{error}; {SOURCE_HINT}") from error
            found.append(word)
    if not found:
        raise ValueError("name at least one")
    return list(dict.fromkeys(found))
