"""Entries of the outbox as people and programs see them: a few words, a table row, a JSON object."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from mirror.cli.terminal.output import ago, size
from mirror.cli.terminal.tables import print_table
from mirror.cli.terminal.times import clock_text
from mirror.clock import utc_now
from mirror.outbox import Placed
from mirror.records.operations import (
    Create,
    Delete,
    DeleteFile,
    Edit,
    EditArtifact,
    Entry,
    LogArtifact,
    Operation,
    Stop,
    SyncRun,
    UpdateState,
    UploadFile,
    UseArtifact,
)
from mirror.texts.amounts import plural
from mirror.texts.values import dump_strict

NAMED = 4  # fields and keys that are named one by one
SHORTEST_ID = 8  # characters of an id in a table
REASON_LENGTH = 200  # characters of a reason in a table


def wish(operation: Operation) -> str:
    """What was asked, in a few words."""
    match operation:
        case Edit():
            return _edited(operation)
        case UpdateState(state=state, base=base):
            return f"state {base or 'unknown'} → {state}"
        case UploadFile(name=name, size=count):
            return f"upload {name} ({size(count)})"
        case DeleteFile(name=name):
            return f"delete {name}"
        case Create(state=state):
            return f"create the run ({state})"
        case Stop():
            return "stop the run"
        case Delete(delete_artifacts=artifacts):
            return "delete the run and its artifacts" if artifacts else "delete the run"
        case LogArtifact(name=name):
            return f"log artifact {name}"
        case UseArtifact(name=name):
            return f"use artifact {name}"
        case SyncRun():
            return "bring the run upstream"
        case EditArtifact(name=name):
            return f"artifact {name}: {', '.join(_marks(operation))}"


def _marks(edit: EditArtifact) -> Iterator[str]:
    """What becomes of a version's aliases and tags."""
    for words, names in (
        ("alias +", edit.add_aliases), ("alias -", edit.remove_aliases), ("tag +", edit.add_tags),
        ("tag -", edit.remove_tags),
    ):  # fmt: skip
        yield from (f"{words}{name}" for name in names[:NAMED])
        if len(names) > NAMED:
            yield f"and {len(names) - NAMED:,} more"


def _edited(edit: Edit) -> str:
    names = [*edit.fields, *(f"config.{key}" for key in edit.config), *(f"summary.{key}" for key in edit.summary)]
    if not names:
        return "nothing: later edits took back what earlier ones changed"
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"edit {', '.join(names[:NAMED])}{more}"


def entry_json(placed: Placed) -> dict[str, Any]:
    """An entry as the documented contract has it."""
    entry = placed.entry
    return {
        "id": entry.id,
        "state": placed.state,
        "entity": entry.entity,
        "project": entry.project,
        "run_id": entry.run_id,
        "kind": entry.kind,
        "wish": wish(entry.operation),
        "created_at": time_text(entry.created_at),
        "attempts": entry.attempts,
        "not_before": None if entry.not_before is None else time_text(entry.not_before),
        "reason": entry.reason,
        "resolved": entry.resolved,
        "folded": list(entry.folded),
        "operation": msgspec.to_builtins(entry.operation),
    }


def time_text(moment: dt.datetime) -> str:
    """ISO 8601 in UTC with a `Z`."""
    return f"{moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def since(moment: dt.datetime, now: dt.datetime | None = None) -> str:
    """How long ago, for people."""
    now = now or utc_now()
    return ago(moment.astimezone(dt.UTC).replace(tzinfo=None), now.replace(tzinfo=None))


def print_entries(rows: Sequence[Placed], ids: Iterable[str]) -> None:
    """A table of entries, with as much of each id as tells it from the others.

    Args:
        rows: what is shown.
        ids: all ids that there are, in order.
    """
    length = telling_length(ids)
    now = utc_now()
    heads = ["id", "state", "run", "wish", "queued", "attempts", "reason"]
    print_table(
        heads,
        [
            [
                entry.id[:length],
                state,
                str(entry.run_path),
                wish(entry.operation),
                since(entry.created_at, now),
                entry.attempts,
                reason_text(entry, now),
            ]
            for state, entry in rows
        ],
    )


def reason_text(entry: Entry, now: dt.datetime) -> str:
    """Why an entry is where it is, and when it goes on."""
    parts = [cut(entry.reason, REASON_LENGTH)] if entry.reason else []
    if entry.resolved:
        parts.append(f"resolved: {entry.resolved}")
    if entry.not_before is not None and entry.not_before > now:
        parts.append(f"not before {clock_text(entry.not_before)}")
    return "; ".join(parts)


def telling_length(ids: Iterable[str]) -> int:
    """How many characters of each id tell it from its neighbours."""
    length, before = SHORTEST_ID, ""
    for one in ids:
        common = next((place for place, (a, b) in enumerate(zip(before, one, strict=False)) if a != b), 0)
        length, before = max(length, common + 1), one
    return length


def cut(text: str, most: int) -> str:
    """A text that is not longer than so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def value_text(value: Any, most: int = 80) -> str:
    """A JSON value for people; what is not there is `absent`."""
    return "absent" if value is msgspec.UNSET else cut(dump_strict(value), most)


def counted(counts: Iterable[tuple[int, str]]) -> str:
    """`2 applied, 1 held`, without what there is none of."""
    return ", ".join(f"{count:,} {what}" for count, what in counts if count)


def operations_text(count: int) -> str:
    """`1 operation`, `2 operations`."""
    return plural(count, "operation")
