"""Artifacts: the bytes of a node become refs and records. W&B API notes, section 8."""

from __future__ import annotations

import msgspec

from mirror.api.contents import ArtifactsPage
from mirror.api.scalars import NULL, Int64, NonEmpty, json_text, to_int
from mirror.api.times import time_or_none
from mirror.api.wire import WirePageInfo
from mirror.records.artifacts import COMMITTED, ArtifactRecord, ArtifactRef
from mirror.typed import decoder


class _Project(msgspec.Struct, rename="camel"):
    name: str | None = None
    entity_name: str | None = None


class _Sequence(msgspec.Struct):
    name: str
    project: _Project | None = None


class _Named(msgspec.Struct):
    name: str | None = None


class _Alias(msgspec.Struct, rename="camel"):
    alias: str
    artifact_collection: _Named | None = None


class _Ref(msgspec.Struct, rename="camel"):
    id: NonEmpty
    digest: str
    artifact_sequence: _Sequence
    artifact_type: _Named
    state: str | None = None
    version_index: Int64 = None
    updated_at: str | None = None
    aliases: list[_Alias | None] | None = None

    @property
    def own_aliases(self) -> tuple[str, ...]:
        """Aliases in the sequence; links from portfolios and registries name the version there, not here."""
        own = self.artifact_sequence.name
        return tuple(
            alias.alias
            for alias in self.aliases or ()
            if alias and (alias.artifact_collection is None or alias.artifact_collection.name in {None, own})
        )

    def ref(self) -> ArtifactRef:
        project = self.artifact_sequence.project or _Project()
        return ArtifactRef(
            artifact_id=self.id,
            entity=project.entity_name,
            project=project.name,
            sequence=self.artifact_sequence.name,
            type=self.artifact_type.name or "",
            version_index=to_int(self.version_index),
            digest=self.digest,
            aliases=self.own_aliases,
            updated_at_text=self.updated_at,
        )


class _Artifact(_Ref):
    digest_algorithm: str | None = None
    tags: list[_Named | None] | None = None
    metadata: msgspec.Raw = NULL
    description: str | None = None
    size: Int64 = None
    file_count: Int64 = None
    commit_hash: str | None = None
    history_step: Int64 = None
    created_at: str | None = None


class _RefEdge(msgspec.Struct):
    node: _Ref | None = None
    cursor: str | None = None


class WireArtifacts(msgspec.Struct, rename="camel"):
    """One page of a run's artifacts."""

    edges: list[_RefEdge | None]
    page_info: WirePageInfo
    total_count: Int64 = None


_artifact_decoder = decoder(_Artifact)


def artifacts_page(wire: WireArtifacts | None) -> ArtifactsPage:
    """A page of refs, without versions that cannot be read: pending and deleted ones.

    Raises:
        ValueError: it lies about its types, or promises more and gives no place to continue from.
    """
    if wire is None:
        return ArtifactsPage(artifacts=(), total=None, after=None, has_more=False)
    edges = [edge for edge in wire.edges if edge is not None]
    # The SDK continues artifacts from `endCursor`.
    after = wire.page_info.end_cursor or (edges[-1].cursor if edges else None)
    if wire.page_info.has_next_page and not (after and edges):
        raise ValueError("a list of artifacts promises more but gives no place to continue from")
    return ArtifactsPage(
        artifacts=tuple(
            edge.node.ref() for edge in edges if edge.node is not None and edge.node.state in {None, COMMITTED}
        ),
        total=to_int(wire.total_count),
        after=after,
        has_more=wire.page_info.has_next_page,
    )


def to_artifact(node: msgspec.Raw | bytes) -> ArtifactRecord:
    """One version, from a node that the fragment `ArtifactFields` asked for.

    Raises:
        ValueError: it lies about its types.
    """
    wire = _artifact_decoder.decode(node)
    project = wire.artifact_sequence.project or _Project()
    return ArtifactRecord(
        artifact_id=wire.id,
        entity=project.entity_name,
        project=project.name,
        sequence=wire.artifact_sequence.name,
        type=wire.artifact_type.name or "",
        version_index=to_int(wire.version_index),
        state=wire.state or COMMITTED,
        digest=wire.digest,
        digest_algorithm=wire.digest_algorithm,
        aliases=wire.own_aliases,
        tags=tuple(tag.name for tag in wire.tags or () if tag and tag.name),
        metadata_text=json_text(wire.metadata),
        description=wire.description,
        size=to_int(wire.size),
        file_count=to_int(wire.file_count),
        commit_hash=wire.commit_hash,
        history_step=to_int(wire.history_step),
        created_at=time_or_none(wire.created_at),
        created_at_text=wire.created_at,
        updated_at=time_or_none(wire.updated_at),
        updated_at_text=wire.updated_at,
    )
