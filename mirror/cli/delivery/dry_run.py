"""What a delivery would come to, told beforehand: the merge of a replay over what the server or the mirror shows.

Nothing is changed anywhere. Entries of a run are looked at in order, each over what those before it would leave.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Literal, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from mirror.cli.delivery.entries import path_of
from mirror.outbox import Placed
from mirror.records.operations import (
    Create,
    Delete,
    DeleteFile,
    Edit,
    Entry,
    LogArtifact,
    RunPath,
    Stop,
    UpdateState,
    UploadFile,
    UseArtifact,
    items,
    may_become,
    touched,
)
from mirror.records.receipts import Outcome
from mirror.records.runs import ACTIVE_STATES
from mirror.records.texts import dump_strict
from mirror.replay.merge import Merged, Policy, Remote, merge_edit

MOST_RUNS = 512  # that are remembered while entries are gone through

Expected = Outcome | Literal["held", "waiting"]
Action = Literal["write", "keep", "conflict", "already_so"]


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the server or the mirror has it."""

    state: str | None
    sweep: str | None
    fields: dict[str, Any]  # by `EditedField`
    config: dict[str, Any] | None  # the wire object; None: it is no JSON object
    summary: dict[str, Any] | None


class Upstream(Protocol):
    """Where runs and files are looked at."""

    async def run(self, path: RunPath) -> Side | None:
        """A run; None when there is none."""

    async def md5(self, path: RunPath, name: str) -> str | UnsetType | None:
        """The digest of a file, None where it has none; UNSET when there is no such file."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One value that an operation is about. UNSET: it is not there."""

    item: str  # "notes", "config.lr", "state", "file model.pt"
    base: Any  # as its user saw it
    upstream: Any  # now
    wish: Any  # as it shall be; of tags: merged with those upstream
    action: Action


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What the delivery of an entry would come to."""

    placed: Placed
    outcome: Expected
    answer: str | None  # why, where that needs words
    steps: tuple[Step, ...]


class _Story:
    """What is known of a run on the way through its entries."""

    def __init__(self, side: Side | None) -> None:
        self.side = side  # as those before would leave it
        self.held: list[frozenset[str]] = []  # what entries are about that a person has to settle
        self.creation: Forecast | None = None  # of its creation, where that would not make it

    def verdict(self, entry: Entry) -> tuple[Expected, str] | None:
        """What those before it make of an entry, whatever it asks."""
        if self.creation is not None and entry.storage_id is None and not isinstance(entry.operation, Create):
            before = self.creation.placed.entry.id
            if self.creation.outcome == "held":
                return "waiting", f"behind the creation of its run, {before}"
            return "buried", f"its run was never made: entry {before} was given up"
        if any(touched(entry.operation) & about for about in self.held):
            return "waiting", "behind an entry about the same, which is in conflict"
        return None

    def went_on(self, forecast: Forecast) -> None:
        """An entry was told."""
        if isinstance(forecast.placed.entry.operation, Create):
            self.creation = forecast if forecast.outcome in ("held", "theirs") else None
        elif forecast.outcome in ("held", "waiting"):
            self.held.append(touched(forecast.placed.entry.operation))


async def foresee(
    waiting: Iterable[Placed], upstream: Upstream, policy: Callable[[Entry], Policy]
) -> AsyncIterator[Forecast]:
    """Tell what would become of entries.

    Args:
        waiting: entries, those of a run in order; those in conflict among them, since others wait behind them.
        upstream: what they are compared with.
        policy: for values that both sides changed.
    """
    known: OrderedDict[RunPath, _Story] = OrderedDict()
    for placed in waiting:
        entry = placed.entry
        if entry.run_path not in known:
            known[entry.run_path] = _Story(await upstream.run(entry.run_path))
            if len(known) > MOST_RUNS:
                known.popitem(last=False)
        story = known[entry.run_path]
        if (verdict := story.verdict(entry)) is not None:
            forecast = _told(placed, *verdict)
        else:
            decided = entry.resolved or policy(entry)
            forecast, story.side = await _step(placed, story.side, upstream, decided)
        story.went_on(forecast)
        yield forecast


async def _step(placed: Placed, side: Side | None, upstream: Upstream, policy: Policy) -> tuple[Forecast, Side | None]:
    """What one entry would come to, and what it would leave."""
    entry, operation = placed.entry, placed.entry.operation
    if isinstance(operation, Create | Delete):
        return _existence(placed, operation, side, policy)
    if side is None:
        return _told(placed, "buried", f"there is no run {path_of(entry)}"), None
    if isinstance(operation, Edit):
        return _edit(placed, operation, side, policy)
    if isinstance(operation, UpdateState):
        return _state(placed, operation, side, policy)
    if isinstance(operation, UploadFile | DeleteFile):
        there = await upstream.md5(entry.run_path, operation.name)
        return _file(placed, operation, there, policy), side
    if isinstance(operation, Stop):
        active = side.state in ACTIVE_STATES
        return _told(placed, "applied" if active else "already_so", None if active else f"it is {side.state}"), side
    unknown = "whether it is linked already is looked at when it is delivered"
    return _told(placed, "applied", unknown, _link(operation)), side


def _existence(
    placed: Placed, operation: Create | Delete, side: Side | None, policy: Policy
) -> tuple[Forecast, Side | None]:
    step = Step(
        item="the run",
        base=UNSET,
        upstream=UNSET if side is None else side.state,
        wish=operation.state if isinstance(operation, Create) else UNSET,
        action="write" if isinstance(operation, Create) == (side is None) else "already_so",
    )
    if step.action == "write":
        made = Side(state=step.wish, sweep=None, fields={}, config={}, summary={})
        return _told(placed, "applied", None, step), made if isinstance(operation, Create) else None
    others = isinstance(operation, Create) and (not placed.entry.sent or placed.entry.resolved is not None)
    if others and policy != "ours":
        return _told(
            placed, "held" if policy == "hold" else "theirs", "somebody else made a run of this id", step
        ), side
    return _told(placed, "already_so", None, step), side


def _edit(placed: Placed, edit: Edit, side: Side, policy: Policy) -> tuple[Forecast, Side | None]:
    for name, document, changes in (("config", side.config, edit.config), ("summary", side.summary, edit.summary)):
        if changes and document is None:
            return _told(placed, "buried", f"its {name} is no JSON object; a written key would lose all of it"), side
    remote = Remote(fields=side.fields, config=side.config or {}, summary=side.summary or {})
    clashes = {clash.item: clash for clash in merge_edit(edit, remote, "hold").clashes}
    ours, merged = merge_edit(edit, remote, "ours"), merge_edit(edit, remote, policy)
    before, after = _values(remote, None), _values(remote, ours)
    steps = []
    for item, change in items(edit):
        now, then = before.get(item, UNSET), after.get(item, UNSET)
        action: Action = "write" if item in clashes or not _same(then, now) else "already_so"
        if item in clashes and policy != "ours":
            action = "conflict" if policy == "hold" else "keep"
        steps.append(Step(item=item, base=change.base, upstream=now, wish=then, action=action))
    outcome: Expected = "applied"
    if merged.clashes:
        outcome = "held"
    elif merged.is_empty:
        outcome = "theirs" if merged.yielded else "already_so"
    left = msgspec.structs.replace(
        side,
        fields={**side.fields, **merged.fields},
        config=side.config if merged.config is None else dict(merged.config),
        summary=side.summary if merged.summary is None else dict(merged.summary),
    )
    return _told(placed, outcome, None, *steps), left


def _values(remote: Remote, merged: Merged | None) -> dict[str, Any]:
    """Every value by its item, as it is or as a merge would leave it."""
    config = remote.config if merged is None or merged.config is None else merged.config
    summary = remote.summary if merged is None or merged.summary is None else merged.summary
    return {
        **remote.fields,
        **(merged.fields if merged is not None else {}),
        **{f"config.{key}": item["value"] if _is_pair(item) else item for key, item in config.items()},
        **{f"summary.{key}": item for key, item in summary.items()},
    }


def _state(placed: Placed, operation: UpdateState, side: Side, policy: Policy) -> tuple[Forecast, Side | None]:
    def told(outcome: Expected, answer: str | None, action: Action) -> Forecast:
        step = Step(item="state", base=operation.base, upstream=side.state, wish=operation.state, action=action)
        return _told(placed, outcome, answer, step)

    if side.state == operation.state:
        return told("already_so", None, "already_so"), side
    if side.sweep or not may_become(side.state or "", operation.state):
        why = "belongs to a sweep" if side.sweep else f"is {side.state}"
        return told("buried", f"it {why}: W&B refuses that", "write"), side
    if side.state != operation.base and policy != "ours":
        held = policy == "hold"
        return told("held" if held else "theirs", None, "conflict" if held else "keep"), side
    return told("applied", None, "write"), msgspec.structs.replace(side, state=operation.state)


def _file(
    placed: Placed, operation: UploadFile | DeleteFile, there: str | UnsetType | None, policy: Policy
) -> Forecast:
    wanted: Any = operation.md5 if isinstance(operation, UploadFile) else UNSET
    action: Action = "write"
    outcome: Expected = "applied"
    if there == wanted:
        action, outcome = "already_so", "already_so"
    elif isinstance(there, str) and _moved(operation, there) and policy != "ours":
        action, outcome = ("conflict", "held") if policy == "hold" else ("keep", "theirs")
    base = UNSET if operation.base_md5 is None else operation.base_md5
    step = Step(item=f"file {operation.name}", base=base, upstream=there, wish=wanted, action=action)
    return _told(placed, outcome, None, step)


def _moved(operation: UploadFile | DeleteFile, there: str) -> bool:
    """Whether a file has other bytes than its user saw, as far as that is known."""
    if isinstance(operation, DeleteFile) and operation.base_md5 is None:
        return False
    return there != operation.base_md5


def _link(operation: LogArtifact | UseArtifact) -> Step:
    how = "logged" if isinstance(operation, LogArtifact) else "used"
    return Step(item=f"artifact {operation.name}", base=UNSET, upstream=UNSET, wish=how, action="write")


def _told(placed: Placed, outcome: Expected, answer: str | None = None, *steps: Step) -> Forecast:
    return Forecast(placed=placed, outcome=outcome, answer=answer, steps=steps)


def _same(one: Any, other: Any) -> bool:
    """Equal JSON: 1, 1.0 and true are three values, and absent is none of them."""
    if one is UNSET or other is UNSET:
        return one is other
    return dump_strict(one) == dump_strict(other)


def _is_pair(item: Any) -> bool:
    return isinstance(item, dict) and "value" in item
