"""What is to be done about an entry, given what the server has now: pure functions of values.

A replay and a forecast of one look with the same questions (`look`) and decide here, so that what is foretold is what
is done.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from mirror.api.rows.pages import BadRun
from mirror.errors import (
    ChangeRefused,
    DocumentRefused,
    Forbidden,
    MirrorError,
    NotFound,
    NotOffered,
    RefusedByServer,
    ServerError,
)
from mirror.records.artifacts import COMMITTED
from mirror.records.contents import FileRow
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
    may_become,
)
from mirror.records.receipts import Outcome
from mirror.records.runs import ENDED_STATES, KnownRun, RunRecord
from mirror.replay.identity import ANOTHER_RUN, is_another_run
from mirror.replay.merge import Merged, Policy, Remote, merge_edit
from mirror.texts.values import finite_float, is_malformed

MOST_UNCONFIRMED = 5  # looks at a server that took a change and does not show it
NO_STORAGE_ID = "the server names no id for the run"
_WHAT_TO_DO = "nothing was sent: `wandb-mirror verify` says how to get them back, then `wandb-mirror outbox retry`"

Verdict = Outcome | Literal["send", "held", "put_back", "waiting"]
Source = Literal["whole", "missing", "damaged"]

# The server's names of fields of a run, and those of `RunRecord`, where they differ.
FIELD_OF = {
    "id": "storage_id",
    "displayName": "display_name",
    "jobType": "job_type",
    "config": "config_text",
    "summaryMetrics": "summary_text",
}
_NAME_OF = {field: name for name, field in FIELD_OF.items()}
WHOLE = frozenset({"config", "summaryMetrics", "tags"})  # written as a whole, with what others put there


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """What a version is called upstream."""

    state: str
    aliases: tuple[str, ...] = ()  # in the collection that it was made in
    tags: tuple[str, ...] = ()
    flaw: str | None = None  # why not all of it is told


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What one operation is decided on, as it is now. Only what its kind needs is looked at."""

    run: RunRecord | BadRun | None = None  # None: the server shows none
    has_project: bool = True  # asked where there is no run: W&B shows neither to a key that may not read them
    not_offered: str | None = None  # why this server cannot tell what is needed of the run
    known: KnownRun | None = None  # which run the mirror holds under its id
    lost: tuple[str, ...] = ()  # the server's names of what is null upstream, while the mirror holds some of it
    file: FileRow | None = None  # of the operation's name, as listed; None: the run has none
    source: Source = "whole"  # the bytes of an upload, in this mirror
    aliases: frozenset[str] | None = None  # of the version, where it is linked already
    version: str | None = COMMITTED  # state of a version that is not; None: it is no longer there
    marks: Marks | None = None  # of a version whose aliases and tags change; None: it is no longer there


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done about an entry."""

    verdict: Verdict
    words: str | None = None  # why, where that needs words
    merged: Merged | None = None  # of an edit: what is written, or what clashes
    is_hopeless: bool = False  # "send": W&B documents that it refuses this; its refusal is what the user gets
    gone: bool = False  # the run is not upstream any more, and that is certain
    unconfirmed: bool = False  # "put_back": counts among the looks that showed nothing
    blocks: bool = False  # "waiting": the whole run waits with it, so that its order holds


def needs_of(operation: Operation) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The server's names of what an operation has to see of its run.

    Returns:
        What nothing can be decided without, and what counts where the server has it.
    """
    match operation:
        case Edit():
            fields = [_NAME_OF.get(name, name) for name in operation.fields]
            documents = [*(["config"] if operation.config else []), *(["summaryMetrics"] if operation.summary else [])]
            return (*fields, *documents), ()
        case UpdateState():
            return ("state",), ("id",)
        case Stop():
            return (), ("state", "id")
        case Delete():
            return (), ("id",)
    return (), ()


def decide(entry: Entry, seen: Seen, policy: Policy) -> Decision:
    """Decide about an entry.

    Args:
        entry: what is asked.
        seen: what the server has now.
        policy: for what both sides changed.
    """
    if isinstance(entry.operation, EditArtifact):  # the run that its entry names has no part in it
        return _marks(entry.operation, seen.marks)
    if is_another_run(entry, seen.run, seen.known):
        return _clash(ANOTHER_RUN, "hold" if policy == "ours" else policy)  # no policy is about another run
    return _of_the_run(entry, seen, policy)


def _of_the_run(entry: Entry, seen: Seen, policy: Policy) -> Decision:
    operation, run = entry.operation, seen.run
    if isinstance(operation, Create | Delete) and seen.not_offered is None:
        return _creation(entry, seen, policy) if isinstance(operation, Create) else _deletion(entry, seen)
    if isinstance(operation, SyncRun) and run is None and seen.not_offered is None:
        return Decision(verdict="send")
    undecided = undecidable(entry, seen)
    if undecided is not None or not isinstance(run, RunRecord):
        return undecided or _buried(f"the server has no run {entry.run_path}")
    match operation:
        case Edit():
            return _edit(operation, run, policy)
        case UpdateState():
            return _state(entry, operation, run, policy)
        case UploadFile():
            return _upload(operation, seen, policy)
        case DeleteFile():
            return _file_deletion(operation, seen, policy)
        case LogArtifact() | UseArtifact():
            return _link(operation, seen)
        case SyncRun():
            return Decision(verdict="send")
    if run.state in ENDED_STATES:
        return Decision(verdict="already_so", words=f"the run is {run.state}")
    return Decision(verdict="send") if run.storage_id else _buried(NO_STORAGE_ID)


def undecidable(entry: Entry, seen: Seen) -> Decision | None:
    """What becomes of an entry whose run is not shown, or not as far as is needed; None where it is."""
    run, (needs, _) = seen.run, needs_of(entry.operation)
    if seen.not_offered is not None:
        fields = f" without {', '.join(needs)} of the run" if needs else ""
        return _buried(f"nothing was sent, since it cannot be decided{fields}: {seen.not_offered}")
    if run is None:
        return Decision(verdict="buried", words=f"the server has no run {entry.run_path}", gone=seen.has_project)
    if isinstance(run, BadRun):
        return _buried(f"the server cannot show the run: {run.reason}")
    if flaws := flaws_in(run, needs):  # what cannot be read cannot be compared, nor written back whole
        told = "; ".join(f"{name}: {reason}" for name, reason in flaws.items())
        return _buried(f"the server cannot show the run whole: {told}")
    if seen.lost:  # whole documents are built from what is read: these were lost on their way
        return unconfirmed(
            entry,
            f"the server shows no {seen.lost[0]} of the run, of which this mirror holds some:"
            " nothing was sent, since it could be lost upstream",
        )
    return None


def _creation(entry: Entry, seen: Seen, policy: Policy) -> Decision:
    if seen.run is None:
        return Decision(verdict="send")
    if not entry.sent or entry.resolved is not None:  # else it may be our own, its answer lost
        others = "the server has a run of this id already, which somebody else made"
        return _clash(others, policy, ours="already_so")
    return Decision(verdict="already_so")


def _deletion(entry: Entry, seen: Seen) -> Decision:
    if seen.run is None:  # where the project is not shown either, that is no sign of a deletion
        if not seen.has_project:
            return _buried(f"the server has no project {entry.entity}/{entry.project}, or hides it from this key")
        return Decision(verdict="already_so", gone=True)
    return Decision(verdict="send") if seen.run.storage_id or entry.storage_id else _buried(NO_STORAGE_ID)


def _edit(edit: Edit, run: RunRecord, policy: Policy) -> Decision:
    try:
        merged = merge_edit(edit, remote_of(run, edit), policy)
    except ValueError as unreadable:
        return _buried(str(unreadable))
    if merged.clashes:
        return Decision(verdict="held", words="; ".join(map(str, merged.clashes)), merged=merged)
    yielded = "; ".join(map(str, merged.yielded)) or None
    if merged.is_empty:
        return Decision(verdict="theirs" if yielded else "already_so", words=yielded, merged=merged)
    return Decision(verdict="send", words=yielded, merged=merged)


def _state(entry: Entry, operation: UpdateState, run: RunRecord, policy: Policy) -> Decision:
    if run.state is None:
        return unconfirmed(entry, "the server shows no state of the run: nothing was sent")
    if run.state == operation.state:
        return Decision(verdict="already_so")
    is_allowed = may_become(run.state, operation.state)
    if operation.base not in (None, run.state) and is_allowed and policy != "ours":
        moved = f"the state was {operation.base}, is {run.state} upstream, should become {operation.state}"
        return _clash(moved, policy)
    if not run.storage_id:
        return _buried(NO_STORAGE_ID)
    if run.sweep or not is_allowed:
        why = "belongs to a sweep" if run.sweep else f"is {run.state}"
        return Decision(verdict="send", words=f"it {why}: W&B refuses that", is_hopeless=True)
    return Decision(verdict="send")


def _upload(upload: UploadFile, seen: Seen, policy: Policy) -> Decision:
    there = seen.file
    if there is not None and there.md5 == upload.md5:
        return Decision(verdict="already_so")
    if there is not None and there.md5 not in (None, upload.base_md5) and policy != "ours":
        return _clash(f"{upload.name} has other bytes upstream than when the upload was queued", policy)
    if seen.source != "whole":  # what rotted here must not replace what is good upstream
        how = "no longer" if seen.source == "missing" else "damaged"
        return _buried(f"the bytes of {upload.name} are {how} in this mirror; {_WHAT_TO_DO}")
    return Decision(verdict="send")


def _file_deletion(operation: DeleteFile, seen: Seen, policy: Policy) -> Decision:
    there = seen.file
    if there is None:
        return Decision(verdict="already_so")
    if operation.base_md5 is not None and there.md5 not in (None, operation.base_md5) and policy != "ours":
        return _clash(f"{operation.name} has other bytes upstream than when its deletion was queued", policy)
    if there.file_id is None:
        return _buried(f"the server names no id for {operation.name}")
    return Decision(verdict="send")


def _link(operation: LogArtifact | UseArtifact, seen: Seen) -> Decision:
    if is_settled(operation, seen.aliases):
        return Decision(verdict="already_so")
    if seen.version != COMMITTED:  # else the server would begin a new version, whose bytes never come
        state = seen.version or "no longer there"
        return _buried(f"the version {operation.name} is not to be had upstream: it is {state}")
    return Decision(verdict="send")


def _marks(operation: EditArtifact, marks: Marks | None) -> Decision:
    if marks is None or marks.state != COMMITTED:
        state = "no longer there" if marks is None else marks.state
        return _buried(f"the version {operation.name} is not to be had upstream: it is {state}")
    if marks.flaw is not None:
        return _buried(f"the server cannot show aliases and tags of {operation.name}: {marks.flaw}")
    return Decision(verdict="already_so" if unmet(operation, marks).is_empty else "send")


def unmet(operation: EditArtifact, marks: Marks) -> EditArtifact:
    """What of a change of aliases and tags is not so yet; what is both added and taken away is added."""
    return msgspec.structs.replace(
        operation,
        add_aliases=tuple(name for name in operation.add_aliases if name not in marks.aliases),
        remove_aliases=_left(operation.remove_aliases, operation.add_aliases, marks.aliases),
        add_tags=tuple(name for name in operation.add_tags if name not in marks.tags),
        remove_tags=_left(operation.remove_tags, operation.add_tags, marks.tags),
    )


def _left(removed: Sequence[str], added: Sequence[str], there: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in removed if name in there and name not in added)


def is_linked(operation: LogArtifact | UseArtifact, aliases: frozenset[str] | None) -> bool:
    """Whether a version is tied to a run as was asked; `aliases` is None where it is not at all."""
    return aliases is not None and aliases_of(operation) <= aliases


def is_settled(operation: LogArtifact | UseArtifact, aliases: frozenset[str] | None) -> bool:
    """Whether nothing is left to be sent. Tags are not looked at: to give them once more changes nothing."""
    return is_linked(operation, aliases) and not (isinstance(operation, LogArtifact) and operation.tags)


def aliases_of(operation: LogArtifact | UseArtifact) -> frozenset[str]:
    """Aliases that a link shall have."""
    return frozenset(operation.aliases if isinstance(operation, LogArtifact) else ())


def _clash(words: str, policy: Policy, *, ours: Verdict = "send") -> Decision:
    """Both sides changed the same."""
    verdicts: dict[Policy, Verdict] = {"hold": "held", "theirs": "theirs", "ours": ours}
    return Decision(verdict=verdicts[policy], words=None if policy == "ours" else words)


def _buried(words: str) -> Decision:
    return Decision(verdict="buried", words=words)


def unconfirmed(entry: Entry, words: str) -> Decision:
    """The server does not show what it took, or what a change is decided on: it is looked at again, so many times."""
    if entry.unconfirmed + 1 >= MOST_UNCONFIRMED:
        return _buried(f"{words}; given up after {entry.unconfirmed + 1} looks")
    return Decision(verdict="put_back", words=words, unconfirmed=True)


def of_error(entry: Entry, error: MirrorError) -> Decision:
    """What an error of the server's, or of the way to it, means for an entry."""
    # To write while somebody else does is answered 409, for this mutation alone (W&B API notes, section 2).
    if isinstance(error, ServerError) and error.status == HTTPStatus.CONFLICT:
        return unconfirmed(entry, words_of(error))
    if is_refusal(error):
        return _buried(words_of(error))
    return Decision(verdict="put_back", words=error.message)


def is_refusal(error: MirrorError) -> bool:
    """Whether the server said no to this very operation, so that asking again cannot help.

    An error from reading is none: nothing was asked for yet that it could say no to.
    """
    return isinstance(error, Forbidden | NotFound | NotOffered | RefusedByServer | ChangeRefused | DocumentRefused)


def words_of(error: MirrorError) -> str:
    """The server's own words, where it said any."""
    messages = getattr(error, "messages", ())
    return "; ".join(messages) if messages else error.message


def flaws_in(run: RunRecord, needs: Iterable[str]) -> dict[str, str]:
    """What is needed of a run and could not be read, by the server's names, with the reasons."""
    fields = {name: FIELD_OF.get(name, name) for name in needs}
    return {name: run.flaws[field] for name, field in fields.items() if field in run.flaws}


def is_done(edit: Edit, run: RunRecord, policy: Policy) -> bool:
    """Whether a run shows what an edit asked for."""
    try:
        rest = merge_edit(edit, remote_of(run, edit), policy, loosely=True)
    except ValueError:
        return False
    return rest.is_empty and not rest.clashes


def remote_of(run: RunRecord, edit: Edit) -> Remote:
    """A run's values as a merge compares them; a document that the edit does not touch stays unread.

    Raises:
        ValueError: a document that would be written back whole cannot be read whole.
    """
    return Remote(
        fields={
            "display_name": run.display_name,
            "notes": run.notes,
            "description": run.description,
            "group": run.group,
            "job_type": run.job_type,
            "tags": list(run.tags),
        },
        config=_object(run.config_text, "config") if edit.config else {},
        summary=_object(run.summary_text, "summary") if edit.summary else {},
    )


def _object(text: str | None, what: str) -> dict[str, Any]:
    """A document that will be written back whole: only what can be read whole, and written as it was."""
    if text is None:
        return {}
    value: Any = UNSET
    if not is_malformed(text):
        with contextlib.suppress(ValueError, RecursionError):  # integers beyond what Python converts
            value = json.loads(text, strict=False, parse_float=finite_float)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"the {what} upstream is no JSON object, or not whole; writing a key would lose of it")  # noqa: TRY004 - a value from the server
    return value
