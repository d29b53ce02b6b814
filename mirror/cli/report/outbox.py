"""The outbox in numbers, and what in it waits for a person: a part of `wandb-mirror status`."""

from __future__ import annotations

import datetime as dt
from itertools import islice

import msgspec

from mirror.cli.delivery.entries import counted, wish
from mirror.cli.terminal.output import ago, say, write
from mirror.cli.terminal.times import reclocked
from mirror.layout import Home
from mirror.locks import Holder, holder_of
from mirror.outbox import OutboxReader, Placed
from mirror.outbox.group import outbox_of
from mirror.records.operations import EntryState
from mirror.sharing import share_now_and_then

MOST_TROUBLES = 100  # that are listed
SHOWN = 10  # of them, for people
WORDS: dict[EntryState, str] = {"new": "waits", "claimed": "on its way", "conflict": "conflict", "dead": "refused"}


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that a person must decide about."""

    id: str
    state: EntryState  # conflict or dead
    path: str
    wish: str
    reason: str | None  # the server's words, or what both sides changed
    created_at: dt.datetime  # UTC without a zone, as the times of the lake


class OutboxStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What is in the outbox."""

    new: int  # wait to be delivered
    claimed: int  # a replay is at them, or was killed at them
    conflict: int
    dead: int  # the server refused them
    aside: int  # files that are no readable entries
    oldest_at: dt.datetime | None  # of those that wait or are on their way
    replaying: Holder | None  # the process that delivers now
    troubles: list[Trouble]  # the oldest ones

    @property
    def needs_person(self) -> bool:
        """Whether something waits for a decision."""
        return bool(self.conflict or self.dead)


def outbox_status(home: Home) -> OutboxStatus:
    """Look into an outbox; one that is not there yet is empty."""
    outbox = open_outbox(home)
    counts = outbox.counts()
    oldest = outbox.oldest() if counts["new"] or counts["claimed"] else None
    return OutboxStatus(
        new=counts["new"],
        claimed=counts["claimed"],
        conflict=counts["conflict"],
        dead=counts["dead"],
        aside=len(outbox.asides()),
        oldest_at=None if oldest is None else _naive(oldest.entry.created_at),
        replaying=holder_of(home.replay_lock, home.replay_holder),
        troubles=[_trouble(placed) for placed in islice(outbox.entries("conflict", "dead"), MOST_TROUBLES)],
    )


def open_outbox(home: Home) -> OutboxReader:
    """An outbox that tells what is set aside."""
    outbox = outbox_of(home, told=lambda aside: say(f"warning: {aside}"))
    share_now_and_then(outbox)
    return outbox


def outbox_lines(status: OutboxStatus, now: dt.datetime, *, delivered_by_itself: bool = False) -> list[str]:
    """The lines of `status` about the outbox; none when it is empty. With a daemon, nobody need type `replay`."""
    lines = []
    parts = counted(
        (
            (status.new, "waiting"),
            (status.claimed, "on their way"),
            (status.conflict, "in conflict"),
            (status.dead, "refused"),
        )
    )
    if parts:
        oldest = f"; the oldest was asked {ago(status.oldest_at, now)}" if status.oldest_at is not None else ""
        lines.append(f"outbox  {parts}{oldest}")
    if status.replaying is not None:
        who = status.replaying
        lines.append(f"replay  PID {who.pid} ({who.command}) since {reclocked(who.since)}")
    lines += [f"{WORDS[one.state]}: {one.id} {one.path}: {one.wish}: {one.reason}" for one in status.troubles[:SHOWN]]
    left = status.conflict + status.dead - min(SHOWN, len(status.troubles))
    if left > 0:
        lines.append(f"{left:,} more: `wandb-mirror outbox list --state conflict --state dead`")
    if status.new and not status.needs_person and not delivered_by_itself:
        lines.append("`wandb-mirror replay` delivers what waits")
    return lines


def print_pending(pending: list[Placed], now: dt.datetime) -> None:
    """The lines of `status RUN` about the outbox."""
    for state, entry in pending:
        reason = f": {entry.reason}" if entry.reason else ""
        asked = f"asked {ago(_naive(entry.created_at), now)}"
        write(f"pending         {WORDS[state]}: {wish(entry.operation)} ({entry.id}, {asked}){reason}")


def _trouble(placed: Placed) -> Trouble:
    state, entry = placed
    return Trouble(
        id=entry.id,
        state=state,
        path=str(entry.run_path),
        wish=wish(entry.operation),
        reason=entry.reason,
        created_at=_naive(entry.created_at),
    )


def _naive(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC).replace(tzinfo=None)
