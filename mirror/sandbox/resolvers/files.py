"""Run files: listing, URLs, upload, deletion (W&B API notes, section 7)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from mirror.sandbox.schema.context import Context, context, mutation
from mirror.sandbox.state.records import FileRecord, RunRecord
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.paging import page
from mirror.wandb_protocol.resolvers import Info, Resolvers
from mirror.wandb_protocol.selections import argument_value, selected_fields

UPLOAD_HEADERS = ["X-Sandbox-Upload:run-file"]


def asks_to_upload(info: Info) -> bool:
    """Whether a connection of files is asked for what an upload needs."""
    return any(
        field.name.value in ("uploadUrl", "uploadHeaders")
        or (field.name.value == "url" and argument_value(field, "upload", info) is True)
        for field in selected_fields(info)
    )


def _listed(run: RunRecord) -> list[FileRecord]:
    return [record for _, record in sorted(run.files.items()) if record.listed]


def _files(
    run: RunRecord,
    info: Info,
    names: list[str] | None = None,
    pattern: str | None = None,
    after: str | None = None,
    first: int | None = None,
) -> Any:
    if names and pattern:
        raise RequestRefused("give names or pattern, not both")
    ctx = context(info)
    if names and ctx.may_write(run.project.entity) and asks_to_upload(info):
        # The way to upload of servers without createRunFiles: asking for a file's upload URL announces the file.
        announced = [ctx.state.announce_file(run, name) for name in names]
        return page(announced, len(announced), None, ctx.state.limits, uploadHeaders=UPLOAD_HEADERS)
    found = _listed(run)
    if names:
        found = [record for record in found if record.name in names]
    if pattern:
        like = sql_like(pattern)
        found = [record for record in found if like.match(record.name)]
    return page(found, first, after, ctx.state.limits)


def sql_like(pattern: str) -> re.Pattern[str]:
    """MySQL's LIKE, case aside, as an expression: % any text, _ one character, a backslash the next one as it is."""
    parts, i = [], 0
    while i < len(pattern):
        sign = pattern[i]
        if sign == "\\" and i + 1 < len(pattern):
            i += 1
            parts.append(re.escape(pattern[i]))
        else:
            parts.append({"%": ".*", "_": "."}.get(sign) or re.escape(sign))
        i += 1
    return re.compile("".join(parts) + r"\Z", re.DOTALL | re.IGNORECASE)


def _file_count(run: RunRecord, _info: Info) -> int:
    return len(_listed(run))


def _url(file: FileRecord | Mapping[str, Any], info: Info, upload: bool = False) -> str | None:
    """On the base host, needs the key, and redirects to the bucket. Ids rather than names, which may hold anything."""
    if isinstance(file, Mapping):
        return file.get("directUrl")
    if file.reference is not None:
        return file.reference
    state = context(info).state
    if upload:
        return state.storage.url(file.object_key, write=True)
    project = file.run.project
    parts = "/".join(quote(part, safe="") for part in (project.entity, project.name, file.run.name))
    return f"{state.base_url}/files/{parts}/content/{quote(file.id, safe='')}"


def _direct_url(file: FileRecord | Mapping[str, Any], info: Info) -> str:
    if isinstance(file, Mapping):
        return str(file["directUrl"])
    return file.reference or context(info).state.storage.url(file.object_key)


def _upload_url(file: FileRecord | Mapping[str, Any], info: Info) -> str | None:
    if isinstance(file, Mapping):
        return file.get("uploadUrl")
    return context(info).state.storage.url(file.object_key, write=True)


def _either(record_name: str, key: str) -> Any:
    """A field of a run file's record, or of an artifact file's mapping."""

    def read(file: FileRecord | Mapping[str, Any], _info: Info) -> Any:
        return file.get(key) if isinstance(file, Mapping) else getattr(file, record_name)

    return read


def _size(file: FileRecord | Mapping[str, Any], _info: Info) -> int:
    size = file.get("sizeBytes") if isinstance(file, Mapping) else file.size
    return int(size or 0)


def _upload_headers(file: FileRecord | Mapping[str, Any], _info: Info) -> list[str]:
    return list(file.get("uploadHeaders") or []) if isinstance(file, Mapping) else []


def _connection_headers(connection: Mapping[str, Any], _info: Info) -> list[str]:
    return list(connection.get("uploadHeaders") or [])


def _create_run_files(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    run = _target(ctx, given)
    if run is None:
        return {"runID": "", "uploadHeaders": [], "files": []}
    files = [ctx.state.announce_file(run, name) for name in given["files"]]
    return {"runID": run.id, "uploadHeaders": UPLOAD_HEADERS, "files": files}


def _mark_uploaded(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    if "MARK_RUN_FILES_UPLOADED" not in ctx.state.features:
        raise RequestRefused("markRunFilesUploaded is not available on this server")
    run = _target(ctx, given)
    if run is None:
        raise RequestRefused("run not found", status=404)
    for name in given["files"]:
        record = run.files.get(name)
        if record is not None and record.size is not None:
            record.listed = True
    return {"success": True}


def _target(ctx: Context, given: Mapping[str, Any]) -> RunRecord | None:
    project = ctx.state.find_project(given["entityName"], given["projectName"])
    if project is None or not ctx.may_write(project.entity):
        return None
    run = project.runs.get(given["runName"])
    if run is not None:
        ctx.run_names.add(run.name)
    return run


def _delete_files(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    for file_id in given["files"]:
        record = ctx.state.files_by_id.get(file_id)
        if record is None:
            continue
        project = record.run.project
        if not ctx.may_write(project.entity):
            raise RequestRefused("permission denied", status=403)
        if given.get("projectId") is not None and int(given["projectId"]) != project.number:
            raise RequestRefused("file is not in this project", status=404)
        ctx.state.remove_file(file_id)
    return {"success": True}


RESOLVERS: Resolvers = {
    "Run.files": _files,
    "Run.fileCount": _file_count,
    "File.id": _either("id", "id"),
    "File.name": _either("name", "name"),
    "File.displayName": _either("name", "displayName"),
    "File.url": _url,
    "File.directUrl": _direct_url,
    "File.uploadUrl": _upload_url,
    "File.uploadHeaders": _upload_headers,
    "FileConnection.uploadHeaders": _connection_headers,
    "File.storagePath": _either("object_key", "storagePath"),
    "File.sizeBytes": _size,
    "File.mimetype": _either("mimetype", "mimetype"),
    "File.updatedAt": _either("updated_at", "updatedAt"),
    "File.md5": _either("md5", "md5"),
    "File.digest": _either("md5", "digest"),
    "Mutation.createRunFiles": mutation(_create_run_files),
    "Mutation.markRunFilesUploaded": mutation(_mark_uploaded),
    "Mutation.deleteFiles": mutation(_delete_files),
}
