"""`wandb-mirror edit`: change a run offline, or all that a filter keeps; queued, and delivered by `replay`."""

from __future__ import annotations

import sys
from typing import Any

import click

from mirror.cli.delivery.bulk import queue_all, rehearse
from mirror.cli.delivery.queueing import (
    NotingMirror,
    local_run,
    next_step,
    queued_unseen,
    refusals_as_errors,
    tell_queued,
    telling_how_many_if_cut_short,
    telling_if_cut_short,
)
from mirror.cli.delivery.wishes import Wishes, check_wishes, queue_wishes, unseen_operations, values_of
from mirror.cli.filter_text import parse_filter
from mirror.cli.names import find_projects
from mirror.cli.setting import Setting, find_setting
from mirror.cli.terminal.asking import confirm
from mirror.cli.terminal.output import UTF8, say
from mirror.cli.terminal.statuses import exit_statuses
from mirror.errors import EXIT_PARTIAL, LakeAway, Refused
from mirror.texts.amounts import plural

BY_NAME = 20  # entries of a filter's runs that are printed one by one


@click.command("edit", epilog=exit_statuses(5, EXIT_PARTIAL, Refused.exit_code))
@click.option("--home", type=click.Path(), help="The mirror's directory (else WANDB_MIRROR_HOME).")
@click.argument("run", type=UTF8, required=False)
@click.option("--filter", "filters", type=UTF8, metavar="JSON", help="Instead of RUN: all that W&B's filter keeps.")
@click.option("--project", type=UTF8, metavar="ENTITY/PROJECT", help="With --filter: only there; globs as ENTITY/*.")
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
@click.option("--yes", is_flag=True, help="With --filter: do not ask.")
@click.option("--dry-run", is_flag=True, help="With --filter: say what would change, and queue nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")
def command(
    home: str | None,
    run: str | None,
    filters: str | None,
    project: str | None,
    added: tuple[str, ...],
    removed: tuple[str, ...],
    pairs: tuple[str, ...],
    without: tuple[str, ...],
    summary: tuple[str, ...],
    remove_summary: tuple[str, ...],
    state: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    **texts: str | None,
) -> int:
    """Change RUN: queued, shown by mirror.Api at once, and delivered by `wandb-mirror replay`. No network.

    With --filter all runs that it keeps: what would change, and of how many runs, is said before it is asked. Typed
    again after it was cut short, it goes on; nothing is queued twice. Runs that do not take it are left out and named,
    with exit status 9.

    Another configuration file is named before the command here: `wandb-mirror --config FILE edit …`.
    """
    wishes = Wishes(
        texts={name: text for name, text in texts.items() if text is not None},
        added=added,
        removed=removed,
        config=values_of(pairs, "--config"),
        without=without,
        summary=values_of(summary, "--summary"),
        summary_without=remove_summary,
        state=state,
    )
    if wishes.is_empty:
        raise click.UsageError("say what to change: --add-tag, --notes, --config, --state, …")
    if (run is None) == (filters is None):
        raise click.UsageError("name one RUN, or --filter for all runs that it keeps")
    if filters is None and (project is not None or yes or dry_run):
        raise click.UsageError("--project, --yes and --dry-run go with --filter")
    check_wishes(wishes)
    setting = find_setting(home, None)
    if filters is not None:
        project = find_projects(project, setting.home)
        return _edit_all(setting, parse_filter(filters), project, wishes, yes=yes, dry_run=dry_run, as_json=as_json)
    try:
        local, found = local_run(setting, str(run))
    except LakeAway as error:
        local = queued_unseen(setting, str(run), unseen_operations(wishes))
        say(f"{error.message}; nobody has seen the run: what these values have become meanwhile is replaced")
    else:
        with refusals_as_errors(), telling_if_cut_short(local):
            queue_wishes(found, wishes, say)
    tell_queued(local, as_json=as_json)
    return 0


def _edit_all(
    setting: Setting,
    filters: dict[str, Any],
    project: str | None,
    wishes: Wishes,
    *,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Say what would change, ask, and queue it run by run.

    Returns:
        The exit status.

    Raises:
        Refused: nobody agreed, and nobody can be asked.
        ConfigError: the filter is wrong.
    """
    local = NotingMirror(setting.home)
    with refusals_as_errors():
        ahead = rehearse(setting.home, filters, project, wishes)
        for line in ahead.lines(wishes):
            say(line)
        refusing = dict(ahead.refusing)
        if ahead.changing and not dry_run:
            if not yes and not _agreed(f"change {plural(len(ahead.changing), 'run')}?"):
                say("nothing was queued")
                return 0
            with telling_how_many_if_cut_short(local, len(ahead.changing)):
                refusing |= queue_all(local, filters, project, wishes, ahead.changing)
    if as_json or len(local.queued) <= BY_NAME:
        tell_queued(local, as_json=as_json, ends=bool(local.queued))
    else:
        say(f"queued {plural(len(local.queued), 'operation')}; {next_step(setting.home)}")
    return EXIT_PARTIAL if refusing else 0


def _agreed(question: str) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refused("nothing was queued: nobody agreed to change these runs", hint="agree with --yes")
    return confirm(question)
