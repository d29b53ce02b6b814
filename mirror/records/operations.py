"""What a user asked to change upstream: operations, and the entries that keep them until the server has them.

An operation carries the **base**, the values its user saw, beside those that are wanted: a replay compares the base
with what the server has now, and so tells "nobody touched it" from "somebody else changed it meanwhile".

Values of config and summary are JSON values as `records.texts` reads them: integers of any size, and non-finite numbers
as W&B's strings `"NaN"`, `"Infinity"`, `"-Infinity"`; where a user gave the number itself, a change notes the place.
"""

from __future__ import annotations

import datetime as dt
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from mirror.records.addresses import RunPath
from mirror.texts.nonfinite import with_numbers
from mirror.texts.values import dump_strict
from mirror.typed import convert

ENTRY_VERSION = 1
_CHECK = b'"check":"'

# The fields of a run that an edit can change as a whole, in W&B's lower-case names.
EditedField = Literal["display_name", "notes", "description", "group", "job_type", "tags"]

# W&B API notes, section 9: what `updateRunState` takes, by the state that is wanted. Runs of a sweep are refused.
TRANSITIONS: dict[str, frozenset[str]] = {
    "pending": frozenset({"running", "failed", "crashed", "preempted"}),
    "failed": frozenset({"pending", "running"}),
}


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One value: as its user saw it, and as it shall be. What is left out stands for a value that is not there."""

    base: Any | UnsetType = UNSET
    value: Any | UnsetType = UNSET
    # JSON pointers into `value`: texts there stand for NaN and infinities, which strict JSON lacks. Left out when none.
    numbers: tuple[str, ...] | UnsetType = UNSET
    # Its author could not look at what is there, and so meant whatever that is. Left out when they could. Versions that
    # do not know this take the value to have been absent, and hold the change where it is not.
    unseen: Literal[True] | UnsetType = UNSET

    @property
    def wish(self) -> Any | UnsetType:
        """`value` as it is to be sent: numbers that are not finite are numbers."""
        return self.value if self.numbers is UNSET else with_numbers(self.value, frozenset(self.numbers))


class UpdateState(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="update_state"):
    """Set the state of a run: `pending` or `failed`."""

    state: str
    base: str | None  # the state that its user saw, the overlay included; None: they saw none


class Edit(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="edit"):
    """Change fields of a run, keys of its config, keys of its summary; nothing else of them is touched."""

    fields: dict[EditedField, Change] = {}  # tags are lists of texts, the others texts or null
    config: dict[str, Change] = {}  # by top-level key; values without W&B's {"value": …} envelope
    summary: dict[str, Change] = {}  # by top-level key

    @property
    def is_empty(self) -> bool:
        """Whether nothing would change."""
        return not (self.fields or self.config or self.summary)


class UploadFile(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="upload_file"):
    """Put a file into a run, replacing one of the same name. Its bytes were copied when the operation was queued."""

    name: str  # slash path inside the run
    object: str  # SHA-256 of the bytes, in the objects
    size: int  # bytes
    md5: str  # base64 of the MD5, as W&B lists it
    mimetype: str | None = None
    base_md5: str | None = None  # of the file that it replaces; None: there was none, or W&B does not say


class DeleteFile(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="delete_file"):
    """Remove a file from a run."""

    name: str
    file_id: str | None  # W&B's opaque id; None for a file that only an earlier entry uploads
    project_internal_id: str | None  # numeric id of the project, as text
    base_md5: str | None = None


class Create(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="create"):
    """Make a run under the id that its entry names."""

    state: Literal["running", "pending"]
    display_name: str | None = None


class Stop(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="stop"):
    """Ask a running run to end; nothing happens to one that has ended."""


class Delete(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="delete"):
    """Delete a run upstream; the mirror keeps what it holds."""

    delete_artifacts: bool


class LogArtifact(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="log_artifact"):
    """Attach a version that exists upstream to a run as its output."""

    artifact_id: str
    name: str  # `entity/project/collection:v3`, for people
    collection: str
    type: str
    digest: str  # of its manifest
    digest_algorithm: str | None = None  # W&B's name; None: MD5
    aliases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class UseArtifact(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="use_artifact"):
    """Declare a version as an input of a run."""

    artifact_id: str
    name: str
    use_as: str | None = None


class SyncRun(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="sync_run"):
    """Bring a run that was trained without a server upstream, as far as one of its logs tells of it."""

    log: str  # digest of the log, whose copy is in the home
    is_begun: bool = False  # an earlier delivery brought upstream all that there was of it then
    alerts: int = 0  # of it, from its beginning, that were sent, or tried


class EditArtifact(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="edit_artifact"):
    """Give a version that exists aliases and tags, or take some away. Both are sets: what others did to them stays.

    Its entry names a run that logged or used the version.
    """

    artifact_id: str
    name: str  # `entity/project/collection:v3`
    type: str
    add_aliases: tuple[str, ...] = ()  # each leaves the version of the collection that had it
    remove_aliases: tuple[str, ...] = ()
    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing would change."""
        return not (self.add_aliases or self.remove_aliases or self.add_tags or self.remove_tags)

    @property
    def collection(self) -> str:
        """The one that the version was made in."""
        return self.name.rpartition(":")[0].rpartition("/")[2]


Operation = (
    UpdateState
    | Edit
    | UploadFile
    | DeleteFile
    | Create
    | Stop
    | Delete
    | LogArtifact
    | UseArtifact
    | EditArtifact
    | SyncRun
)

# Where an entry is in its life; the folder it lies in (see `outbox`).
EntryState = Literal["new", "claimed", "dead", "conflict"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One operation on disk, with what happened to it so far."""

    version: int = ENTRY_VERSION
    id: str  # UUIDv7: ordered in time within a process, unique across all
    entity: str
    project: str
    run_id: str
    storage_id: str | None  # what mutations address; None until the create before it is delivered
    operation: Operation
    created_at: dt.datetime  # UTC
    folded: tuple[str, ...] = ()  # ids of later edits of the run whose changes are in this one
    attempts: int = 0  # deliveries that came to nothing, outages left out; the one under way is not counted yet
    unconfirmed: int = 0  # of them, those after which the server did not show what it had taken
    retried: int = 0  # what `attempts` was when a person asked for another one; 0: nobody did
    sent: bool = False  # a creation that may have reached the server: a run of its id may be its own
    not_before: dt.datetime | None = None  # UTC; a delivery that failed for the moment waits until then
    reason: str | None = None  # why it is dead or in conflict, or why the last attempt failed; the server's own words
    resolved: Literal["ours", "theirs"] | None = None  # how a person settled its conflict
    author: str | None = None  # who queued it, `USER@HOST`, once it was handed over to the outbox of a group

    @property
    def run_path(self) -> RunPath:
        """Entity, project, run id."""
        return RunPath(self.entity, self.project, self.run_id)

    @property
    def kind(self) -> str:
        """`update_state`, `edit`, …."""
        return str(self.operation.__struct_config__.tag)


def encode_entry(entry: Entry) -> bytes:
    """An entry as the bytes of its file: strict JSON, one line, whose last key is a CRC-32 of the line without it."""
    said = msgspec.to_builtins(entry)
    if entry.author is None:  # nor do older versions know it
        del said["author"]
    line = dump_strict(said).encode()
    return b"%s,%s%08x%s" % (line[:-1], _CHECK, zlib.crc32(line), b'"}')


def entry_of_json(content: bytes) -> Entry:
    """An entry from the bytes of its file.

    Raises:
        ValueError: the bytes are torn, foreign, or of a newer version; the message says which.
    """
    try:
        value = json.loads(content)  # takes integers of any size, which msgspec refuses
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not whole JSON: {error}") from error
    version = value.get("version") if isinstance(value, dict) else None
    if isinstance(version, int) and version > ENTRY_VERSION:
        raise ValueError(f"a newer wandb-mirror wrote it (entry version {version})")
    if isinstance(value, dict):
        _check(content, value)
    try:
        return convert(value, Entry)
    except msgspec.ValidationError as error:
        raise ValueError(f"it is no entry of an outbox: {error}") from error


def _check(content: bytes, value: dict[str, Any]) -> None:
    """Take the CRC-32 out of an entry, after a look; entries of older versions have none.

    Raises:
        ValueError: the bytes are not those that were written. What would be delivered is not what was asked.
    """
    said = value.pop("check", None)
    line = content.rpartition(b"," + _CHECK)[0] + b"}"
    if said is not None and said != f"{zlib.crc32(line):08x}":
        raise ValueError("it is damaged: its bytes are not those that were written")
    if unknown := value.keys() - set(Entry.__struct_fields__):
        raise ValueError(f"it is damaged: no entry has {min(unknown)!r}")


def may_become(state: str, wanted: str) -> bool:
    """Whether W&B documents that a run in `state` may be set to `wanted`."""
    return state in TRANSITIONS.get(wanted, frozenset())


def merged_tags(base: Sequence[str], wish: Sequence[str], remote: Sequence[str]) -> list[str]:
    """The remote tags with what the wish added, without what it removed; remote order first."""
    removed, added = set(base) - set(wish), [tag for tag in wish if tag not in base]
    kept = [tag for tag in remote if tag not in removed]
    return kept + [tag for tag in dict.fromkeys(added) if tag not in kept]


def with_names(names: Iterable[str], added: Sequence[str], removed: Sequence[str]) -> list[str]:
    """Aliases or tags with what is added, without what is taken away; those that were there come first."""
    return list(dict.fromkeys([*(name for name in names if name not in removed), *added]))


def touched(operation: Operation) -> frozenset[str]:
    """What an operation is about, by the names that people see: `notes`, `config.lr`, `state`, `file a.txt`, …."""
    if isinstance(operation, Edit):
        return frozenset(name for name, _ in items(operation))
    if isinstance(operation, UpdateState):
        return frozenset({"state"})
    if isinstance(operation, UploadFile | DeleteFile):
        return frozenset({f"file {operation.name}"})
    return frozenset()


def items(edit: Edit) -> Iterator[tuple[str, Change]]:
    """Every value that an edit changes, by the name that people see."""
    for prefix, changes in (("", edit.fields), ("config.", edit.config), ("summary.", edit.summary)):
        for key, change in changes.items():
            yield f"{prefix}{key}", change
