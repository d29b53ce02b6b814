"""The artifact versions of one run: which it logged and used, their manifests, and the bytes where they are wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
import xxhash

from mirror.api.questions.path import Path as ListingPath
from mirror.api.rows.listed import ArtifactsPage, ListedContents
from mirror.api.rows.pages import BadArtifact
from mirror.errors import MirrorError, NotFound, NotOffered, ServerError, WrongContent
from mirror.pull.contents.fetch_job import FetchJob, stops_everything
from mirror.pull.contents.plan import MB, shortage
from mirror.records.artifacts import (
    COMMITTED,
    DELETED,
    LOCAL,
    ArtifactRecord,
    ArtifactRef,
    ManifestEntry,
    deleted_version,
    manifest_digest,
    parse_manifest,
    record_of,
)
from mirror.records.contents import ArtifactChange, ArtifactFileRow, Direction, HeldArtifact
from mirror.records.passes import Failure
from mirror.store.objects.partials import PartialKey
from mirror.tasks import side_by_side

ARTIFACTS = "artifacts"  # the name of the item that may fail
MANIFESTS = ("Query.artifact", "Artifact.currentManifest", "ArtifactManifest.file")  # what tells a version's files
FILES = ("Artifact.files", "FileConnection.edges", "FileEdge.node", "File.name")  # what tells where the bytes lie
NO_FILES = "this server does not tell where the files of artifacts lie"
_PREFIX = "artifact "  # of the names of items that may fail
FILES_AT_ONCE = 64
_HASHED_AT_ONCE = 1 << 20  # bytes
MANIFEST_MAX_BYTES = 1 << 30  # it is read whole; one of a million files has some 200 MB
OPT_IN = "artifact bytes are mirrored where artifacts_include says so"


def concerns(listed: ListedContents, held: Sequence[tuple[str, Direction]]) -> bool:
    """Whether a run's artifacts need a look: there are some, or there were."""
    return bool(
        ARTIFACTS in listed.failed
        or listed.logged.places
        or listed.used.places
        or listed.logged.has_more
        or listed.used.has_more
        or held
    )


class TakenArtifacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the artifacts of a run came to."""

    links: tuple[tuple[str, Direction], ...]  # all of them; those held, too, of a list that cannot be read whole
    flaw: str | None  # what the server could not tell of single versions, in its words


class _Refs(msgspec.Struct, frozen=True, kw_only=True):
    """All versions that a run logged or used."""

    refs: Sequence[ArtifactRef]
    unreadable: int
    whole: bool  # what is not among them is not a version of the run any more
    flaw: str | None


async def take_artifacts(
    job: FetchJob,
    listed: ListedContents,
    held: Mapping[str, HeldArtifact],
    links: Sequence[tuple[str, Direction]],
    *,
    active: bool,
) -> TakenArtifacts:
    """Take every version that the run logged or used and that is not held as it is now.

    Args:
        job: the batch; versions go into its outcome, each once.
        listed: the first pages of the run's versions.
        held: versions that the lake holds, by id.
        links: ids and directions that the lake holds of the run.
        active: the run goes on.

    Raises:
        MirrorError: a list could not be read to its end, or a version is bad.
    """
    logged = await _all(job, listed.run_id, "logged", listed.logged, active=active)
    used = await _all(job, listed.run_id, "used", listed.used, active=active)
    job.report.skipped += logged.unreadable + used.unreadable
    failing = job.failing(listed.run_id)
    new = {
        ref.artifact_id: ref for ref in [*logged.refs, *used.refs] if _is_new(listed.run_id, ref, held, job, failing)
    }
    job.outcome.claimed.update(new)
    if new:
        records = await _records(job, new)
        for artifact_id, record in records.items():
            if isinstance(record, BadArtifact):
                job.fail(listed.run_id, f"artifact {new[artifact_id].name}", record.reason)
            elif record is not None and record.state == COMMITTED:
                await _take(job, listed.run_id, record)
    await _look_at_missing(job, logged, used, held, links)
    for item in failing:
        wanted = any(item == f"{_PREFIX}{ref.name}" or item.startswith(f"{_PREFIX}{ref.name} ") for ref in new.values())
        if item.startswith(_PREFIX) and not wanted and job.is_due(listed.run_id, item):
            job.settle(listed.run_id, item)  # held by now, or no longer an artifact of this run
    pairs: list[tuple[str, Direction]] = [(ref.artifact_id, "logged") for ref in logged.refs]
    pairs += [(ref.artifact_id, "used") for ref in used.refs]
    unsure = {"logged": not logged.whole, "used": not used.whole}
    pairs += [(artifact_id, direction) for artifact_id, direction in links if unsure[direction]]
    return TakenArtifacts(links=tuple(dict.fromkeys(pairs)), flaw=logged.flaw or used.flaw)


async def _look_at_missing(
    job: FetchJob,
    logged: _Refs,
    used: _Refs,
    held: Mapping[str, HeldArtifact],
    links: Sequence[tuple[str, Direction]],
) -> None:
    """See what became of versions that are no longer listed; what is not upstream any more stays, without aliases."""
    listed = {"logged": logged, "used": used}
    there = {ref.artifact_id for refs in listed.values() for ref in refs.refs} | job.outcome.claimed
    missing = {artifact_id for artifact_id, direction in links if listed[direction].whole} - there
    missing = {
        name for name in missing if name in held and held[name].state == COMMITTED and not name.startswith(LOCAL)
    }
    if not missing:
        return
    try:
        records = await job.client.artifacts(sorted(missing))
    except MirrorError as error:  # what is held of them stays as it is
        if stops_everything(error):
            raise
        return
    for artifact_id, record in records.items():
        if record is None or (isinstance(record, ArtifactRecord) and record.state == DELETED):
            job.outcome.artifacts[artifact_id] = ArtifactChange(record=deleted_version(artifact_id))


async def _records(job: FetchJob, refs: Mapping[str, ArtifactRef]) -> Mapping[str, ArtifactRecord | BadArtifact | None]:
    """Versions by id; of a server that shows none by its id, as much as the lists of runs tell."""
    try:
        return await job.client.artifacts(list(refs))
    except NotOffered:
        return {artifact_id: record_of(ref) for artifact_id, ref in refs.items()}


def _is_new(
    run_id: str, ref: ArtifactRef, held: Mapping[str, HeldArtifact], job: FetchJob, failing: Sequence[str]
) -> bool:
    if ref.artifact_id in job.outcome.claimed:  # another run of the batch takes it
        return False
    if not job.is_due(run_id, f"{_PREFIX}{ref.name}"):
        return False
    before = held.get(ref.artifact_id)
    if before is None or before.state != COMMITTED:
        return True
    if job.lacks_part(run_id, f"{_PREFIX}{ref.name}"):
        return True
    marks = {"digest", "updated_at_text", "aliases"} - ref.untold
    moved = {mark for mark in marks if getattr(ref, mark) != getattr(before, mark)}
    if before.manifest is None:
        return all(map(job.client.knows, MANIFESTS)) or "aliases" in moved
    if moved:
        return True
    if before.left_out == NO_FILES:
        return all(map(job.client.knows, FILES))
    if before.left_out is not None:  # the policy may want it by now
        return _is_wanted(job, ref.sequence, ref.name) and before.left_out != _too_large(job)
    # Bytes that failed are tried again by the run that the failures are noted for.
    mine = [item for item in failing if item.startswith(f"{_PREFIX}{ref.name} ")]
    return before.failed_files > 0 and any(job.is_due(run_id, item) for item in mine)


async def _all(job: FetchJob, run_id: str, direction: Direction, first: ArtifactsPage, *, active: bool) -> _Refs:
    refs, page, unreadable, flaw = list(first.artifacts), first, first.unreadable, first.flaw
    places, total = first.places, first.total
    path = ListingPath(f"artifacts of run {run_id}")
    while page.has_more:
        path.step(page.after, [ref.artifact_id for ref in page.artifacts])
        try:
            page = await job.client.artifacts_page(job.key.entity, job.key.project, run_id, direction, page.after)
        except MirrorError as error:  # what came before is kept
            if not refs or stops_everything(error):
                raise
            flaw, unreadable = flaw or error.message, unreadable + 1
            break
        refs += page.artifacts
        places, total = places + page.places, total if page.total is None else page.total
        unreadable += page.unreadable
        flaw = flaw or page.flaw or (None if page.told else "a page of the list is missing")
    flaw = flaw or shortage(places, total, "versions", active=active)
    if places == unreadable and flaw is not None:  # nothing came, which the first page named if it was the only one
        if page is not first:
            raise ServerError(flaw)
        flaw = None if places or total else flaw
    is_short = total is not None and places < total
    return _Refs(
        refs=refs,
        unreadable=unreadable,
        whole=first.told and page.told and not page.is_cut and not unreadable and not is_short,
        flaw=flaw,
    )


def count_artifacts(job: FetchJob, listed: ListedContents, held: Mapping[str, HeldArtifact]) -> int:
    """How many versions of a run's first pages `take_artifacts` would take; each is counted once in a batch."""
    failing = job.failing(listed.run_id)
    refs = [*listed.logged.artifacts, *listed.used.artifacts]
    new = {ref.artifact_id for ref in refs if _is_new(listed.run_id, ref, held, job, failing)}
    job.outcome.claimed.update(new)
    return len(new)


async def _take(job: FetchJob, run_id: str, record: ArtifactRecord) -> None:
    """One version with its manifest; its bytes where the policy wants them."""

    async def action() -> ArtifactChange:
        if not all(map(job.client.knows, MANIFESTS)):
            job.report.artifacts += 1
            return ArtifactChange(record=record)
        manifest, entries = await _manifest(job, record)
        files = await _files(job, run_id, record, entries)
        job.report.artifacts += 1
        return ArtifactChange(record=record, manifest=manifest, files=files)

    change = await job.guarded(run_id, f"{_PREFIX}{record.name}", action)
    job.note_part(run_id, f"{_PREFIX}{record.name}", record.flaw)
    job.outcome.artifacts[record.artifact_id] = change or ArtifactChange(record=record)


async def _manifest(job: FetchJob, record: ArtifactRecord) -> tuple[str, Sequence[ManifestEntry]]:
    """The manifest as an object, and its entries, checked against the version's own digest.

    Raises:
        WrongContent: it is no manifest, or not the one of this version.
    """
    found = await job.client.artifact_manifest(record.artifact_id)

    async def resign() -> str:
        return (await job.client.artifact_manifest(record.artifact_id)).url.reveal()

    key = PartialKey(
        entity=job.key.entity, project=job.key.project, run_id="", kind="manifest", name=record.artifact_id,
        updated_at=record.digest,
    )  # fmt: skip
    adopted = await job.fetch(key, found.url, most=MANIFEST_MAX_BYTES, resign=resign)
    body = await anyio.to_thread.run_sync(job.objects.read_with, adopted.digest, Path.read_bytes)
    try:
        entries = parse_manifest(body).entries
    except ValueError as error:
        raise WrongContent(f"the manifest of {record.name} cannot be read: {error}") from error
    computed = manifest_digest(entries, record.digest_algorithm)
    if computed is not None and record.digest and computed != record.digest:
        raise WrongContent(f"the manifest of {record.name} has digest {computed}, the server said {record.digest}")
    return adopted.digest, entries


async def _files(
    job: FetchJob, run_id: str, record: ArtifactRecord, entries: Sequence[ManifestEntry]
) -> tuple[ArtifactFileRow, ...]:
    reason = _why_left_out(job, record)
    if reason is not None:
        return tuple(ArtifactFileRow(entry=entry, object=None, status="left_out", reason=reason) for entry in entries)
    urls: dict[str, str] = {}
    known = await job.held_bytes([entry.digest for entry in entries if entry.md5_hex is not None])
    lacking = [entry for entry in entries if entry.ref is None and not _has(job, known.get(entry.digest))]

    async def list_urls() -> None:
        after, more, path = None, True, ListingPath(f"files of {record.name}")
        while more:
            page = await job.client.artifact_files(record.artifact_id, after)
            urls.update({file.name: file.url.reveal() for file in page.files})
            after, more = page.after, page.has_more
            path.step(after if more else None, [file.name for file in page.files])

    if lacking:  # versions share most of their files: what is held is not fetched again
        await list_urls()
    turns = anyio.Semaphore(FILES_AT_ONCE, fast_acquire=True)
    rows: list[ArtifactFileRow] = []

    async def one(entry: ManifestEntry) -> None:
        async with turns:
            digest = known.get(entry.digest) if entry.md5_hex is not None else None
            if digest is not None and _has(job, digest):
                rows.append(ArtifactFileRow(entry=entry, object=digest, status="held"))
            else:
                rows.append(await _take_entry(job, run_id, record, entry, urls, list_urls))

    async with side_by_side() as group:
        for entry in entries:
            group.start_soon(one, entry)
    return tuple(sorted(rows, key=lambda row: row.entry.path))


def _has(job: FetchJob, digest: str | None) -> bool:
    return digest is not None and job.objects.has(digest)


def _why_left_out(job: FetchJob, record: ArtifactRecord) -> str | None:
    if not all(map(job.client.knows, FILES)):
        return NO_FILES
    if not _is_wanted(job, record.sequence, record.name):
        return OPT_IN
    if record.size is not None and record.size > job.policy.artifact_size_max_mb * MB:
        return _too_large(job)
    return None


def _is_wanted(job: FetchJob, sequence: str, name: str) -> bool:
    return any(fnmatchcase(sequence, glob) or fnmatchcase(name, glob) for glob in job.policy.artifacts_include)


def _too_large(job: FetchJob) -> str:
    return f"larger than artifact_size_max_mb = {job.policy.artifact_size_max_mb:g}"


async def _take_entry(
    job: FetchJob,
    run_id: str,
    record: ArtifactRecord,
    entry: ManifestEntry,
    urls: dict[str, str],
    list_urls: object,
) -> ArtifactFileRow:
    if entry.ref is not None:
        return ArtifactFileRow(entry=entry, object=None, status="left_out", reason="a reference to another store")

    async def resign() -> str | None:
        assert callable(list_urls)
        await list_urls()
        return urls.get(entry.path)

    async def action() -> str:
        if entry.path not in urls:
            raise NotFound(f"the server lists no file {entry.path!r} in {record.name}")
        md5 = entry.digest if entry.md5_hex is not None else None
        key = PartialKey(
            entity=job.key.entity, project=job.key.project, run_id="", kind="artifact", name=entry.digest,
            size=entry.size, md5=md5,
        )  # fmt: skip
        adopted = await job.fetch(key, urls[entry.path], most=job.policy.artifact_size_max_mb * MB, resign=resign)
        return await _with_xxh128(job, entry, adopted.digest)

    item = f"{_PREFIX}{record.name} {entry.path}"
    if not job.is_due(run_id, item):
        return ArtifactFileRow(entry=entry, object=None, status="failed", reason="see `failures`")
    found = await job.tried(run_id, item, action)
    if isinstance(found, Failure):
        return ArtifactFileRow(entry=entry, object=None, status="failed", reason=found.reason)
    return ArtifactFileRow(entry=entry, object=found, status="held")


async def _with_xxh128(job: FetchJob, entry: ManifestEntry, digest: str) -> str:
    """The object, if it has the XXH128 of the entry: a download checks MD5 alone.

    Raises:
        WrongContent: it has another one. The object stays: no row names it.
    """
    if entry.xxh128_hex is None:
        return digest
    found = await anyio.to_thread.run_sync(job.objects.read_with, digest, _xxh128_hex)
    if found != entry.xxh128_hex:
        raise WrongContent(f"{entry.path}: xxh128 is {found}, the manifest says {entry.xxh128_hex}")
    return digest


def _xxh128_hex(path: Path) -> str:
    hasher = xxhash.xxh128()
    with path.open("rb") as file:
        while chunk := file.read(_HASHED_AT_ONCE):
            hasher.update(chunk)
    return hasher.hexdigest()
