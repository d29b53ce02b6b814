"""Files of runs on their way: bytes are put where the server says, and seen to be listed."""

from __future__ import annotations

import msgspec

from mirror.errors import UrlExpired
from mirror.records.contents import FileRow
from mirror.records.operations import (
    DeleteFile,
    UploadFile,
)
from mirror.replay.sending import Delivered, Sending, SendRefused, Unconfirmed
from mirror.texts.values import storable

ADDRESSES = 3  # upload addresses that are asked for before the storage's refusal is believed
_MARK_FEATURE = "MARK_RUN_FILES_UPLOADED"


async def upload_file(sending: Sending, upload: UploadFile) -> Delivered:
    """Put a file into a run, and see that the server lists these bytes."""
    context, path = sending.context, sending.path
    source = context.objects.path(upload.object)
    for attempt in range(1, ADDRESSES + 1):
        slot = (await context.client.upload_slots(*path, [upload.name]))[upload.name]
        try:
            await context.client.upload(slot, source, upload.size)
            break
        except UrlExpired as error:
            if attempt == ADDRESSES:
                raise SendRefused(error.message) from error
    if _MARK_FEATURE in context.features:
        await context.client.mark_uploaded(*path, [upload.name])
    after = await context.upstream.file(path, upload.name)
    listed = after is not None and after.md5 in (None, upload.md5) and after.size == upload.size
    if not listed and _MARK_FEATURE in context.features:
        raise Unconfirmed(f"the server took {upload.name} but does not list these bytes")
    return Delivered(
        outcome="applied",
        run=sending.run,
        files=(uploaded_row(after if listed else None, upload),),
        sent={"file": upload.name, "bytes": upload.size},
        answer=None if listed else "the storage took the bytes; this server registers them by itself",
    )


async def delete_file(sending: Sending, operation: DeleteFile) -> Delivered:
    """Remove a file from a run; the mirror keeps its bytes."""
    context, file = sending.context, sending.seen.file
    file_id = (file and file.file_id) or ""
    project = sending.run.project_internal_id or operation.project_internal_id
    await context.client.delete_files([file_id], int(project) if project and project.isdecimal() else None)
    if await context.upstream.file(sending.path, operation.name) is not None:
        raise Unconfirmed(f"the server still lists {operation.name}")
    return Delivered(outcome="applied", run=sending.run, files=(gone_row(operation),), sent={"file": operation.name})


def uploaded_row(file: FileRow | None, upload: UploadFile) -> FileRow:
    """An uploaded file as the lake holds it: its bytes are an object already. None: the server does not list it yet."""
    listed = file or FileRow(
        name=upload.name, file_id=None, size=None, md5=None, mimetype=None, updated_at=None, updated_at_text=None,
        object=None, status="held",
    )  # fmt: skip
    return msgspec.structs.replace(
        listed, name=storable(listed.name), size=upload.size, md5=listed.md5 or upload.md5,
        mimetype=listed.mimetype or upload.mimetype, object=upload.object, status="held",
    )  # fmt: skip


def gone_row(operation: DeleteFile) -> FileRow:
    return FileRow(
        name=storable(operation.name), file_id=operation.file_id, size=None, md5=operation.base_md5, mimetype=None,
        updated_at=None, updated_at_text=None, object=None, status="gone",
    )  # fmt: skip
