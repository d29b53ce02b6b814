"""`wandb-mirror outbox diff`: exactly what would be sent, beside what was seen and what is there now."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import click
import msgspec
from msgspec import UNSET

from mirror.api.client import Client
from mirror.cli.asked_server import refuse_gateway
from mirror.cli.clients import known_key, known_server
from mirror.cli.delivery.entries import entry_json, since, value_text, wish
from mirror.cli.setting import Setting, find_setting, setting_options
from mirror.cli.terminal.output import UTF8, print_json, say, write
from mirror.cli.terminal.statuses import ASKS_SERVER, exit_statuses
from mirror.clock import utc_now
from mirror.cluster.place import has_lake
from mirror.config import conflict_policy
from mirror.errors import MirrorError
from mirror.outbox import OutboxReader, Placed
from mirror.records.operations import EntryState
from mirror.replay.forecast import Action, Forecast, ForecastContext, Step, foresee
from mirror.replay.look import Mirror, Server, Upstream
from mirror.store.engine.meta import lake_deployment, other_deployment
from mirror.store.engine.reader import Reader
from mirror.store.objects.objects import Objects
from mirror.texts.amounts import plural

EXPECTED = {
    "applied": "would be applied",
    "already_so": "is so already: nothing would be sent",
    "theirs": "would be left as it is upstream",
    "buried": "would be refused",
    "held": "would be held as a conflict",
    "waiting": "would wait",
}
_NOTES: dict[Action, str] = {
    "write": "",
    "keep": "  kept as it is upstream",
    "conflict": "  CONFLICT",
    "already_so": "  so already",
}


@click.command("diff", short_help="Show exactly what would be sent.", epilog=exit_statuses(*ASKS_SERVER))
@setting_options
@click.argument("entry_id", type=UTF8, metavar="[ID]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")
def diff(home: str | None, config: str | None, entry_id: str | None, as_json: bool) -> None:
    """Show what would be sent: each value as it is upstream, as it shall be, and as it was seen when it was asked.

    Compares with the server when it can be reached, else with the mirror, and says which. Without ID: every entry but
    those that the server refused. Changes nothing.
    """
    setting = find_setting(home, config)
    outbox = OutboxReader(setting.home, told=lambda aside: say(f"warning: {aside}"))
    chosen = None if entry_id is None else outbox.get(entry_id)
    waiting = outbox.entries("claimed", "new", "conflict") if chosen is None else _up_to(outbox, chosen)
    anyio.run(show_outlook, setting, waiting, lambda one: chosen is None or one.entry.id == chosen.entry.id, as_json)


def _up_to(outbox: OutboxReader, chosen: Placed) -> Iterator[Placed]:
    """An entry, behind those of its run that are delivered before it."""
    states: tuple[EntryState, ...] = ("claimed", "new", "conflict")
    for placed in outbox.of_run(chosen.entry.run_path, *states):
        if placed.entry.id < chosen.entry.id:
            yield placed
    yield chosen


async def show_outlook(
    setting: Setting, waiting: Iterator[Placed], shown_too: Callable[[Placed], bool], as_json: bool
) -> None:
    """Print what would become of entries.

    Args:
        setting: whose.
        waiting: entries in order, those in conflict among them.
        shown_too: whether an entry is shown; the others only bear on those behind them.
        as_json: for programs.
    """
    first = next(waiting, None)
    if first is None and not as_json:
        say("nothing waits in the outbox")
        return
    if as_json:
        print_json(await outlook_json(setting, _again(first, waiting), shown_too))
        return
    counts: dict[str, int] = {}
    async with _open_view(setting) as view:
        try:
            async for forecast in foresee(_context(setting, view), _again(first, waiting)):
                if shown_too(forecast.placed):
                    counts[forecast.outcome] = counts.get(forecast.outcome, 0) + 1
                    _print(forecast)
        except MirrorError:
            if counts:
                say("the server went away meanwhile; what stands above is complete")
            raise
    _conclude(setting, view, counts)


async def outlook_json(
    setting: Setting, waiting: Iterator[Placed], shown_too: Callable[[Placed], bool]
) -> dict[str, Any]:
    """What would become of entries, as docs/json.md has it; arguments as `show_outlook`'s."""
    async with _open_view(setting) as view:
        found = foresee(_context(setting, view), waiting)
        shown = [_json(forecast) async for forecast in found if shown_too(forecast.placed)]
    return {"against": view.against, "why": view.why, "operations": shown}


def entry_outlook(setting: Setting, entry_id: str) -> dict[str, Any]:
    """The same of one entry, by the beginning of its id."""
    outbox = OutboxReader(setting.home)
    chosen = outbox.get(entry_id)
    return anyio.run(outlook_json, setting, _up_to(outbox, chosen), lambda one: one.entry.id == chosen.entry.id)


def _context(setting: Setting, view: _View) -> ForecastContext:
    return ForecastContext(
        upstream=view.upstream,
        objects=Objects(setting.home),
        outbox=OutboxReader(setting.home),
        lake=Reader(setting.home) if has_lake(setting.home) else None,
        source_policy=lambda entry: conflict_policy(setting.config.source, entry.entity, entry.project),
        now=utc_now(),
    )


def _again(first: Placed | None, rest: Iterator[Placed]) -> Iterator[Placed]:
    if first is not None:
        yield first
    yield from rest


class _View(msgspec.Struct, frozen=True, kw_only=True):
    """What entries are compared with."""

    upstream: Upstream
    against: str  # "server" or "mirror"
    why: str | None  # why it is not the server


@contextlib.asynccontextmanager
async def _open_view(setting: Setting) -> AsyncIterator[_View]:
    """The server, if it answers now; else the mirror, which is as old as its last pull.

    Raises:
        ConfigError: the configured server is a gateway.
        OtherDeployment: the home mirrors another server than the one that the entries are compared with.
    """
    refuse_gateway(setting.config, setting.home)
    reader = Reader(setting.home)
    is_mirrored, asked = has_lake(setting.home), setting.deployment
    if is_mirrored:
        held = lake_deployment(reader)
        if held is not None and held not in asked.names | {asked.id}:
            raise other_deployment(setting.home, held=held, asked=asked.id)
    async with contextlib.AsyncExitStack() as opened:
        try:
            key = known_key(setting.config)
            once = msgspec.structs.replace(setting.config.server, retry_attempts=1, rate_limit_patience_minutes=0.0)
            known = known_server(setting.home, asked)
            async with Client(asked, key, once, known=known) as probe:
                await probe.check()
            client = await opened.enter_async_context(Client(asked, key, setting.config.server, known=known))
            server = Server(client, reader if is_mirrored else None)
            view = _View(upstream=server, against="server", why=None)
        except MirrorError as error:
            view = _View(upstream=Mirror(reader), against="mirror", why=error.message)
        yield view


def _conclude(setting: Setting, view: _View, counts: dict[str, int]) -> None:
    if view.against == "server":
        say(f"compared with the server at {setting.config.server.base_url} as it is now; nothing was changed")
    else:
        say(f"compared with the mirror as of its last pull, since the server was not asked: {view.why}")
    total = sum(counts.values())
    if total > 1:
        parts = [f"{count:,} {EXPECTED[outcome].partition(':')[0]}" for outcome, count in counts.items()]
        say(f"{plural(total, 'operation')}: {', '.join(parts)}")


def _print(forecast: Forecast) -> None:
    state, entry = forecast.placed
    write(f"{entry.id}  {entry.run_path}  {wish(entry.operation)}")
    answer = f": {forecast.answer}" if forecast.answer else ""
    write(f"  {state}, queued {since(entry.created_at)}; {EXPECTED[forecast.outcome]}{answer}")
    width = max((len(step.item) for step in forecast.steps), default=0)
    for step in forecast.steps:
        write(f"    {step.item:{width}}  {_step_text(step)}")


def _step_text(step: Step) -> str:
    seen = "" if value_text(step.base) == value_text(step.upstream) else f"  (was {value_text(step.base)} when asked)"
    if step.action == "already_so":
        return f"{value_text(step.upstream)}{_NOTES[step.action]}"
    return f"{value_text(step.upstream)} → {value_text(step.wish)}{seen}{_NOTES[step.action]}"


def _json(forecast: Forecast) -> dict[str, Any]:
    return {
        **entry_json(forecast.placed),
        "outcome": forecast.outcome,
        "answer": forecast.answer,
        "changes": [
            {
                "item": step.item,
                "base": _value(step.base),
                "upstream": _value(step.upstream),
                "wanted": _value(step.wish),
                "action": step.action,
            }
            for step in forecast.steps
        ],
    }


def _value(value: Any) -> dict[str, Any] | None:
    """A value in an envelope, so that null and absent are two things."""
    return None if value is UNSET else {"value": msgspec.to_builtins(value)}
