"""What a replay would come to, told beforehand: it looks and decides as a replay does, and sends nothing.

Nothing is changed anywhere. Entries of a run are looked at in order, each over what those before it would leave.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import anyio.to_thread
import msgspec
from msgspec import UNSET

from mirror.errors import MirrorError
from mirror.outbox import OutboxReader, Placed
from mirror.records.addresses import RunPath
from mirror.records.contents import Direction, FileRow
from mirror.records.operations import (
    Create,
    Delete,
    DeleteFile,
    Edit,
    EditArtifact,
    Entry,
    LogArtifact,
    Stop,
    SyncRun,
    UpdateState,
    UploadFile,
    UseArtifact,
    items,
    with_names,
)
from mirror.records.receipts import Outcome
from mirror.records.runs import RunRecord
from mirror.replay.decide import Decision, Marks, Seen, Verdict, aliases_of, decide, of_error, remote_of, unmet
from mirror.replay.ledger import ending
from mirror.replay.look import Upstream, direction_of, look, run_of
from mirror.replay.marking import marks_of
from mirror.replay.merge import Merged, Policy, Remote, merge_edit
from mirror.replay.order import EarlierEntries, look_for_creation, needs_creation
from mirror.store.engine.reader import Reader
from mirror.store.objects.objects import Objects
from mirror.store.read.receipts import endings_of, given_up_creations
from mirror.texts.values import dump_strict

MOST_RUNS = 512  # that are remembered while entries are gone through
_IS_SET = "set"  # what an alias or a tag is that a version has
NOT_COMPARED = "the run is upstream; a delivery compares its rows, and holds those that are others"
A_NAME = "(a name that the server makes up)"

Expected = Outcome | Literal["held", "waiting"]
Action = Literal["write", "keep", "conflict", "already_so"]

_ACTIONS: dict[Verdict, Action] = {"already_so": "already_so", "theirs": "keep", "held": "conflict"}


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
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ForecastContext:
    """What a forecast is made of; nothing of it is changed."""

    upstream: Upstream
    objects: Objects
    outbox: OutboxReader
    lake: Reader | None  # None: nothing is mirrored yet
    source_policy: Callable[[Entry], Policy]
    now: dt.datetime  # UTC


async def foresee(context: ForecastContext, waiting: Iterable[Placed]) -> AsyncIterator[Forecast]:
    """Tell what would become of entries.

    Args:
        context: what they are compared with.
        waiting: entries, those of a run in order; those in conflict among them, since others wait behind them.

    Raises:
        MirrorError: nothing more can be looked at.
    """
    given_up = {} if context.lake is None else await anyio.to_thread.run_sync(given_up_creations, context.lake)
    stories: OrderedDict[RunPath, _Story] = OrderedDict()
    for placed in waiting:
        path = placed.entry.run_path
        if path not in stories:
            stories[path] = _Story(context, path, given_up.get(path))
            if len(stories) > MOST_RUNS:
                stories.popitem(last=False)
        yield await stories[path].tell(placed)


class _Story:
    """A run as the entries before would leave it, over what is upstream; it is looked at as if it were upstream."""

    def __init__(self, context: ForecastContext, path: RunPath, given_up: str | None) -> None:
        self._context = context
        self._path = path
        self._before = EarlierEntries()
        self._given_up = given_up
        self._creation_is_known = False  # by what was told of it here
        self._looks: dict[tuple[Sequence[str], Sequence[str]], Seen] = {}  # by what was asked
        self._is_there: bool | None = None  # None: as upstream; else it would be made, or deleted
        self._is_refreshed = False  # the mirror would have the run as it is upstream: nothing of it counts as lost
        self._values: dict[str, Any] = {}  # fields of `RunRecord` that would be written
        self._files: dict[str, FileRow | None] = {}
        self._links: dict[tuple[Direction, str], frozenset[str]] = {}
        self._edits: dict[str, list[EditArtifact]] = {}  # of versions, by id

    async def tell(self, placed: Placed) -> Forecast:
        """What would become of the next entry."""
        state, entry = placed
        if state == "conflict":  # nothing, until a person decides; what about is shown all the same
            seen, decision = await self._decision(entry, "hold")
            self._note(entry, Decision(verdict="held"))
            return _forecast(placed, Decision(verdict="held", words=entry.reason), _steps(entry, seen, decision))
        if (earlier := await self._earlier(placed)) is not None:
            return _forecast(placed, earlier)
        stop = self._before.wait(entry, self._context.now)
        if stop is None and needs_creation(entry):
            await self._look_for_creation(entry)
            stop = self._before.fate(entry)
        if stop is not None:
            self._note(entry, stop)
            return _forecast(placed, stop)
        seen, decision = await self._decision(entry, entry.resolved or self._context.source_policy(entry))
        self._note(entry, decision)
        if isinstance(entry.operation, SyncRun) and decision.verdict == "send" and seen.run is not None:
            decision = msgspec.structs.replace(decision, words=NOT_COMPARED)
        steps = _steps(entry, seen, decision)
        self._is_refreshed |= decision.verdict in ("send", "already_so", "theirs")
        if decision.verdict == "send" and not decision.is_hopeless:
            self._go_on(entry, decision)
        return _forecast(placed, decision, steps)

    async def _decision(self, entry: Entry, policy: Policy) -> tuple[Seen, Decision]:
        """What a delivery would see, and decide."""
        try:
            seen = await look(self, self._context.objects, entry)
        except MirrorError as error:
            if (outage := await self._context.upstream.outage(error)) is not None:
                raise outage from error
            return Seen(), of_error(entry, error)
        return seen, decide(entry, seen, policy)

    async def _earlier(self, placed: Placed) -> Decision | None:
        """How an entry ended whose replay was killed before it left the outbox."""
        state, entry = placed
        if self._context.lake is None or not (entry.attempts or state == "claimed"):
            return None
        known = await anyio.to_thread.run_sync(endings_of, self._context.lake, [entry.id])
        ended = ending(entry, known.get(entry.id, ()))
        return None if ended is None else Decision(verdict=ended.outcome, words="it only has to leave the outbox")

    async def _look_for_creation(self, entry: Entry) -> None:
        if not self._creation_is_known:
            outbox, given_up = self._context.outbox, self._given_up
            await anyio.to_thread.run_sync(look_for_creation, outbox, self._before, entry, given_up)
        self._creation_is_known = True

    def _note(self, entry: Entry, decision: Decision) -> None:
        self._before.note(entry, decision)
        self._creation_is_known |= isinstance(entry.operation, Create)

    def _go_on(self, entry: Entry, decision: Decision) -> None:
        """The run as an operation that is sent would leave it."""
        operation = entry.operation
        match operation:
            case Edit():
                self._values |= _written(decision.merged or Merged())
            case UpdateState():
                self._values["state"] = operation.state
            case Create():
                self._is_there, self._files, self._links = True, {}, {}
                name = operation.display_name or A_NAME
                self._values = {"state": operation.state, "display_name": name, "storage_id": A_NAME}
            case Delete():
                self._is_there = False
            case UploadFile():
                self._files[operation.name] = FileRow(
                    name=operation.name, file_id="", size=operation.size, md5=operation.md5,
                    mimetype=operation.mimetype, updated_at=None, updated_at_text=None, object=None, status="held",
                )  # fmt: skip
            case DeleteFile():
                self._files[operation.name] = None
            case LogArtifact() | UseArtifact():
                link = direction_of(operation), operation.artifact_id
                self._links[link] = self._links.get(link, frozenset()) | aliases_of(operation)
                for edit in marks_of(operation):
                    self._edits.setdefault(edit.artifact_id, []).append(edit)
            case EditArtifact():
                self._edits.setdefault(operation.artifact_id, []).append(operation)

    # ------------------------------------------------------------------ the story as a place to look at

    async def run(self, path: RunPath, needs: Sequence[str], wants: Sequence[str]) -> Seen:
        """The run, over what those before would leave."""
        if self._is_there is False:
            return Seen()
        if self._is_there:
            return Seen(run=run_of(path, **self._values))
        asked = (needs, wants)
        if asked not in self._looks:
            self._looks[asked] = await self._context.upstream.run(path, needs, wants)
        seen = self._looks[asked]
        if not isinstance(seen.run, RunRecord):
            return seen
        run = msgspec.structs.replace(seen.run, **self._values)
        return msgspec.structs.replace(seen, run=run, lost=() if self._is_refreshed else seen.lost)

    async def is_absent(self, path: RunPath) -> bool:  # noqa: ARG002
        """Each run is looked at, with what is foretold of it."""
        return False

    async def has_project(self, path: RunPath) -> bool:
        """Whether the project is shown."""
        return self._is_there is False or await self._context.upstream.has_project(path)

    async def file(self, path: RunPath, name: str) -> FileRow | None:
        """A file, as those before would leave it."""
        if name in self._files or self._is_there:
            return self._files.get(name)
        return await self._context.upstream.file(path, name)

    async def aliases(
        self, path: RunPath, direction: Direction, artifact_id: str, *, needed: bool
    ) -> frozenset[str] | None:
        """The aliases of a link, with those that would be given before."""
        ours = self._links.get((direction, artifact_id))
        theirs = (
            None if self._is_there
            else await self._context.upstream.aliases(path, direction, artifact_id, needed=needed)
        )  # fmt: skip
        return ours if theirs is None else theirs | (ours or frozenset())

    async def version(self, artifact_id: str) -> str | None:
        """The state of a version."""
        return await self._context.upstream.version(artifact_id)

    async def marks(self, artifact_id: str) -> Marks | None:
        """Aliases and tags of a version, as those before would leave them."""
        marks = await self._context.upstream.marks(artifact_id)
        if marks is None:
            return None
        for edit in self._edits.get(artifact_id, ()):
            marks = msgspec.structs.replace(
                marks,
                aliases=tuple(with_names(marks.aliases, edit.add_aliases, edit.remove_aliases)),
                tags=tuple(with_names(marks.tags, edit.add_tags, edit.remove_tags)),
            )
        return marks

    async def outage(self, error: MirrorError) -> MirrorError | None:
        """Why nothing can be looked at."""
        return await self._context.upstream.outage(error)


def _written(merged: Merged) -> dict[str, Any]:
    """Fields of a run's record that an edit writes; what is taken away is empty then."""
    values = {name: "" if value is None or value is UNSET else value for name, value in merged.fields.items()}
    if "tags" in values:
        values["tags"] = tuple(values["tags"] or ())
    if merged.config is not None:
        values["config_text"] = json.dumps(merged.config)
    if merged.summary is not None:
        values["summary_text"] = json.dumps(merged.summary)
    return values


def _forecast(placed: Placed, decision: Decision, steps: tuple[Step, ...] = ()) -> Forecast:
    outcome: Expected
    match decision.verdict:
        case "send":
            outcome = "buried" if decision.is_hopeless else "applied"
        case "put_back":
            outcome = "waiting"
        case _:
            outcome = decision.verdict
    is_shown = outcome in ("held", "theirs") and steps and not isinstance(placed.entry.operation, Create)
    return Forecast(placed=placed, outcome=outcome, answer=None if is_shown else decision.words, steps=steps)


def _steps(entry: Entry, seen: Seen, decision: Decision) -> tuple[Step, ...]:
    """What of an entry is written or left, value by value."""
    operation, run = entry.operation, seen.run
    now: Any
    wish: Any
    action = _ACTIONS.get(decision.verdict, "write")
    if isinstance(operation, Create | Delete):
        now = UNSET if run is None else run.state if isinstance(run, RunRecord) else None
        wish = operation.state if isinstance(operation, Create) else UNSET
        return (Step(item="the run", base=UNSET, upstream=now, wish=wish, action=action),)
    if isinstance(operation, EditArtifact):
        return _mark_steps(operation, seen.marks, decision)
    if not isinstance(run, RunRecord):
        return ()
    match operation:
        case Edit():
            return () if decision.merged is None else _edit_steps(operation, run, decision.merged)
        case UpdateState(state=state):
            return (Step(item="state", base=operation.base, upstream=run.state, wish=state, action=action),)
        case UploadFile(name=name, base_md5=seen_md5) | DeleteFile(name=name, base_md5=seen_md5):
            base = UNSET if seen_md5 is None else seen_md5
            now = UNSET if seen.file is None else seen.file.md5
            wish = operation.md5 if isinstance(operation, UploadFile) else UNSET
            return (Step(item=f"file {name}", base=base, upstream=now, wish=wish, action=action),)
        case LogArtifact(name=name) | UseArtifact(name=name):
            how = direction_of(operation)
            now = UNSET if seen.aliases is None else how
            return (Step(item=f"artifact {name}", base=UNSET, upstream=now, wish=how, action=action),)
        case Stop() | SyncRun():
            return ()


def _mark_steps(edit: EditArtifact, marks: Marks | None, decision: Decision) -> tuple[Step, ...]:
    """Each alias and tag that a version shall have, or no longer have."""
    if marks is None or decision.verdict not in ("send", "already_so"):
        return ()
    rest = unmet(edit, marks)
    changes = (
        ("alias", edit.add_aliases, rest.add_aliases, UNSET, _IS_SET),
        ("alias", edit.remove_aliases, rest.remove_aliases, _IS_SET, UNSET),
        ("tag", edit.add_tags, rest.add_tags, UNSET, _IS_SET),
        ("tag", edit.remove_tags, rest.remove_tags, _IS_SET, UNSET),
    )
    return tuple(
        Step(
            item=f"artifact {edit.name} {what} {name}", base=before, upstream=before if name in missing else wish,
            wish=wish, action="write" if name in missing else "already_so",
        )
        for what, names, missing, before, wish in changes
        for name in names
    )  # fmt: skip


def _edit_steps(edit: Edit, run: RunRecord, merged: Merged) -> tuple[Step, ...]:
    remote = remote_of(run, edit)
    left = {clash.item: "conflict" for clash in merged.clashes} | {clash.item: "keep" for clash in merged.yielded}
    now, then = _values(remote, None), _values(remote, merge_edit(edit, remote, "ours"))
    steps = []
    for item, change in items(edit):
        upstream, wish = now.get(item, UNSET), then.get(item, UNSET)
        action: Any = left.get(item) or ("already_so" if _same(upstream, wish) else "write")
        base = change.base if change.unseen is UNSET else upstream
        steps.append(Step(item=item, base=base, upstream=upstream, wish=wish, action=action))
    return tuple(steps)


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


def _same(one: Any, other: Any) -> bool:
    """Equal JSON: 1, 1.0 and true are three values, and absent is none of them."""
    if one is UNSET or other is UNSET:
        return one is other
    return dump_strict(one) == dump_strict(other)


def _is_pair(item: Any) -> bool:
    return isinstance(item, dict) and "value" in item
