"""The files of one run: list them all, fetch what is new, note what is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio
import msgspec

from mirror.api.questions.path import Path
from mirror.api.rows.listed import ListedContents, ListedFile
from mirror.api.transport.signed_url import SignedUrl
from mirror.errors import MirrorError, NotFound, ServerError
from mirror.pull.contents.fetch_job import FetchJob, stops_everything
from mirror.pull.contents.plan import MB, plan_files, shortage
from mirror.records.contents import FileRow, FileStatus, HeldFile
from mirror.store.objects.partials import PartialKey
from mirror.tasks import side_by_side
from mirror.texts.values import storable

_PREFIX = "file "  # of the name of an item that may fail
FILES_AT_ONCE = 64  # tasks of one run; the client's own limit decides how many are on the wire


class TakenFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What the files of a run came to."""

    rows: tuple[FileRow, ...]  # to write: fetched, left out, failed, gone
    flaw: str | None  # what the server could not tell of single files, in its words


async def take_files(
    job: FetchJob, listed: ListedContents, held: Mapping[str, HeldFile], *, active: bool
) -> TakenFiles:
    """Fetch a run's new and changed files.

    Args:
        job: the batch.
        listed: the first page of the run's files.
        held: by name.
        active: the run goes on.

    Raises:
        MirrorError: the list of files could not be read to its end, or nothing of it can be read.
    """
    files, whole, flaw = await _all_files(job, listed, active=active)
    plan = plan_files(files, held, job.policy, whole=whole)
    rows = [_left_out(left.file, held.get(left.file.name), left.reason) for left in plan.left_out]
    rows += [_gone(name, held[name]) for name in plan.gone]
    if whole:
        asked = {_item(file) for file in plan.fetch}
        for item in job.failing(listed.run_id):
            if item.startswith(_PREFIX) and item not in asked:  # gone, left out by now, or held
                job.settle(listed.run_id, item)
    wanted = [file for file in plan.fetch if job.is_due(listed.run_id, _item(file))]
    turns = anyio.Semaphore(FILES_AT_ONCE, fast_acquire=True)

    async def one(file: ListedFile) -> None:
        async with turns:
            rows.append(await _take_file(job, listed.run_id, file, held.get(file.name)))

    async with side_by_side() as group:
        for file in wanted:
            group.start_soon(one, file)
    return TakenFiles(rows=tuple(rows), flaw=flaw)


async def _all_files(
    job: FetchJob, listed: ListedContents, *, active: bool
) -> tuple[Sequence[ListedFile], bool, str | None]:
    """The whole list, whether it is whole by the server's own count, and what it could not tell of single files."""
    files, after, more = list(listed.files), listed.files_after, listed.has_more_files
    unreadable, flaw, told = listed.unreadable_files, listed.flawed.get("files"), listed.files_told
    path = Path(f"files of run {listed.run_id}")
    path.step(after if more else None, [file.name for file in files])
    while more:
        try:
            page = await job.client.files_page(job.key.entity, job.key.project, listed.run_id, after)
        except MirrorError as error:  # what came before is kept
            if not files or stops_everything(error):
                raise
            flaw, told = flaw or error.message, False
            break
        files += page.files
        unreadable += page.unreadable
        flaw = flaw or page.flaw or (None if page.told else "a page of the list is missing")
        told = told and page.told and not page.is_cut
        after, more = page.after, page.has_more
        path.step(after if more else None, [file.name for file in page.files])
    files = [msgspec.structs.replace(file, name=storable(file.name)) for file in files]  # as the lake holds them
    job.report.skipped += unreadable
    counted = listed.file_count is None or len({file.name for file in files}) >= listed.file_count
    if listed.files_told:  # else they were not asked for, and the count speaks against nothing
        flaw = flaw or shortage(len(files) + unreadable, listed.file_count, "files", active=active)
    if not files and flaw is not None:
        raise ServerError(flaw)
    return files, told and counted and not unreadable, flaw


async def _take_file(job: FetchJob, run_id: str, file: ListedFile, held: HeldFile | None) -> FileRow:
    generation = job.signed_urls.generation

    async def address() -> SignedUrl:
        """The one that was listed, else one that is asked for: no address at all would be the server's own."""
        url = file.url if file.url.reveal() else await resign()
        if url is None or not url.reveal():
            raise NotFound(f"the server gives no address of {file.name!r}")
        return url

    async def resign() -> SignedUrl | None:
        renewed = await job.signed_urls.renew(run_id, generation)
        found = renewed.files if renewed is not None else ()
        if not any(again.name == file.name and again.url.reveal() for again in found):
            page = await job.client.file_urls(job.key.entity, job.key.project, run_id, [file.name])
            found = page.files
        return next((again.url for again in found if again.name == file.name), None)

    async def action() -> FileRow:
        key = PartialKey(
            entity=job.key.entity, project=job.key.project, run_id=run_id, kind="file", name=file.name,
            size=file.size, md5=file.md5, updated_at=file.updated_at_text,
        )  # fmt: skip
        adopted = await job.fetch(key, await address(), most=job.policy.file_size_max_mb * MB, resign=resign)
        job.report.files += 1
        return _row(file, "held", digest=adopted.digest)

    row = await job.tried(run_id, _item(file), action)
    return row if isinstance(row, FileRow) else _failed(file, held, row.reason)


def _item(file: ListedFile) -> str:
    return f"{_PREFIX}{file.name}"


def _row(file: ListedFile, status: FileStatus, *, digest: str | None = None, reason: str | None = None) -> FileRow:
    return FileRow(
        name=file.name, file_id=file.file_id, size=file.size, md5=file.md5, mimetype=file.mimetype,
        updated_at=file.updated_at, updated_at_text=file.updated_at_text, object=digest, status=status, reason=reason,
    )  # fmt: skip


def _failed(file: ListedFile, held: HeldFile | None, reason: str) -> FileRow:
    """A file that could not be had. An older version that is held stays, with its own size and digest."""
    row = _row(file, "failed", reason=reason)
    if held is None or held.object is None:
        return row
    return msgspec.structs.replace(
        row, object=held.object, size=held.size, md5=held.md5, updated_at=None, updated_at_text=held.updated_at_text
    )


def _left_out(file: ListedFile, held: HeldFile | None, reason: str) -> FileRow:
    """A file that is not wanted; bytes that are held all the same stay."""
    return _row(file, "left_out", digest=held.object if held is not None else None, reason=reason)


def _gone(name: str, held: HeldFile) -> FileRow:
    """A file that the server no longer lists; its bytes stay."""
    return FileRow(
        name=name, file_id=None, size=held.size, md5=held.md5, mimetype=None, updated_at=None,
        updated_at_text=held.updated_at_text, object=held.object, status="gone", reason="no longer listed upstream",
    )  # fmt: skip
