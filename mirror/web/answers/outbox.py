"""What waits to be delivered, what became of what was, and what a person decides or changes."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from mirror.errors import ConfigError
from mirror.gateway.context import RequestContext
from mirror.run.run import Run
from mirror.store.read.receipts import LastReceipt, last_receipts
from mirror.web.answers.times import utc_text
from mirror.web.asked import Asked, body_of, exact, run_path
from mirror.web.tools import Tools

MOST_ENTRIES = 1_000
MOST_RECEIPTS = 200
_FIELDS = {
    "name": "name", "notes": "notes", "description": "description", "group": "group", "job_type": "job_type",
    "tags": "tags",
}  # fmt: skip


class Changed(Exception):
    """A value is no longer the one that its reader saw."""


class Change(msgspec.Struct, frozen=True):
    """What a value was on the page, and what it shall be."""

    is_: Any = msgspec.field(name="is")
    was: Any = None


class Edit(msgspec.Struct, frozen=True):
    """Changes of a run, by field: `name`, `tags`, `state`, `config.lr`, …"""

    run: str
    changes: dict[str, Change]


class Decision(msgspec.Struct, frozen=True):
    """What becomes of an entry."""

    id: str
    what: str  # "retry", "ours", "theirs" or "drop"


def outbox(tools: Tools, ctx: RequestContext) -> dict[str, Any]:
    """Entries, the oldest first, and the last receipts."""
    entries = []
    for placed in ctx.mirror.outbox.entries():
        entries.append(tools.entry(placed))
        if len(entries) == MOST_ENTRIES:
            break
    receipts = ctx.recall("receipts", lambda lake: last_receipts(lake, MOST_RECEIPTS))
    return {"entries": entries, "receipts": [_receipt(one) for one in receipts]}


def edit(ctx: RequestContext, content: bytes) -> dict[str, Any]:
    """Queue changes of a run.

    Raises:
        Changed: somebody changed one of the values since the page showed it; nothing is queued.
        ConfigError: a field is none that can be changed.
    """
    asked = body_of(content, Edit)
    path = run_path(asked.run)
    run = Run(ctx.mirror, path)
    before = {one.id for one in run.pending}
    for name, change in asked.changes.items():
        _check(name, change.is_)
        now = exact(_now(run, name))
        if now != change.was and not (now in (None, "", []) and change.was in (None, "", [])):
            raise Changed(f"{name} is {now!r} by now")
    state: str | None = None
    for name, change in asked.changes.items():
        if name == "state":
            state = str(change.is_)
        elif name.startswith("config."):
            run.config[name.removeprefix("config.")] = change.is_
        elif name == "tags":
            run.tags = [str(tag) for tag in change.is_ or ()]
        else:
            setattr(run, _FIELDS[name], None if change.is_ is None else str(change.is_))
    if set(asked.changes) - {"state"}:
        run.update()
    if state is not None:
        run.update_state(state)
    return {"queued": [one.id for one in run.pending if one.id not in before] or [one.id for one in run.pending][-1:]}


def decide(tools: Tools, ctx: RequestContext, content: bytes) -> dict[str, Any]:
    """Let an entry be tried again, settle its conflict, or give it up.

    Raises:
        ConfigError: there is no such decision, or it does not fit the entry.
        EntryMoved: a replay was faster.
    """
    asked, outbox_ = body_of(content, Decision), ctx.mirror.outbox
    if asked.what == "drop":
        return {"done": tools.drop(asked.id)}
    state, entry = outbox_.get(asked.id)
    if asked.what == "retry":
        if state == "claimed":
            raise ConfigError("a replay is at it", hint="wait until it is done")
        outbox_.retry(entry)
        return {"done": "it will be tried again"}
    if asked.what in ("ours", "theirs"):
        if state != "conflict":
            raise ConfigError(f"it is {state}, not in conflict", hint="retry is for what the server refused")
        outbox_.resolve(entry, "ours" if asked.what == "ours" else "theirs")
        return {"done": f"resolved as {asked.what}"}
    raise ConfigError(f"{asked.what!r} is no decision", hint="retry, ours, theirs or drop")


def diff(tools: Tools, asked: Asked) -> Any:
    """What would be sent, beside what is there now."""
    return tools.diff(asked.text("id"))


def _check(name: str, value: Any) -> None:
    """Refuse a value that its field cannot have; a key of the config takes any.

    Raises:
        ConfigError: it cannot.
    """
    if name.startswith("config.") or (value is None and name != "state"):
        return
    if name == "tags":
        if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
            raise ConfigError("tags are a list of texts")
    elif not isinstance(value, str):
        raise ConfigError(f"{name} is a text")


def _now(run: Run, name: str) -> Any:
    if name == "state":
        return run.state
    if name.startswith("config."):
        return run.config.get(name.removeprefix("config."))
    if name not in _FIELDS:
        raise ConfigError(f"{name!r} cannot be changed here")
    value = getattr(run, _FIELDS[name])
    return list(value) if name == "tags" and value is not None else value


def _receipt(receipt: LastReceipt) -> dict[str, Any]:
    return {
        name: utc_text(value) if isinstance(value, dt.datetime) else value
        for name, value in msgspec.structs.asdict(receipt).items()
    }
