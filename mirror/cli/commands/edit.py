"""`wandb-mirror edit`: change a run offline; the change is queued, and delivered by `replay`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click
import msgspec

from mirror.cli.delivery.queueing import local_run, refusals_as_errors, tell_queued, telling_if_cut_short
from mirror.cli.setting import find_setting
from mirror.cli.terminal.output import UTF8, say
from mirror.cli.terminal.statuses import exit_statuses
from mirror.errors import ConfigError
from mirror.records.texts import INTERNAL_CONFIG_KEYS


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for."""

    texts: dict[str, str]  # by attribute of a run
    added: tuple[str, ...]  # tags
    removed: tuple[str, ...]
    config: dict[str, Any]
    without: tuple[str, ...]  # keys of the config
    summary: dict[str, Any]
    summary_without: tuple[str, ...]  # keys of the summary
    state: str | None


@click.command("edit", epilog=exit_statuses(5))
@click.option("--home", type=click.Path(), help="The mirror's directory (else WANDB_MIRROR_HOME).")
@click.argument("run", type=UTF8)
@click.option("--add-tag", "added", multiple=True, type=UTF8, metavar="TAG", help="May be given again.")
@click.option("--remove-tag", "removed", multiple=True, type=UTF8, metavar="TAG", help="May be given again.")
@click.option("--name", type=UTF8, help="The display name.")
@click.option("--notes", type=UTF8, help="The notes.")
@click.option("--group", type=UTF8, help="The group.")
@click.option("--job-type", type=UTF8, help="The job type.")
@click.option("--config", "pairs", multiple=True, type=UTF8, metavar="K=V", help="A config key; V is JSON or text.")
@click.option("--remove-config", "without", multiple=True, type=UTF8, metavar="K", help="Take a key out of the config.")
@click.option("--summary", multiple=True, type=UTF8, metavar="K=V", help="A summary key; V is JSON or text.")
@click.option("--remove-summary", multiple=True, type=UTF8, metavar="K", help="Take a key out of the summary.")
@click.option("--state", type=UTF8, help="pending or failed, where W&B allows it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")
def command(
    home: str | None,
    run: str,
    added: tuple[str, ...],
    removed: tuple[str, ...],
    pairs: tuple[str, ...],
    without: tuple[str, ...],
    summary: tuple[str, ...],
    remove_summary: tuple[str, ...],
    state: str | None,
    as_json: bool,
    **texts: str | None,
) -> None:
    """Change RUN: queued, shown by mirror.Api at once, and delivered by `wandb-mirror replay`. No network.

    Another configuration file is named before the command here: `wandb-mirror --config FILE edit …`.
    """
    wishes = Wishes(
        texts={name: text for name, text in texts.items() if text is not None},
        added=added,
        removed=removed,
        config=_values(pairs, "--config"),
        without=without,
        summary=_values(summary, "--summary"),
        summary_without=remove_summary,
        state=state,
    )
    if not any(value not in (None, (), {}) for value in msgspec.structs.astuple(wishes)):
        raise click.UsageError("say what to change: --add-tag, --notes, --config, --state, …")
    _check(wishes)
    local, found = local_run(find_setting(home, None), run)
    with refusals_as_errors(), telling_if_cut_short(local):
        if wishes.state is not None:  # first, for it may be refused
            found.update_state(wishes.state)
        _apply(found, wishes)
        found.update()
    tell_queued(local, as_json=as_json)


def _values(pairs: Sequence[str], flag: str) -> dict[str, Any]:
    """`k=v` by key; a value that is no JSON is a text.

    Raises:
        ConfigError: there is no `=`, no key, or a key twice.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"{flag} {pair!r} is not K=V", hint=f"such as {flag} lr=0.1, or {flag} 'layers=[64, 10]'")
        if key in values:
            raise ConfigError(f"{flag} names {key!r} twice", hint="give each key once")
        try:
            values[key] = json.loads(text)
        except (ValueError, RecursionError):
            values[key] = text
    return values


def _check(wishes: Wishes) -> None:
    """Refuse what contradicts itself.

    Raises:
        ConfigError: it does.
    """
    for what, both in (
        ("tag", set(wishes.added) & set(wishes.removed)),
        ("config key", set(wishes.config) & set(wishes.without)),
        ("summary key", set(wishes.summary) & set(wishes.summary_without)),
    ):
        if both:
            raise ConfigError(f"{what} {min(both)!r} is to be set and to be removed", hint="give one of the two")
    for key in (*wishes.config, *wishes.without):
        if key in INTERNAL_CONFIG_KEYS:
            raise ConfigError(f"{key!r} is W&B's own key of a config", hint="W&B writes it itself")


def _apply(run: Any, wishes: Wishes) -> None:
    """Change the local run; what is not there to be removed is said."""
    for name, text in wishes.texts.items():
        setattr(run, name, text)
    tags: list[str] = list(run.tags or ())
    for tag in wishes.removed:
        if tag not in tags:
            say(f"the run has no tag {tag!r}")
    kept = [tag for tag in tags if tag not in wishes.removed]
    run.tags = [*kept, *(tag for tag in dict.fromkeys(wishes.added) if tag not in kept)]
    for what, document, keys, values in (
        ("config", run.config, wishes.without, wishes.config),
        ("summary", run.summary_metrics, wishes.summary_without, wishes.summary),
    ):
        for key in keys:
            if key not in document:
                say(f"the {what} has no key {key!r}")
            document.pop(key, None)
        document.update(values)
