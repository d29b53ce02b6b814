"""Deliveries of a run's files: up, and away."""

from __future__ import annotations

from pathlib import Path

import anyio.to_thread

from mirror.api.rows.listed import ListedFile
from mirror.errors import StoreError, UrlExpired
from mirror.records.contents import FileRow
from mirror.records.operations import DeleteFile, Entry, UploadFile
from mirror.records.texts import storable
from mirror.replay.context import DeliveryContext
from mirror.replay.outcomes import Delivered, HeldDelivery, RefusedDelivery, UnconfirmedDelivery
from mirror.store.objects.objects import hash_file

ADDRESSES = 3  # upload addresses that are asked for before the storage's refusal is believed
_WHAT_TO_DO = "nothing was sent: `wandb-mirror verify` says how to get them back, then `wandb-mirror outbox retry`"
_MARK_FEATURE = "MARK_RUN_FILES_UPLOADED"


async def upload_file(context: DeliveryContext, entry: Entry, upload: UploadFile) -> Delivered:
    """Put a file into a run, and see that the server lists these bytes."""
    path = entry.run_path
    run = await context.run(entry)
    there = await _file(context, entry, upload.name)
    if there is not None and there.md5 == upload.md5:
        return Delivered(outcome="already_so", run=run, files=(_row(there, upload),))
    if there is not None and there.md5 is not None and there.md5 != upload.base_md5:
        clash = f"{upload.name} has other bytes upstream than when the upload was queued"
        match context.policy(entry):
            case "hold":
                raise HeldDelivery(clash)
            case "theirs":
                return Delivered(outcome="theirs", run=run, answer=clash)
    source = await anyio.to_thread.run_sync(_source, context, upload)
    for attempt in range(1, ADDRESSES + 1):
        slot = (await context.client.upload_slots(*path, [upload.name]))[upload.name]
        try:
            await context.client.upload(slot, source, upload.size)
            break
        except UrlExpired as error:
            if attempt == ADDRESSES:
                raise RefusedDelivery(error.message) from error
    if _MARK_FEATURE in context.features:
        await context.client.mark_uploaded(*path, [upload.name])
    after = await _file(context, entry, upload.name)
    listed = after is not None and after.md5 in (None, upload.md5) and after.size == upload.size
    if not listed and _MARK_FEATURE in context.features:
        raise UnconfirmedDelivery(f"the server took {upload.name} but does not list these bytes")
    return Delivered(
        outcome="applied",
        run=run,
        files=(_row(after if listed else None, upload),),
        sent={"file": upload.name, "bytes": upload.size},
        answer=None if listed else "the storage took the bytes; this server registers them by itself",
    )


async def delete_file(context: DeliveryContext, entry: Entry, operation: DeleteFile) -> Delivered:
    """Remove a file from a run; the mirror keeps its bytes."""
    run = await context.run(entry)
    there = await _file(context, entry, operation.name)
    if there is None:
        return Delivered(outcome="already_so", run=run, files=(_gone(operation),))
    if operation.base_md5 is not None and there.md5 not in (None, operation.base_md5):
        clash = f"{operation.name} has other bytes upstream than when its deletion was queued"
        match context.policy(entry):
            case "hold":
                raise HeldDelivery(clash)
            case "theirs":
                return Delivered(outcome="theirs", run=run, answer=clash)
    if there.file_id is None:
        raise RefusedDelivery(f"the server names no id for {operation.name}")
    project = run.project_internal_id or operation.project_internal_id
    await context.client.delete_files([there.file_id], int(project) if project and project.isdecimal() else None)
    if await _file(context, entry, operation.name) is not None:
        raise UnconfirmedDelivery(f"the server still lists {operation.name}")
    return Delivered(outcome="applied", run=run, files=(_gone(operation),), sent={"file": operation.name})


def _source(context: DeliveryContext, upload: UploadFile) -> Path:
    """The bytes of an upload, whole: what rotted here must not replace what is good upstream."""
    try:
        source = context.objects.path(upload.object)
        is_whole = hash_file(source) == upload.object
    except (StoreError, FileNotFoundError) as error:
        raise RefusedDelivery(f"the bytes of {upload.name} are no longer in this mirror; {_WHAT_TO_DO}") from error
    except OSError as error:
        raise StoreError(f"the bytes of {upload.name} cannot be read: {error.strerror}") from error
    if not is_whole:
        raise RefusedDelivery(f"the bytes of {upload.name} are damaged in this mirror; {_WHAT_TO_DO}")
    return source


async def _file(context: DeliveryContext, entry: Entry, name: str) -> ListedFile | None:
    return await context.client.listed_file(*entry.run_path, name)


def _row(file: ListedFile | None, upload: UploadFile) -> FileRow:
    """An uploaded file as the lake holds it: its bytes are an object already. None: the server does not list it yet."""
    if file is None:
        return FileRow(
            name=storable(upload.name), file_id=None, size=upload.size, md5=upload.md5, mimetype=upload.mimetype,
            updated_at=None, updated_at_text=None, object=upload.object, status="held",
        )  # fmt: skip
    return FileRow(
        name=storable(file.name), file_id=file.file_id, size=upload.size, md5=file.md5 or upload.md5,
        mimetype=file.mimetype or upload.mimetype, updated_at=file.updated_at, updated_at_text=file.updated_at_text,
        object=upload.object, status="held",
    )  # fmt: skip


def _gone(operation: DeleteFile) -> FileRow:
    return FileRow(
        name=storable(operation.name), file_id=operation.file_id, size=None, md5=operation.base_md5, mimetype=None,
        updated_at=None, updated_at_text=None, object=None, status="gone",
    )  # fmt: skip
