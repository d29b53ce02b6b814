"""Files of a run: those that the server listed, with those that are queued, and where their bytes are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mirror.errors import NotMirrored
from mirror.gateway.context import RequestContext
from mirror.gateway.runs import RunNode
from mirror.records.operations import UploadFile
from mirror.run.downloads import Content
from mirror.run.file_names import chosen_names, files_not_held, queued_files
from mirror.run.files import content_of_file
from mirror.run.pending.local import Pending
from mirror.store.read.files import RunFile, list_file_names, read_files
from mirror.store.read.run_counts import count_files
from mirror.texts.values import storable
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.paging import connection, edges_by_place, place_after
from mirror.wandb_protocol.resolvers import Info, Resolver, Resolvers, constant
from mirror.wandb_protocol.wire import typed_id

FEW = 1000  # files of a run that are read together
QUEUED_FILE = "QueuedFile"
LOCAL_FILE = "LocalFile"  # of a run that no server has yet


@dataclass(frozen=True, kw_only=True)
class FileNode:
    """A file of a run or of an artifact."""

    context: RequestContext
    id: str | None
    name: str
    size: int | None
    md5: str | None
    mimetype: str | None
    updated_at: str | None
    content: Content
    reference: str | None = None  # where the bytes of an artifact's reference are, elsewhere
    artifact: Any = None  # the version, of a file of one
    upload_url: str | None = None  # of a file that is announced

    @property
    def address(self) -> str:
        """Where its bytes are; of bytes that are not held, where is told why."""
        if self.reference is not None:
            return self.reference
        try:
            return self.context.addresses.of_object(self.content.held(), self.name)
        except NotMirrored as error:
            return self.context.addresses.of_lacking(str(error))


def _files(
    run: RunNode,
    _info: Info,
    names: list[str] | None = None,
    pattern: str | None = None,
    after: str | None = None,
    first: int | None = None,
) -> Any:
    if names and pattern:
        raise RequestRefused("give names or pattern, not both")
    ctx = run.batch.context
    queued = queued_files(run.pending)
    chosen = _chosen(run, queued, names, pattern)
    start = place_after(after)
    shown = chosen[start : start + ctx.limits.size(first)]
    rows = _rows(run, shown)
    nodes = [_node(run, name, rows.get(name), queued.get(name)) for name in shown]
    return connection(
        edges_by_place(nodes, start), more=start + len(shown) < len(chosen), totalCount=len(chosen), uploadHeaders=[]
    )


def _chosen(
    run: RunNode, queued: Mapping[str, Pending | None], names: Sequence[str] | None, pattern: str | None
) -> list[str]:
    among = frozenset(map(storable, names)) if names else None
    return chosen_names(_listed(run), queued, among, pattern, partial(_lacking, run))


def _lacking(run: RunNode) -> NotMirrored | None:
    ctx = run.batch.context
    return ctx.recall(("files not held", run.path, len(run.pending)), lambda _lake: files_not_held(run.facts))


def _listed(run: RunNode) -> list[str]:
    """Names of all files that the server lists: whoever asks for one asks for others."""
    return run.batch.context.recall(
        ("file names", run.path),
        lambda lake: list_file_names(lake, run.path),
        lambda names: sum(100 + len(name) for name in names),
    )


def _rows(run: RunNode, shown: Sequence[str]) -> Mapping[str, RunFile]:
    """The files of a page; all of a run that has few."""
    listed = _listed(run)
    wanted = tuple(listed if len(listed) <= FEW else shown)
    return run.batch.context.recall(
        ("files", run.path, None if len(listed) <= FEW else wanted),
        lambda lake: read_files(lake, run.path, wanted),
        lambda files: 600 * len(files),
    )


def _node(run: RunNode, name: str, row: RunFile | None, queued: Pending | None) -> FileNode:
    ctx = run.batch.context
    file_id = row.file_id if row is not None else None
    if queued is not None and isinstance(upload := queued.operation, UploadFile):
        return FileNode(
            context=ctx,
            id=file_id or typed_id(QUEUED_FILE, queued.id),
            name=upload.name,
            size=upload.size,
            md5=upload.md5,
            mimetype=upload.mimetype,
            updated_at=f"{queued.entry.created_at:%Y-%m-%dT%H:%M:%S}",
            content=Content(name=upload.name, object=upload.object),
        )
    assert row is not None  # rows of files stay
    return FileNode(
        context=ctx,
        id=file_id or typed_id(LOCAL_FILE, f"{run.path}/{row.name}"),
        name=row.name,
        size=row.size,
        md5=row.md5,
        mimetype=row.mimetype,
        updated_at=row.updated_at,
        content=content_of_file(run.path, row),
    )


def _file_count(run: RunNode, _info: Info) -> int:
    queued = queued_files(run.pending)
    if queued:
        return len(_chosen(run, queued, None, None))
    count = run.batch.recall("file counts", count_files).get(run.held.run_id, 0)
    if not count and run.held.run_id in run.batch.incomplete and (error := _lacking(run)) is not None:
        raise error
    return count


def _field(name: str) -> Resolver:
    def read(file: FileNode, _info: Info) -> Any:
        return getattr(file, name)

    return read


def _size(file: FileNode, _info: Info) -> int:
    return file.size or 0


def _url(file: FileNode, _info: Info, upload: bool = False) -> str:
    if upload:
        raise RequestRefused("an address to upload to is given by createRunFiles alone")
    return file.address


RESOLVERS: Resolvers = {
    "Run.files": _files,
    "Run.fileCount": _file_count,
    "File.id": _field("id"),
    "File.name": _field("name"),
    "File.displayName": _field("name"),
    "File.url": _url,
    "File.directUrl": _field("address"),
    "File.sizeBytes": _size,
    "File.mimetype": _field("mimetype"),
    "File.updatedAt": _field("updated_at"),
    "File.md5": _field("md5"),
    "File.digest": _field("md5"),
    "File.artifact": _field("artifact"),
    "File.storagePath": constant(None),  # the SDK asks for it: bytes lie here under their digest
    "File.uploadHeaders": constant([]),
    "File.uploadMultipartUrls": constant(None),  # a file is put whole
}
