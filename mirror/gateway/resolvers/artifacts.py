"""Versions of artifacts: by name, by id, and those of a run; their fields, and the runs that had to do with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mirror.errors import NotMirrored
from mirror.gateway.artifacts import CollectionNode, VersionNode, version_by_id, version_named, version_nodes
from mirror.gateway.context import context
from mirror.gateway.resolvers.artifact_collections import alias_value, tag_value, type_value
from mirror.gateway.resolvers.projects import ProjectNode
from mirror.gateway.runs import RunBatch, RunNode
from mirror.records.addresses import RunPath
from mirror.records.contents import Direction
from mirror.records.operations import LogArtifact, UseArtifact
from mirror.run.not_held import not_held
from mirror.store.read.artifacts import run_version_ids, runs_of_version
from mirror.wandb_protocol.paging import connection, edges_by_place, page, place_after
from mirror.wandb_protocol.resolvers import Info, Resolver, Resolvers, constant
from mirror.wandb_protocol.wire import typed_id

_OF_A_RUN = 100  # versions of a page, where none is asked for


def _of_row(name: str) -> Resolver:
    def read(version: VersionNode, _info: Info) -> Any:
        return getattr(version.row, name)

    return read


def _of_facts(name: str) -> Resolver:
    def read(version: VersionNode, _info: Info) -> Any:
        return getattr(version.facts, name)

    return read


def _collection(version: VersionNode, _info: Info) -> CollectionNode:
    return version.collection


def _type(version: VersionNode, _info: Info) -> Any:
    return type_value(version.context, version.collection.project, version.row.type)


def _tags(version: VersionNode, _info: Info) -> list[dict[str, Any]]:
    return [tag_value(name) for name in version.facts.tags]


def _aliases(version: VersionNode, _info: Info) -> list[dict[str, Any]]:
    return [alias_value(version.collection, alias) for alias in version.facts.aliases]


# ---------------------------------------------------------------- its runs


def _created_by(version: VersionNode, _info: Info) -> RunNode:
    ctx, artifact_id = version.context, version.row.artifact_id
    found = ctx.recall(("logged by", artifact_id), lambda lake: runs_of_version(lake, artifact_id, "logged"))
    nodes = _runs(version, found[:1])
    if not nodes:
        version.facts.logged_by()  # tells why
        raise NotMirrored(f"no run in this mirror logged {version.facts.source_qualified_name}")
    return nodes[0]


def _used_by(version: VersionNode, _info: Info) -> Any:
    """The held runs that used it, oldest first; the server may know of more."""
    ctx, artifact_id = version.context, version.row.artifact_id
    found = ctx.recall(("used by", artifact_id), lambda lake: runs_of_version(lake, artifact_id, "used"))
    return page(_runs(version, found), len(found), None, ctx.limits)


def _runs(version: VersionNode, paths: Sequence[RunPath]) -> list[RunNode]:
    """Runs of any projects, in their order."""
    by_project: dict[tuple[str, str], list[str]] = {}
    for entity, project, run_id in paths:
        by_project.setdefault((entity, project), []).append(run_id)
    nodes = {
        node.path: node
        for project, run_ids in by_project.items()
        for node in RunBatch(version.context, project, run_ids).nodes
    }
    return [nodes[path] for path in paths if path in nodes]


def _run_artifacts(direction: Direction) -> Resolver:
    kind: type[LogArtifact | UseArtifact] = LogArtifact if direction == "logged" else UseArtifact

    def read(run: RunNode, _info: Info, after: str | None = None, first: int | None = None) -> Any:
        ctx = run.batch.context
        queued = dict.fromkeys(item.artifact_id for item in run.operations if isinstance(item, kind))
        key = ("run's versions", run.path, direction)
        held = ctx.recall(key, lambda lake: run_version_ids(lake, run.path, direction))
        if not held:
            what = f"artifacts that {{}} {direction} are"
            if (error := not_held(run.facts, what, "artifacts", f"{direction} artifacts")) is not None:
                raise error
        more = [node.row.artifact_id for node in version_nodes(ctx, [key for key in queued if key not in set(held)])]
        ids = [*held, *more]
        start = place_after(after)
        shown = ids[start : start + ctx.limits.size(first, _OF_A_RUN)]
        return connection(
            edges_by_place(version_nodes(ctx, shown), start), more=start + len(shown) < len(ids), totalCount=len(ids)
        )

    return read


# ---------------------------------------------------------------- by name and by id


def _named(project: ProjectNode, name: str) -> VersionNode:
    sequence, _, version = name.partition(":")
    return version_named(project.context, project.path, sequence, version or "latest")


def _project_artifact(project: ProjectNode, _info: Info, name: str, enableTracking: bool | None = None) -> VersionNode:
    del enableTracking
    return _named(project, name)


def membership_value(collection: CollectionNode, version: VersionNode) -> dict[str, Any]:
    """A version as a member of its collection."""
    return {
        "id": typed_id("MirroredMembership", version.row.artifact_id),
        "versionIndex": version.row.version_index,
        "createdAt": version.facts.created_at,
        "aliases": [alias_value(collection, alias) for alias in version.facts.aliases],
        "artifactCollection": collection,
        "artifact": version,
    }


def _project_membership(project: ProjectNode, _info: Info, name: str) -> dict[str, Any]:
    version = _named(project, name)
    return membership_value(version.collection, version)


def _collection_membership(collection: CollectionNode, _info: Info, aliasName: str) -> dict[str, Any]:
    version = version_named(collection.context, collection.project, collection.name, aliasName)
    return membership_value(collection, version)


def _artifact(_root: Any, info: Info, id: str) -> VersionNode:  # noqa: A002 -- the schema's argument
    return version_by_id(context(info), id)


def _member(name: str) -> Callable[[Mapping[str, Any], Info], Any]:
    return lambda member, _info: member[name]


RESOLVERS: Resolvers = {
    "Query.artifact": _artifact,
    "Run.outputArtifacts": _run_artifacts("logged"),
    "Run.inputArtifacts": _run_artifacts("used"),
    "Project.artifact": _project_artifact,
    "Project.artifactCollectionMembership": _project_membership,
    "ArtifactSequence.artifactMembership": _collection_membership,
    "InputArtifactEdge.cursor": _member("cursor"),
    "InputArtifactEdge.node": _member("node"),
    "Artifact.id": _of_row("artifact_id"),
    "Artifact.artifactSequence": _collection,
    "Artifact.artifactType": _type,
    "Artifact.versionIndex": _of_row("version_index"),
    "Artifact.state": _of_row("state"),
    "Artifact.description": _of_row("description"),
    "Artifact.metadata": _of_row("metadata"),
    "Artifact.tags": _tags,
    "Artifact.aliases": _aliases,
    "Artifact.digest": _of_row("digest"),
    "Artifact.digestAlgorithm": _of_facts("digest_algorithm"),
    "Artifact.commitHash": _of_row("commit_hash"),
    "Artifact.size": _of_facts("size"),
    "Artifact.fileCount": _of_facts("file_count"),
    "Artifact.historyStep": _of_row("history_step"),
    "Artifact.createdAt": _of_row("created_at"),
    "Artifact.updatedAt": _of_facts("updated_at"),
    "Artifact.createdBy": _created_by,
    "Artifact.usedBy": _used_by,
    # The SDK asks for these of every version, and no pull does: "inherit", by its convention.
    "Artifact.ttlDurationSeconds": constant(-2),
    "Artifact.ttlIsInherited": constant(True),
    **{
        f"ArtifactCollectionMembership.{name}": _member(name)
        for name in ("id", "versionIndex", "createdAt", "aliases", "artifactCollection", "artifact")
    },
}
