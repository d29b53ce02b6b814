"""The look that a delivery, or a forecast of one, is decided on: at the server, or at the mirror in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import anyio
import anyio.to_thread
import msgspec

from mirror.api.client import Client
from mirror.api.questions.syncing import RUNS_PER_DOCUMENT
from mirror.api.rows.listed import ListedFile
from mirror.api.rows.pages import BadArtifact, BadRun
from mirror.errors import AuthError, Forbidden, LakeAway, LeaseLost, MirrorError, NotOffered, StoreError
from mirror.records.addresses import ProjectKey, RunPath
from mirror.records.artifacts import COMMITTED, ArtifactRecord
from mirror.records.contents import Direction, FileRow
from mirror.records.operations import (
    Create,
    DeleteFile,
    EditArtifact,
    Entry,
    LogArtifact,
    SyncRun,
    UploadFile,
    UseArtifact,
)
from mirror.records.runs import KnownRun, RunRecord
from mirror.replay.decide import FIELD_OF, WHOLE, Marks, Seen, Source, aliases_of, is_refusal, is_settled, needs_of
from mirror.store.engine.queries import Queryable
from mirror.store.objects.objects import Objects, hash_file
from mirror.store.read.artifacts import read_versions, run_version_ids
from mirror.store.read.files import read_files
from mirror.store.read.held_runs import known_runs, with_held
from mirror.store.read.runs import read_run
from mirror.tasks import Together
from mirror.texts.values import parse_lenient, storable


class Upstream(Protocol):
    """Where runs, files and links are looked at."""

    async def run(self, path: RunPath, needs: Sequence[str], wants: Sequence[str]) -> Seen:
        """A run, as far as it can be read.

        Args:
            path: names it.
            needs: the server's names of fields that are compared or written back whole.
            wants: of fields that count where the server has them.
        """

    async def is_absent(self, path: RunPath) -> bool:
        """Whether a run is plainly not there; asked for many runs, of which most are not."""

    async def has_project(self, path: RunPath) -> bool:
        """Whether the project of a run is shown."""

    async def file(self, path: RunPath, name: str) -> FileRow | None:
        """A file of a run, as it is listed; None when the run has none of this name."""

    async def aliases(
        self, path: RunPath, direction: Direction, artifact_id: str, *, needed: bool
    ) -> frozenset[str] | None:
        """The aliases of a version that a run logged or used; None when it did not."""

    async def version(self, artifact_id: str) -> str | None:
        """The state of a version; None when it is no longer there."""

    async def marks(self, artifact_id: str) -> Marks | None:
        """Aliases and tags of a version; None when it is no longer there."""

    async def outage(self, error: MirrorError) -> MirrorError | None:
        """Whether an error is not this entry's alone: why nothing else could be looked at either."""


async def look(upstream: Upstream, objects: Objects, entry: Entry) -> Seen:
    """Look at what an entry is about.

    Args:
        upstream: where.
        objects: of the mirror, with the bytes of uploads.
        entry: what is asked.

    Raises:
        MirrorError: it cannot be seen just now; StoreError: what is held here cannot be read.
    """
    path, operation = entry.run_path, entry.operation
    if isinstance(operation, SyncRun) and not operation.is_begun and await upstream.is_absent(path):
        return Seen()
    if isinstance(operation, EditArtifact):
        return Seen(marks=await upstream.marks(operation.artifact_id))
    seen = await upstream.run(path, *needs_of(operation))
    if seen.not_offered is not None or isinstance(operation, Create | SyncRun):
        return seen
    if seen.run is None:
        return msgspec.structs.replace(seen, has_project=await upstream.has_project(path))
    if isinstance(seen.run, BadRun):
        return seen
    match operation:
        case UploadFile():
            file = await upstream.file(path, operation.name)
            source = await anyio.to_thread.run_sync(_source, objects, operation)
            return msgspec.structs.replace(seen, file=file, source=source)
        case DeleteFile():
            return msgspec.structs.replace(seen, file=await upstream.file(path, operation.name))
        case LogArtifact() | UseArtifact():
            wanted = aliases_of(operation)
            aliases = await upstream.aliases(path, direction_of(operation), operation.artifact_id, needed=bool(wanted))
            if is_settled(operation, aliases):
                return msgspec.structs.replace(seen, aliases=aliases)
            version = await upstream.version(operation.artifact_id)
            return msgspec.structs.replace(seen, aliases=aliases, version=version)
    return seen


def direction_of(operation: LogArtifact | UseArtifact) -> Direction:
    """How a link ties a version to its run."""
    return "logged" if isinstance(operation, LogArtifact) else "used"


def _source(objects: Objects, upload: UploadFile) -> Source:
    """How the bytes of an upload are in this mirror."""
    try:
        return "whole" if hash_file(objects.path(upload.object)) == upload.object else "damaged"
    except LakeAway:  # nothing is known of them
        raise
    except (StoreError, FileNotFoundError):
        return "missing"
    except OSError as error:
        raise StoreError(f"the bytes of {upload.name} cannot be read: {error.strerror}") from error


class Server:
    """What the server has now.

    Args:
        client: of it.
        lake: what is held here, beside which null upstream is a loss; None: nothing is held.
        reading: turns at the lake.
    """

    def __init__(self, client: Client, lake: Queryable | None, reading: anyio.CapacityLimiter | None = None) -> None:
        self._client = client
        self._lake = lake
        self._reading = reading
        self._absent = Together(self._which_absent, RUNS_PER_DOCUMENT)
        self._known = Together(self._which_known, RUNS_PER_DOCUMENT)

    async def run(self, path: RunPath, needs: Sequence[str], wants: Sequence[str]) -> Seen:
        """A run, as far as the server can tell of it."""
        try:
            found = await self._client.look(*path, needs=needs, wants=wants)
        except NotOffered as error:
            return Seen(not_offered=error.message)
        if found is None or isinstance(found, BadRun):
            return Seen(run=found)
        nulls = [name for name in needs if name in found.nulls and name in WHOLE]
        return Seen(run=found.run, known=await self._known.of(path), lost=await self._lost(found.run, nulls))

    async def is_absent(self, path: RunPath) -> bool:
        """Whether a run is plainly not there; those that are asked about at the same time are asked about together."""
        return await self._absent.of(path)

    def expect(self, paths: Sequence[RunPath]) -> None:
        """These are going to be asked about in this round."""
        self._absent.expect(paths)

    def forget(self) -> None:
        """Another round begins."""
        self._absent.forget()

    async def _which_absent(self, paths: Sequence[RunPath]) -> Mapping[RunPath, bool]:
        by_project: dict[ProjectKey, list[str]] = {}
        for path in paths:
            by_project.setdefault(path.key, []).append(path.run_id)
        absent: set[RunPath] = set()
        for key, run_ids in by_project.items():
            absent |= {RunPath(*key, run_id) for run_id in await self._client.absent_runs(*key, run_ids)}
        return {path: path in absent for path in paths}

    async def _which_known(self, paths: Sequence[RunPath]) -> Mapping[RunPath, KnownRun | None]:
        """Which runs the mirror holds under their ids."""
        if self._lake is None:
            return dict.fromkeys(paths)
        return await anyio.to_thread.run_sync(_known, self._lake, paths, limiter=self._reading)

    async def _lost(self, run: RunRecord, nulls: Sequence[str]) -> tuple[str, ...]:
        """What is null upstream, and of which some is held of the same run."""
        if not nulls or self._lake is None:
            return ()
        fields = {FIELD_OF.get(name, name): name for name in nulls}
        untold = msgspec.structs.replace(run, flaws={}, untold=frozenset(fields))
        key = ProjectKey(run.entity, run.project)
        held = await anyio.to_thread.run_sync(with_held, self._lake, key, [untold], limiter=self._reading)
        kept = held.get(run.run_id)
        return tuple(name for field, name in fields.items() if kept is not None and _holds(getattr(kept, field)))

    async def has_project(self, path: RunPath) -> bool:
        """Whether the server shows the project of a run."""
        return await self._client.project(*path[:2]) is not None

    async def file(self, path: RunPath, name: str) -> FileRow | None:
        """A file of a run, as the server lists it."""
        file = await self._client.listed_file(*path, name)
        return None if file is None or file.is_address else listed_row(file)

    async def aliases(
        self, path: RunPath, direction: Direction, artifact_id: str, *, needed: bool
    ) -> frozenset[str] | None:
        """The aliases of a version that a run logged or used."""
        ref = await self._client.linked_artifact(*path, direction, artifact_id, with_aliases=needed)
        return None if ref is None else frozenset(ref.aliases)

    async def version(self, artifact_id: str) -> str | None:
        """The state of a version; one that cannot be read is there all the same. Servers list no deleted ones."""
        found = (await self._client.artifacts([artifact_id]))[artifact_id]
        return found.state if isinstance(found, ArtifactRecord) else None if found is None else "COMMITTED"

    async def marks(self, artifact_id: str) -> Marks | None:
        """Aliases and tags of a version. Servers list no deleted ones."""
        found = (await self._client.artifacts([artifact_id]))[artifact_id]
        if found is None:
            return None
        if isinstance(found, BadArtifact):
            return Marks(state=COMMITTED, flaw=found.reason)
        untold = found.untold & {"aliases", "tags"}
        flaw = (found.flaw or f"it does not tell {' and '.join(sorted(untold))}") if untold else None
        return Marks(state=found.state, aliases=found.aliases, tags=found.tags, flaw=flaw)

    async def outage(self, error: MirrorError) -> MirrorError | None:
        """Why the server is away, or does not know the key; None when a small question is answered.

        So is a shared lake that is away, or is another process's to write: no entry is to blame for that.
        """
        if isinstance(error, LakeAway | LeaseLost):
            return error
        if isinstance(error, StoreError) or is_refusal(error):
            return None
        if isinstance(error, AuthError) and not isinstance(error, Forbidden):
            return error
        try:
            await self._client.check()
        except MirrorError as also:
            return also
        return None


class Mirror:
    """What the last pull found, in place of a server that is not there."""

    def __init__(self, reader: Queryable) -> None:
        self._reader = reader

    async def run(self, path: RunPath, needs: Sequence[str], wants: Sequence[str]) -> Seen:  # noqa: ARG002
        """A run as it is mirrored."""
        held = read_run(self._reader, path)
        if held is None or held[0].gone:
            return Seen()
        light, documents = held
        names = ("storage_id", "display_name", "state", "group", "job_type", "sweep", "notes", "description")
        known = {name: getattr(light, name) for name in (*names, "project_internal_id")}
        return Seen(
            run=run_of(
                path, **known, tags=tuple(light.tags), config_text=documents.config, summary_text=documents.summary
            ),
            known=_known(self._reader, [path])[path],
        )

    async def is_absent(self, path: RunPath) -> bool:  # noqa: ARG002
        """What is mirrored is looked at one by one."""
        return False

    async def has_project(self, path: RunPath) -> bool:  # noqa: ARG002
        """A run that is not held says nothing against its project."""
        return True

    async def file(self, path: RunPath, name: str) -> FileRow | None:
        """A file of a run, as it is mirrored."""
        file = read_files(self._reader, path, [name]).get(name)
        if file is None or file.status == "gone":
            return None
        return FileRow(
            name=file.name, file_id=file.file_id or "", size=file.size, md5=file.md5, mimetype=file.mimetype,
            updated_at=None, updated_at_text=file.updated_at, object=file.object, status=file.status,
        )  # fmt: skip

    async def aliases(
        self,
        path: RunPath,
        direction: Direction,
        artifact_id: str,
        *,
        needed: bool,  # noqa: ARG002
    ) -> frozenset[str] | None:
        """The aliases of a version that a run logged or used, as they are mirrored."""
        if artifact_id not in run_version_ids(self._reader, path, direction):
            return None
        return frozenset(read_versions(self._reader, [artifact_id])[artifact_id].aliases)

    async def version(self, artifact_id: str) -> str | None:  # noqa: ARG002
        """What is not held may be upstream all the same."""
        return "COMMITTED"

    async def marks(self, artifact_id: str) -> Marks | None:
        """Aliases and tags of a version, as they are mirrored."""
        held = read_versions(self._reader, [artifact_id]).get(artifact_id)
        if held is None:
            return None
        return Marks(state=held.state, aliases=tuple(held.aliases), tags=tuple(held.tags))

    async def outage(self, error: MirrorError) -> MirrorError | None:
        """A mirror that cannot be read at one place is not gone on with."""
        return error


def run_of(path: RunPath, **known: Any) -> RunRecord:
    """A run of which only some is known."""
    entity, project, run_id = path
    unknown: dict[str, Any] = dict.fromkeys(RunRecord.__struct_fields__) | {
        "tags": (),
        "storage_id": "",
        "fingerprint": "",
    }
    unknown |= {"entity": entity, "project": project, "run_id": run_id, "flaws": {}, "untold": frozenset()}
    return RunRecord(**(unknown | known))


def _known(lake: Queryable, paths: Sequence[RunPath]) -> dict[RunPath, KnownRun | None]:
    by_project: dict[ProjectKey, list[str]] = {}
    for path in paths:
        by_project.setdefault(path.key, []).append(path.run_id)
    held = {key: known_runs(lake, key, run_ids) for key, run_ids in by_project.items()}
    return {path: held[path.key].get(storable(path.run_id)) for path in paths}


def listed_row(file: ListedFile) -> FileRow:
    """A file as the server lists it, before anything is said of its bytes here."""
    return FileRow(
        name=file.name, file_id=file.file_id, size=file.size, md5=file.md5, mimetype=file.mimetype,
        updated_at=file.updated_at, updated_at_text=file.updated_at_text, object=None, status="left_out",
    )  # fmt: skip


def _holds(held: object) -> bool:
    """Whether something would be lost of a document or a list that is held."""
    return bool(parse_lenient(held, otherwise=True) if isinstance(held, str) else held)
