"""Artifacts as a document sees them: types and collections of which a version is held, versions with what is queued."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from mirror.errors import NotMirrored
from mirror.gateway.context import ProjectPath, RequestContext
from mirror.run.artifacts.artifact import Artifact
from mirror.run.artifacts.queued import marked, named_by
from mirror.run.sdk.absent import CollectionNotMirrored
from mirror.store.read.artifacts import (
    EntryRow,
    VersionRow,
    find_version,
    list_entry_paths,
    list_versions,
    read_entries,
    read_versions,
)
from mirror.texts.typed_paths import in_shell
from mirror.texts.values import storable
from mirror.wandb_protocol.wire import typed_id

_KIND = "MirroredCollection"  # of ids that are ours: no pull asks for those of the server
_VERSION_BYTES = 2_000  # of a row without its metadata


@dataclass(frozen=True, kw_only=True)
class VersionNode:
    """One version of an artifact."""

    context: RequestContext
    row: VersionRow  # with what is queued of its aliases and tags

    @cached_property
    def facts(self) -> Artifact:
        """The version as `mirror.Api` has it: names, and in which words is told what is not held."""
        return Artifact(self.context.mirror, self.row)

    @cached_property
    def collection(self) -> CollectionNode:
        """The one that it was made in."""
        row = self.row
        return CollectionNode(
            context=self.context, project=(row.entity or "", row.project or ""), type=row.type, name=row.sequence
        )

    @cached_property
    def paths(self) -> Sequence[str]:
        """Paths of its entries, sorted.

        Raises:
            NotMirrored: they are not held.
        """
        key = ("entry paths", self.row.artifact_id)
        found = self.context.recall(
            key, lambda lake: list_entry_paths(lake, self.row.artifact_id), lambda paths: 100 + sum(map(len, paths))
        )
        return found or list(self.facts.manifest.entries)

    def entries(self, paths: Sequence[str]) -> list[EntryRow]:
        """Some entries, in the order of their paths."""
        return read_entries(self.context.lake, self.row.artifact_id, paths) if paths else []


@dataclass(frozen=True, kw_only=True)
class CollectionNode:
    """The versions of one artifact."""

    context: RequestContext
    project: ProjectPath
    type: str
    name: str
    graphql_type: ClassVar[str] = "ArtifactSequence"

    @property
    def id(self) -> str:
        """An id of our own: no pull asks for the server's."""
        entity, project = self.project
        return typed_id(_KIND, entity, project, self.name)

    @cached_property
    def version_ids(self) -> Sequence[str]:
        """Ids of its versions, newest first."""
        return versions_of(self.context, self.project).get((self.type, self.name), [])

    @cached_property
    def versions(self) -> Sequence[VersionNode]:
        """Its versions, newest first."""
        return version_nodes(self.context, self.version_ids)

    @cached_property
    def aliases(self) -> Mapping[str, VersionNode]:
        """What points to one of its versions."""
        return {alias: node for node in reversed(self.versions) for alias in node.facts.aliases}


@dataclass(frozen=True, kw_only=True)
class TypeNode:
    """A type of artifacts of a project."""

    context: RequestContext
    project: ProjectPath
    name: str

    @property
    def id(self) -> str:
        """An id of our own."""
        return typed_id("MirroredArtifactType", *self.project, self.name)

    @cached_property
    def collections(self) -> list[CollectionNode]:
        """By name."""
        return [node for node in collections_of(self.context, self.project) if node.type == self.name]


def versions_of(ctx: RequestContext, project: ProjectPath) -> Mapping[tuple[str, str], Sequence[str]]:
    """Ids of the versions of a project, newest first, by type and collection."""

    def grouped(rows: Collection[tuple[str, str, str]]) -> dict[tuple[str, str], list[str]]:
        found: dict[tuple[str, str], list[str]] = {}
        for kind, name, artifact_id in rows:
            found.setdefault((kind, name), []).append(artifact_id)
        return found

    key = ("versions of", project)
    return ctx.recall(
        key,
        lambda lake: grouped(list_versions(lake, *project)),
        lambda found: 100 + 100 * sum(len(ids) + 1 for ids in found.values()),
    )


def collections_of(ctx: RequestContext, project: ProjectPath) -> list[CollectionNode]:
    """All collections of a project of which a version is held, by type and name."""
    return [
        CollectionNode(context=ctx, project=project, type=kind, name=name) for kind, name in versions_of(ctx, project)
    ]


def collection_named(ctx: RequestContext, project: ProjectPath, name: str) -> CollectionNode:
    """A collection.

    Raises:
        NotMirrored: no version of it is here.
    """
    for node in collections_of(ctx, project):
        if node.name == name:
            return node
    raise CollectionNotMirrored.of(*project, f"the artifact collection {name!r} of {'/'.join(project)} is not known")


def collection_by_id(ctx: RequestContext, node_id: str) -> CollectionNode:
    """A collection by the id that was told of it.

    Raises:
        NotMirrored: it is none of ours, or no version of it is here.
    """
    try:
        kind, _, entity, project, name = base64.b64decode(node_id).decode().split(":", 4)
    except ValueError:
        kind = entity = project = name = ""
    if kind != _KIND:
        raise NotMirrored(
            f"no artifact collection has the id {node_id!r} here", hint="a mirror has ids of its own for collections"
        )
    return collection_named(ctx, (entity, project), name)


def version_nodes(ctx: RequestContext, artifact_ids: Sequence[str]) -> list[VersionNode]:
    """Some versions, read together; those that are not held are left out."""
    if not artifact_ids:
        return []
    rows = ctx.recall(
        ("versions", tuple(artifact_ids)),
        lambda lake: read_versions(lake, artifact_ids),
        lambda found: sum(_VERSION_BYTES + len(row.metadata or "") for row in found.values()),
    )
    return [_as_queued(ctx, rows[key]) for key in artifact_ids if key in rows]


def _as_queued(ctx: RequestContext, row: VersionRow) -> VersionNode:
    """A version with the aliases and tags that it will have."""
    return VersionNode(context=ctx, row=marked(row, ctx.markings))


def version_by_id(ctx: RequestContext, artifact_id: str) -> VersionNode:
    """A version.

    Raises:
        NotMirrored: it is not here.
    """
    for node in version_nodes(ctx, [artifact_id]):
        return node
    raise NotMirrored(
        f"no artifact of the id {artifact_id!r} is in this mirror",
        hint="`wandb-mirror pull` fetches what the runs of its sources have",
    )


def version_named(ctx: RequestContext, project: ProjectPath, collection: str, name: str) -> VersionNode:
    """The version `vN` of a collection, or the one that an alias points to.

    Raises:
        NotMirrored: there is none here; in the SDK's own words.
    """
    row = _row_named(ctx, project, storable(collection), storable(name))
    if row is None:
        source = "/".join(project)
        raise NotMirrored(
            f"artifact membership {f'{collection}:{name}'!r} not found in {source!r}",
            hint=f"it is not in this mirror: `wandb-mirror pull --source {in_shell(*project)}` fetches what its runs"
            " have",
        )
    return VersionNode(context=ctx, row=row)


def _row_named(ctx: RequestContext, project: ProjectPath, collection: str, name: str) -> VersionRow | None:
    """With what is queued of it."""
    given = named_by(ctx.markings, "/".join((*project, collection)), name)
    rows = [node.row for node in version_nodes(ctx, [given])] if given is not None else []
    key = ("version named", project, collection, name)
    held = ctx.recall(key, lambda lake: find_version(lake, *project, collection, name))
    rows += [] if held is None else [marked(held, ctx.markings)]
    return next((row for row in rows if name in (f"v{row.version_index}", *row.aliases)), None)
