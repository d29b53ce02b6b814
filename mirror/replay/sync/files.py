"""Files of a run on their way: those go up that the server does not list with these bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio
import msgspec

from mirror.api.rows.listed import FilesPage
from mirror.errors import NotFound, RefusedByServer, UrlExpired
from mirror.records.addresses import RunPath
from mirror.records.contents import FileRow
from mirror.replay.context import DeliveryContext
from mirror.replay.look import listed_row
from mirror.tasks import side_by_side

NAMES_AT_ONCE = 50  # files that are asked about, and get addresses, together
UPLOADS_AT_ONCE = 4  # of a run
ADDRESSES = 3  # that are asked for before the storage's refusal is believed
MARK_FEATURE = "MARK_RUN_FILES_UPLOADED"


class Uploads(msgspec.Struct, frozen=True, kw_only=True):
    """Files that are upstream, as far as putting them there goes."""

    listed: Mapping[str, FileRow]  # by name: what the server listed before, with these bytes
    put: tuple[str, ...]  # names of those that went up


async def put_files(context: DeliveryContext, path: RunPath, files: Sequence[FileRow], *, is_new: bool) -> Uploads:
    """Put the files up that the server does not list with these bytes; it lists them once it is told.

    Args:
        context: of the replay.
        path: of the run.
        files: whose bytes are here.
        is_new: the run was made just now, and has none.

    Raises:
        MirrorError: of the network or the server; RefusedByServer: the storage says no.
    """
    there: dict[str, FileRow] = {}
    put: list[str] = []
    for start in range(0, len(files), NAMES_AT_ONCE):
        some = {file.name: file for file in files[start : start + NAMES_AT_ONCE]}
        listed = {} if is_new else await listed_files(context, path, list(some))
        there |= {name: row for name, row in listed.items() if _has(row, some[name])}
        missing = [name for name in some if name not in there]
        for attempt in range(1, ADDRESSES + 1):
            try:
                await _put(context, path, missing, some)
                break
            except UrlExpired as error:
                if attempt == ADDRESSES:
                    raise RefusedByServer(error.message) from error
        put += missing
    return Uploads(listed=there, put=tuple(put))


async def mark_put(context: DeliveryContext, path: RunPath, names: Sequence[str]) -> None:
    """Tell the server of files that went up, where nothing else is sent that tells it."""
    if MARK_FEATURE in context.features:
        for start in range(0, len(names), NAMES_AT_ONCE):
            await context.client.mark_uploaded(*path, names[start : start + NAMES_AT_ONCE])


def as_listed(files: Sequence[FileRow], listed: Mapping[str, FileRow]) -> list[FileRow]:
    """Files as the server lists them now, with the bytes that are here."""
    return [_listed_now(listed.get(file.name), file) for file in files]


async def _put(context: DeliveryContext, path: RunPath, names: Sequence[str], files: Mapping[str, FileRow]) -> None:
    if not names:
        return
    slots = await context.many.slots(path, names)
    turns = anyio.Semaphore(UPLOADS_AT_ONCE)

    async def upload(name: str) -> None:
        async with turns:
            source = context.objects.path(files[name].object or "")
            await context.client.upload(slots[name], source, files[name].size or 0)

    async with side_by_side() as uploads:
        for name in names:
            uploads.start_soon(upload, name)


async def listed_files(context: DeliveryContext, path: RunPath, names: Sequence[str]) -> dict[str, FileRow]:
    """The files of these names that the server lists."""
    try:
        page = await context.client.file_urls(*path, names)
    except NotFound:
        return {}
    return rows_of(page)


def rows_of(page: FilesPage) -> dict[str, FileRow]:
    """What a page lists, by name."""
    return {file.name: listed_row(file) for file in page.files if not file.is_address}


def _has(listed: FileRow | None, file: FileRow) -> bool:
    """Whether the server lists these bytes."""
    return listed is not None and listed.md5 == file.md5 and listed.size == file.size


def _listed_now(listed: FileRow | None, file: FileRow) -> FileRow:
    """A file that went up as the server lists it, with the bytes that are here; as it was where it lists others."""
    if listed is None or listed.size != file.size or listed.md5 not in (None, file.md5):
        return file
    return msgspec.structs.replace(listed, object=file.object, status="held", md5=listed.md5 or file.md5)
