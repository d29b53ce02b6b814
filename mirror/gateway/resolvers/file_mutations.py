"""Changes of a run's files: bytes are put to signed addresses of the gateway, and each becomes a queued upload."""

from __future__ import annotations

from typing import Any

from mirror.gateway.context import RequestContext
from mirror.gateway.http.uploads import check_name
from mirror.gateway.mutations import changed_run, mutation, runs_at, storage_id_of
from mirror.gateway.resolvers.files import QUEUED_FILE, FileNode
from mirror.gateway.run_changes import queue
from mirror.gateway.runs import RunNode
from mirror.records.addresses import RunPath
from mirror.records.operations import DeleteFile, UploadFile
from mirror.run.downloads import Content
from mirror.run.file_names import queued_files, selected_names
from mirror.store.read.files import files_by_id, read_files
from mirror.texts.values import storable
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.resolvers import Info, Resolvers
from mirror.wandb_protocol.wire import typed_id, typed_parts

MOST_FILES = 10_000  # of one request


def _create_run_files(ctx: RequestContext, given: dict[str, Any]) -> dict[str, Any]:
    names = _names(given["files"])
    node = changed_run(ctx, _path(given))
    if node.held.gone:
        raise RequestRefused(f"{node.path} was deleted upstream: no file can be put into it", status=404)
    files = [_announced(ctx, node, name) for name in names]
    return {"runID": storage_id_of(node), "uploadHeaders": [], "files": files}


def _announced(ctx: RequestContext, node: RunNode, name: str) -> FileNode:
    """A file whose bytes are still to come."""
    return FileNode(
        context=ctx, id=typed_id("AnnouncedFile", *node.path, name), name=name, size=None, md5=None, mimetype=None,
        updated_at=None, content=Content(name=name, object=None, missing=f"the bytes of {name!r} did not come yet"),
        upload_url=ctx.addresses.of_upload(node.path, name),
    )  # fmt: skip


def _mark_uploaded(ctx: RequestContext, given: dict[str, Any]) -> dict[str, Any]:
    """A file is queued as soon as its bytes are here: nothing is left to be done."""
    names = [storable(name) for name in _names(given["files"])]
    node = changed_run(ctx, _path(given))
    queued = queued_files(node.pending)
    missing = set(names) - {name for name, item in queued.items() if item is not None}
    missing -= set(selected_names(node.facts, queued, sorted(missing), None)) if missing else set()
    if missing:
        raise RequestRefused(f"no bytes of {min(missing)!r} came here", status=404)
    return {"success": True}


def _delete_files(ctx: RequestContext, given: dict[str, Any]) -> dict[str, Any]:
    """Queue deletions; ids of files that are not there any more say nothing, as with W&B."""
    file_ids = list(dict.fromkeys(given["files"]))
    _check_count(len(file_ids))
    listed = files_by_id(ctx.lake, file_ids)
    queued = _queued_uploads(ctx, file_ids)
    nodes = {node.path: node for node in runs_at(ctx, [path for path, _ in (*listed.values(), *queued.values())])}
    for file_id, (path, name) in listed.items():
        node = nodes[path]
        row = read_files(ctx.lake, path, [name])[name]
        if queued_files(node.pending).get(name, row) is not None:
            number = node.held.project_internal_id
            wanted = DeleteFile(name=name, file_id=file_id, project_internal_id=number, base_md5=row.md5)
            queue(ctx.mirror, node, wanted)
    for path, name in queued.values():
        number = nodes[path].held.project_internal_id
        queue(ctx.mirror, nodes[path], DeleteFile(name=name, file_id=None, project_internal_id=number))
    return {"success": True}


def _queued_uploads(ctx: RequestContext, file_ids: list[str]) -> dict[str, tuple[RunPath, str]]:
    """Runs and names of the files that only queued uploads hold."""
    entries = {parts[0]: file_id for file_id in file_ids if (parts := typed_parts(file_id, QUEUED_FILE))}
    if not entries:
        return {}
    return {
        entries[item.id]: (item.entry.run_path, item.operation.name)
        for runs in ctx.waiting.values()
        for items in runs.values()
        for item in items
        if item.id in entries and isinstance(item.operation, UploadFile)
    }


def _names(names: list[str]) -> list[str]:
    _check_count(len(names))
    for name in names:
        check_name(name)
    return names


def _check_count(count: int) -> None:
    if count > MOST_FILES:
        raise RequestRefused(f"one request may be of {MOST_FILES} files, not of {count}", status=413)


def _path(given: dict[str, Any]) -> RunPath:
    return RunPath(given["entityName"], given["projectName"], given["runName"])


def _upload_url(file: FileNode, _info: Info) -> str:
    if file.upload_url is not None:
        return file.upload_url
    raise RequestRefused("an address to upload to is given by createRunFiles alone")


RESOLVERS: Resolvers = {
    "File.uploadUrl": _upload_url,
    "Mutation.createRunFiles": mutation(_create_run_files),
    "Mutation.markRunFilesUploaded": mutation(_mark_uploaded),
    "Mutation.deleteFiles": mutation(_delete_files),
}
