"""New versions of artifacts, which a process that trains here logs: announced, put file by file, committed."""

from __future__ import annotations

from typing import Any

from mirror.gateway.artifacts import VersionNode, version_by_id, version_nodes, versions_of
from mirror.gateway.context import RequestContext
from mirror.gateway.mutations import mutation
from mirror.gateway.new_versions import MANIFEST, NewVersion
from mirror.gateway.resolvers.files import FileNode
from mirror.records.addresses import RunPath
from mirror.records.artifacts import LOCAL
from mirror.run.downloads import Content
from mirror.store.read.artifacts import VersionRow
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.paging import connection, edges_by_place
from mirror.wandb_protocol.resolvers import Resolvers
from mirror.wandb_protocol.wire import typed_id, typed_parts

MOST_FILES = 10_000  # of one request
_MANIFEST_KIND = "NewManifest"  # of ids of ours


def begin_version(ctx: RequestContext, given: dict[str, Any]) -> VersionNode | None:
    """Announce a version; None where no process trains the run that logs it."""
    path = RunPath(given["entityName"], given["projectName"], given.get("runName") or "")
    recording = ctx.trainings.recording(path)
    if recording is None:
        return None
    artifact_id = f"{LOCAL}{given.get('clientID') or given['digest']}"
    ctx.trainings.versions.begin(artifact_id, recording, given)
    return _announced(ctx, artifact_id, given)


def _announced(ctx: RequestContext, artifact_id: str, given: dict[str, Any]) -> VersionNode:
    row = VersionRow(
        artifact_id=artifact_id, entity=given["entityName"], project=given["projectName"],
        sequence=(given.get("artifactCollectionNames") or [given.get("artifactCollectionName")])[0] or "",
        type=given["artifactTypeName"], version_index=None, state="PENDING", digest=given["digest"],
        digest_algorithm=None, aliases=[], tags=[], metadata=given.get("metadata"),
        description=given.get("description"), size=None, file_count=None, commit_hash=None, history_step=None,
        manifest=None, created_at=None, updated_at=None,
    )  # fmt: skip
    return VersionNode(context=ctx, row=row)


def _create_manifest(ctx: RequestContext, given: dict[str, Any]) -> dict[str, Any]:
    version = ctx.trainings.versions.get(given["artifactID"])
    return {"artifactManifest": _manifest(ctx, given["artifactID"], version)}


def _update_manifest(ctx: RequestContext, given: dict[str, Any]) -> dict[str, Any]:
    artifact_id = ":".join(typed_parts(given["artifactManifestID"], _MANIFEST_KIND) or ())
    return {"artifactManifest": _manifest(ctx, artifact_id, ctx.trainings.versions.get(artifact_id))}


def _manifest(ctx: RequestContext, artifact_id: str, version: NewVersion) -> dict[str, Any]:
    return {"id": typed_id(_MANIFEST_KIND, artifact_id), "file": _file(ctx, artifact_id, version, MANIFEST)}


def _create_files(ctx: RequestContext, given: dict[str, Any]) -> dict[str, Any]:
    specs = given["artifactFiles"]
    if len(specs) > MOST_FILES:
        raise RequestRefused(f"one request may be of {MOST_FILES} files, not of {len(specs)}", status=413)
    versions = ctx.trainings.versions
    files = [_file(ctx, one["artifactID"], versions.get(one["artifactID"]), one["name"]) for one in specs]
    return {"files": connection(edges_by_place(files, 0), more=False, totalCount=len(files), uploadHeaders=[])}


def _file(ctx: RequestContext, artifact_id: str, version: NewVersion, name: str) -> FileNode:
    """A file whose bytes are still to come."""
    path = version.recording.begun.run_path
    return FileNode(
        context=ctx, id=typed_id("AnnouncedFile", artifact_id, name), name=name, size=None, md5=None, mimetype=None,
        updated_at=None, content=Content(name=name, object=None, missing=f"the bytes of {name!r} did not come yet"),
        artifact=_announced(ctx, artifact_id, dict(version.given)),
        upload_url=ctx.addresses.of_upload(path, name, artifact_id),
    )  # fmt: skip


def _commit(ctx: RequestContext, given: dict[str, Any]) -> dict[str, Any]:
    artifact_id = given["artifactID"]
    if version_nodes(ctx, [artifact_id]):  # once more, since the answer was lost
        return {"artifact": version_by_id(ctx, artifact_id)}
    version = ctx.trainings.versions.commit(artifact_id)
    found: list[VersionNode] = []

    def is_shown() -> bool:
        ctx.renew()
        found[:] = version_nodes(ctx, [artifact_id]) or _of_digest(ctx, version)
        return bool(found)

    ctx.trainings.await_taken(is_shown, "the version")
    return {"artifact": found[0]}


def _of_digest(ctx: RequestContext, version: NewVersion) -> list[VersionNode]:
    """The version of these contents that was there before."""
    given = version.given
    name = (given.get("artifactCollectionNames") or [given.get("artifactCollectionName")])[0] or ""
    ids = versions_of(ctx, (given["entityName"], given["projectName"])).get((given["artifactTypeName"], name), ())
    return [node for node in version_nodes(ctx, ids) if node.row.digest == given["digest"]]


RESOLVERS: Resolvers = {
    "Mutation.createArtifactManifest": mutation(_create_manifest),
    "Mutation.updateArtifactManifest": mutation(_update_manifest),
    "Mutation.createArtifactFiles": mutation(_create_files),
    "Mutation.commitArtifact": mutation(_commit),
}
