"""`wandb-mirror outbox retry`, `resolve` and `drop`: what a person decides about entries."""

from __future__ import annotations

import sys
from typing import Any, Literal

import click

from mirror.cli.by_daemon import ask_daemon
from mirror.cli.delivery.entries import entry_json, operations_text, wish
from mirror.cli.delivery.queueing import next_step
from mirror.cli.lake import lake_to_write
from mirror.cli.setting import Setting, find_setting, setting_options
from mirror.cli.terminal.asking import confirm
from mirror.cli.terminal.output import UTF8, print_json, say, write
from mirror.cli.terminal.statuses import exit_statuses
from mirror.clock import utc_now
from mirror.daemon.requests.client import daemon_listens
from mirror.daemon.requests.wire import AskDrop, Dropped
from mirror.errors import ConfigError, EntryMoved, Refused
from mirror.outbox import Outbox, Placed
from mirror.outbox.group import GroupOutbox, outbox_of
from mirror.records.operations import Entry
from mirror.replay.ledger import give_up
from mirror.sharing import share_now_and_then

_ID = click.argument("entry_id", type=UTF8, metavar="ID")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")


@click.command("retry", short_help="Let an entry be delivered again.", epilog=exit_statuses(5))
@setting_options
@click.argument("entry_id", type=UTF8, metavar="[ID]", required=False)
@click.option("--all", "everything", is_flag=True, help="All that the server refused, or that wait for a later try.")
@_JSON
def retry(home: str | None, config: str | None, entry_id: str | None, everything: bool, as_json: bool) -> None:
    """Let an entry that is dead, in conflict or put back be delivered again, in its place in the run's order.

    With --all those in conflict stay: they need `outbox resolve`.
    """
    if (entry_id is None) != everything:
        raise click.UsageError("give either ID or --all")
    setting = find_setting(home, config)
    outbox = _open(setting)
    if entry_id is not None:
        chosen = [outbox.get(entry_id)]
    else:
        waiting = outbox.entries("dead", "new")
        chosen = [placed for placed in waiting if placed.state == "dead" or placed.entry.not_before is not None]
    for placed in chosen:
        if placed.state == "claimed":
            raise ConfigError(f"entry {placed.entry.id} is claimed: a replay is at it", hint=_CLAIMED_HINT)
    done = []
    for placed in chosen:
        try:
            done.append(Placed("new", outbox.retry(placed.entry)))
        except EntryMoved as moved:
            if not everything:
                raise
            say(f"left alone: {moved.message}")  # a replay was faster
    _tell(setting, done, "will be tried again", as_json)
    if conflicts := outbox.counts()["conflict"] if everything else 0:
        say(f"{operations_text(conflicts)} in conflict: `wandb-mirror outbox resolve` decides")


@click.command("resolve", short_help="Decide a conflict: ours or theirs.", epilog=exit_statuses(5))
@setting_options
@_ID
@click.option("--ours", "how", flag_value="ours", help="Write the wish over what somebody else wrote.")
@click.option("--theirs", "how", flag_value="theirs", help="Leave what somebody else wrote; the rest is delivered.")
@_JSON
def resolve(
    home: str | None, config: str | None, entry_id: str, how: Literal["ours", "theirs"] | None, as_json: bool
) -> None:
    """Decide a conflict: --ours or --theirs, for the values that both sides changed."""
    if how is None:
        raise click.UsageError("give --ours or --theirs")
    setting = find_setting(home, config)
    outbox = _open(setting)
    state, entry = outbox.get(entry_id)
    if state != "conflict":
        raise ConfigError(
            f"entry {entry.id} is {state}, not in conflict",
            hint="`outbox retry` is for what the server refused, `outbox drop` gives an entry up",
        )
    _tell(setting, [Placed("new", outbox.resolve(entry, how))], f"resolved as {how}", as_json)


@click.command("drop", short_help="Give an entry up; a receipt stays.", epilog=exit_statuses(5, 10))
@setting_options
@_ID
@click.option("--yes", is_flag=True, help="Do not ask.")
@_JSON
def drop(home: str | None, config: str | None, entry_id: str, yes: bool, as_json: bool) -> int:
    """Give an entry up: it leaves the outbox undelivered, and a receipt keeps what was asked.

    The receipt goes into the mirror's tables: a daemon that runs writes it, and while a pull of another process writes
    them nothing is dropped, or delivered.
    """
    setting = find_setting(home, config)
    state, entry = _open(setting).get(entry_id)
    if state == "claimed" and not daemon_listens(setting.home, say):  # a daemon drops between its rounds
        raise ConfigError(f"entry {entry.id} is claimed: a replay is at it", hint=_CLAIMED_HINT)
    if not yes and not _agreed(f"give up {wish(entry.operation)} of {entry.run_path}?"):
        say("kept")
        return 0
    dropped = dropped_entry(setting, entry.id)
    if as_json:
        print_json(_decided_json([Placed(state, dropped)]))
    else:
        write(f"dropped {entry.id}: {wish(dropped.operation)} of {dropped.run_path}")
    return 0


def dropped_entry(setting: Setting, entry_id: str) -> Entry:
    """Give an entry up, by the daemon where one runs; the entry as it was.

    Raises:
        HomeBusy: another process writes the lake now.
    """
    by_daemon = ask_daemon(setting.home, AskDrop(entry_id), Dropped)
    if by_daemon is not None:
        return by_daemon.entry
    outbox = _open(setting)
    if isinstance(outbox, GroupOutbox) and outbox.give_up(entry := outbox.get(entry_id).entry):
        say("whoever has the lease of the shared lake is told, and drops it before its next round")
        return entry
    with lake_to_write(setting) as lake:  # no replay delivers meanwhile
        return give_up(lake, outbox, entry_id, utc_now())


_CLAIMED_HINT = "wait until it is done; what a killed one left, `wandb-mirror replay` puts back first, also offline"


def _agreed(question: str) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refused("an entry that is dropped is never delivered", hint="agree with --yes")
    return confirm(question)


def _open(setting: Setting) -> Outbox:
    outbox = outbox_of(setting.home, told=lambda aside: say(f"warning: {aside}"))
    share_now_and_then(outbox)
    return outbox


def _tell(setting: Setting, done: list[Placed], what: str, as_json: bool) -> None:
    if as_json:
        print_json(_decided_json(done))
        return
    for _, entry in done:
        write(f"{entry.id}  {entry.run_path}  {wish(entry.operation)}: {what}")
    say(next_step(setting.home) if done else "there is nothing to be tried again")


def _decided_json(done: list[Placed]) -> dict[str, Any]:
    return {"entries": [entry_json(placed) for placed in done]}
