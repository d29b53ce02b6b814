"""`wandb-mirror outbox`: what was asked and is not delivered; one file each for what looks, compares and decides."""

from __future__ import annotations

import datetime as dt
import json
from itertools import islice
from typing import Any, get_args

import click
import msgspec

from mirror.cli.delivery.carry import export, import_
from mirror.cli.delivery.decide import drop, resolve, retry
from mirror.cli.delivery.diff import diff
from mirror.cli.delivery.entries import (
    SHORTEST_ID,
    entry_json,
    operations_text,
    print_entries,
    reason_text,
    since,
    time_text,
    wish,
)
from mirror.cli.report.outbox import open_outbox
from mirror.cli.run_paths import find_run
from mirror.cli.setting import Setting, find_setting, setting_options
from mirror.cli.terminal.near import NearNames
from mirror.cli.terminal.output import UTF8, print_json, print_json_rows, say, write
from mirror.cli.terminal.statuses import ASKS_SERVER, exit_statuses
from mirror.cli.terminal.times import reclocked, utc_option
from mirror.clock import utc_now
from mirror.errors import ConfigError, NotFound, NotMirrored
from mirror.outbox import OutboxReader, Placed
from mirror.records.operations import EntryState
from mirror.store.engine.reader import Reader

SHOWN = 50  # rows of a table when nothing else is said
_RECEIPT = (
    "id", "entity", "project", "run_id", "kind", "outcome", "answer", "created_at", "ended_at", "attempts",
    "duration_s", "sent", "folded",
)  # fmt: skip
FEW = 2000  # entries of which all ids are read, to shorten them in a table


@click.group("outbox", cls=NearNames, epilog=exit_statuses(*ASKS_SERVER))
@setting_options
@click.pass_context
def command(ctx: click.Context, home: str | None, config: str | None) -> None:
    """Look at what waits to be delivered, and decide what the server refused or somebody else changed meanwhile.

    An entry is new (it waits), claimed (a replay is at it), conflict (a person must decide) or dead (the server
    refused it). ID is the beginning of an entry's id, as long as it is the only one.
    """
    outer = ctx.obj or {}
    ctx.obj = {"home": home or outer.get("home"), "config": config or outer.get("config")}


@command.command("list", short_help="List entries, the oldest first.", epilog=exit_statuses())
@setting_options
@click.option("--state", "states", multiple=True, type=click.Choice(get_args(EntryState)), help="May be given again.")
@click.option("--run", type=UTF8, metavar="RUN", help="Only of this run.")
@click.option("--limit", type=click.IntRange(min=1), help=f"At most so many (a table: {SHOWN}, JSON: all).")
@click.option("--json", "as_json", is_flag=True, help="A JSON array of objects (docs/json.md).")
@utc_option
def list_(
    home: str | None,
    config: str | None,
    states: tuple[EntryState, ...],
    run: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """List entries, the oldest first. No network."""
    setting = find_setting(home, config)
    outbox = _open(setting)
    found = outbox.entries(*states) if run is None else iter(outbox.of_run(find_run(run, setting), *states))
    if as_json:
        print_json_rows(entry_json(placed) for placed in islice(found, limit))
        return
    rows = list(islice(found, limit or SHOWN))
    if not rows:
        say("nothing waits in the outbox" if run is None and not states else "no such entry in the outbox")
        return
    many = sum(outbox.counts().values()) > FEW
    print_entries(rows, (placed.entry.id for placed in (rows if many else outbox.entries())))
    if next(found, None) is not None:
        say(f"cut after {operations_text(len(rows))}; --limit shows more, --json all")


@command.command("show", short_help="Show one entry whole, also a delivered one.", epilog=exit_statuses(5))
@setting_options
@click.argument("entry_id", type=UTF8, metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")
@utc_option
def show_entry(home: str | None, config: str | None, entry_id: str, as_json: bool) -> None:
    """Show one entry whole, and what its deliveries came to; also one that has left the outbox. No network."""
    setting = find_setting(home, config)
    placed: Placed | None = None
    try:
        placed = _open(setting).get(entry_id)
    except NotFound:
        receipts = _receipts_of_left(setting, entry_id)
        if not receipts:
            raise
    else:
        receipts = _receipts(setting, "id = ?", placed.entry.id)
    if as_json:
        print_json({"entry": None if placed is None else entry_json(placed), "receipts": receipts})
    else:
        _print(placed, receipts)


def _open(setting: Setting) -> OutboxReader:
    return open_outbox(setting.home)


def _receipts_of_left(setting: Setting, beginning: str) -> list[dict[str, Any]]:
    """The receipts of an entry that has left the outbox, or of the one into which an edit was folded.

    Raises:
        ConfigError: several begin like this.
    """
    if len(beginning) < SHORTEST_ID:
        return []
    begins = "starts_with(id, ?) OR list_bool_or([starts_with(one, ?) FOR one IN folded])"
    receipts = _receipts(setting, begins, beginning, beginning)
    if len({receipt["id"] for receipt in receipts}) > 1:
        raise ConfigError(f"several entries begin with {beginning!r}", hint="give more of the id")
    return receipts


def _receipts(setting: Setting, test: str, *parameters: str) -> list[dict[str, Any]]:
    """What deliveries of an entry came to, the first one first."""
    columns = ", ".join(_RECEIPT)
    query = f"SELECT {columns} FROM lake.receipts WHERE {test} ORDER BY ended_at"  # noqa: S608 - both are ours
    try:
        rows = Reader(setting.home).rows(query, parameters)
    except NotMirrored:
        return []
    return [_receipt_json(dict(zip(_RECEIPT, row, strict=True))) for row in rows]


def _receipt_json(row: dict[str, Any]) -> dict[str, Any]:
    times = {name: time_text(row[name].replace(tzinfo=dt.UTC)) for name in ("created_at", "ended_at")}
    return {**row, **times, "sent": None if row["sent"] is None else json.loads(row["sent"])}


def _print(placed: Placed | None, receipts: list[dict[str, Any]]) -> None:
    if placed is not None:
        now = utc_now()
        entry = placed.entry
        write(f"entry     {entry.id}")
        write(f"state     {placed.state}, queued {since(entry.created_at, now)}, attempts {entry.attempts}")
        write(f"run       {entry.run_path}")
        write(f"wish      {wish(entry.operation)}")
        if reason := reason_text(entry, now):
            write(f"reason    {reason}")
        if entry.folded:
            write(f"folded    {', '.join(entry.folded)}")
        print_json(msgspec.to_builtins(entry.operation))
    for receipt in receipts:
        path = f"{receipt['entity']}/{receipt['project']}/{receipt['run_id']}"
        answer = f": {receipt['answer']}" if receipt["answer"] else ""
        write(f"receipt   {reclocked(receipt['ended_at'])}  {receipt['outcome']}  {path}  {receipt['kind']}{answer}")
        if receipt["sent"] is not None:
            write(f"sent      {json.dumps(receipt['sent'], ensure_ascii=False)}")


for subcommand in (diff, retry, resolve, drop, export, import_):
    command.add_command(subcommand)
