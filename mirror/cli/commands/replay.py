"""`wandb-mirror replay`: what waits in the outbox reaches the server."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import anyio
import click
import msgspec

from mirror.cli.clients import open_client
from mirror.cli.delivery.diff import show_outlook
from mirror.cli.delivery.entries import counted, time_text, wish
from mirror.cli.delivery.round import Left, Rounds, Teller, spent_since, stopped_by_signals
from mirror.cli.delivery.watch import deliver_forever
from mirror.cli.setting import Setting, find_setting, setting_options
from mirror.cli.terminal.output import on_terminal, print_json, say, size, write_json_text
from mirror.cli.terminal.statuses import ASKS_SERVER, exit_statuses
from mirror.clock import utc_now
from mirror.errors import EXIT_PARTIAL, LeaseHeld, MirrorError
from mirror.outbox import OutboxReader
from mirror.records.operations import Entry, EntryState
from mirror.replay import Replayed, Result
from mirror.texts.amounts import plural

INTERRUPTED = 130
WORDS: dict[Result, str] = {
    "applied": "applied",
    "already_so": "already so",
    "theirs": "left as theirs",
    "buried": "refused",
    "held": "conflict",
    "put_back": "put back",
    "dropped": "dropped",
}


class ReplayReport(msgspec.Struct, kw_only=True):
    """What a replay came to."""

    replayed: Replayed = msgspec.field(default_factory=Replayed)
    left: list[Left] = msgspec.field(default_factory=list)  # the first ones
    counts: dict[EntryState, int] = msgspec.field(default_factory=dict)  # of the outbox afterwards
    spent: dict[str, Any] = msgspec.field(default_factory=dict)
    seconds: float = 0.0
    outage: MirrorError | None = None
    interrupted: bool = False


@click.command("replay", epilog=exit_statuses(*ASKS_SERVER, 9))
@setting_options
@click.option("--watch", "stay", is_flag=True, help="Stay, and deliver what is asked from now on, too. Ctrl-C ends it.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, by looking at the server; change nothing.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON; with --watch a line an operation.")
def command(home: str | None, config: str | None, stay: bool, dry_run: bool, quiet: bool, as_json: bool) -> int:
    """Deliver what waits in the outbox to W&B: looked at, merged, written, and read back.

    Operations of a run are delivered in order, runs side by side. What the server refuses and what somebody else
    changed meanwhile stays in the outbox with the reason (`wandb-mirror outbox list`). JSON is described in
    docs/json.md.
    """
    setting = find_setting(home, config)
    if stay and dry_run:
        raise click.UsageError("--watch and --dry-run exclude each other")
    if dry_run:
        outbox = OutboxReader(setting.home, told=lambda aside: say(f"warning: {aside}"))
        anyio.run(
            show_outlook,
            setting,
            outbox.entries("claimed", "new", "conflict"),
            lambda one: one.state in ("claimed", "new"),
            as_json,
        )
        return 0
    if stay:
        anyio.run(_watch, setting, quiet, as_json)
        return 0
    report = anyio.run(_replay, setting, quiet or as_json)
    if as_json:
        print_json(replay_json(report))
    return conclude_replay(report, quiet=quiet or as_json)


async def _replay(setting: Setting, quiet: bool) -> ReplayReport:
    """One round, if anything waits."""
    outbox = OutboxReader(setting.home)
    report = ReplayReport(counts=outbox.counts())
    if not report.counts["new"] and not report.counts["claimed"]:
        return report
    teller = Teller(_silent if quiet else _say_each if on_terminal() else _say_trouble)
    started = time.monotonic()
    async with open_client(setting.config, setting.home) as client:
        rounds = Rounds(setting, client, teller)
        async with stopped_by_signals(teller):
            try:
                report.replayed = await rounds.run()
                report.outage = report.replayed.outage
            except LeaseHeld as held:
                if not quiet:
                    say(f"handed over to the group: {held.message}, and delivers")
            except MirrorError as error:
                if error.exit_code not in ASKS_SERVER:
                    raise
                report.outage = error
        report.spent = spent_since(client)
    report.left = teller.left
    report.interrupted = teller.is_stopping
    report.counts = outbox.counts()
    report.seconds = time.monotonic() - started
    return report


async def _watch(setting: Setting, quiet: bool, as_json: bool) -> None:
    """Rounds until somebody stops them."""
    show = _print_line if as_json else _say_trouble if quiet else _say_each
    teller = Teller(show)
    async with open_client(setting.config, setting.home, on_retry=lambda _reason, _wait_s: None) as client:
        if not quiet:
            say(f"delivering to {setting.config.server.base_url} what comes into the outbox; Ctrl-C ends it")
        async with stopped_by_signals(teller):
            await deliver_forever(Rounds(setting, client, teller))
    if not quiet:
        left = OutboxReader(setting.home).counts()
        say(f"ended; {_standing(left) or 'nothing waits'}")


def _silent(entry: Entry, ending: Result, words: str | None) -> None:
    """Nothing."""


def _say_each(entry: Entry, ending: Result, words: str | None) -> None:
    say(f"{WORDS[ending]:14}  {entry.run_path}  {wish(entry.operation)}{f': {words}' if words else ''}")


def _say_trouble(entry: Entry, ending: Result, words: str | None) -> None:
    if ending in ("buried", "held", "put_back"):
        _say_each(entry, ending, words)


def _print_line(entry: Entry, ending: Result, words: str | None) -> None:
    line = {
        "at": time_text(utc_now()),
        **_left_json(entry.id, str(entry.run_path), wish(entry.operation), ending, words),
    }
    write_json_text(json.dumps(line, ensure_ascii=False))
    sys.stdout.flush()


def _left_json(entry_id: str, path: str, wished: str, ending: Result, words: str | None) -> dict[str, Any]:
    return {"id": entry_id, "path": path, "wish": wished, "outcome": ending, "reason": words}


def conclude_replay(report: ReplayReport, *, quiet: bool) -> int:
    """Say what a replay came to, and choose the exit code.

    Raises:
        MirrorError: the server was not there, or refused the key.
    """
    if not quiet:
        _say_summary(report)
    if report.interrupted:
        return INTERRUPTED
    if report.outage is not None:
        raise report.outage
    return EXIT_PARTIAL if any(report.counts.values()) else 0


def _say_summary(report: ReplayReport) -> None:
    done = report.replayed
    counts = counted(
        (getattr(done, name), word)
        for name, word in (
            ("applied", "applied"),
            ("already_so", "already so"),
            ("theirs", "left as theirs"),
            ("buried", "refused"),
            ("held", "in conflict"),
            ("put_back", "put back"),
        )
    )
    if report.spent:
        sent = f"{size(report.spent['bytes_up'])} up, {size(report.spent['bytes_down'])} down"
        cost = f"{plural(report.spent['graphql_requests'], 'request')}, {sent}, {report.seconds:.1f} s"
        say(f"{counts or 'nothing delivered'}; {cost}")
    standing = _standing(report.counts)
    if standing:
        say(f"in the outbox: {standing}")
    else:
        say("the outbox is empty" if report.spent else "nothing waits in the outbox")
    if report.counts["conflict"] or report.counts["dead"]:
        say("hint: `wandb-mirror outbox list` has the reasons; `outbox resolve`, `retry` and `drop` decide")


def _standing(counts: dict[EntryState, int]) -> str:
    return counted(
        (
            (counts["new"] + counts["claimed"], "waiting"),
            (counts["conflict"], "in conflict"),
            (counts["dead"], "refused"),
        )
    )


def replay_json(report: ReplayReport) -> dict[str, Any]:
    """The report as the documented contract."""
    done = report.replayed
    spent = report.spent
    return {
        "applied": done.applied,
        "already_so": done.already_so,
        "theirs": done.theirs,
        "buried": done.buried,
        "held": done.held,
        "put_back": done.put_back,
        "outbox": {state: report.counts[state] for state in ("new", "claimed", "conflict", "dead")},
        "left": [_left_json(one.id, one.path, one.wish, one.ending, one.reason) for one in report.left],
        "requests": spent.get("graphql_requests", 0),
        "retries": spent.get("retries", 0),
        "transfers": spent.get("transfer_requests", 0),
        "bytes_up": spent.get("bytes_up", 0),
        "bytes_down": spent.get("bytes_down", 0),
        "seconds": round(report.seconds, 3),
        "error": _error_json(report.outage),
    }


def _error_json(error: MirrorError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {"kind": type(error).__name__, "message": error.message, "hint": error.hint, "exit_code": error.exit_code}
