"""Artifacts: the bytes of a node become refs and records. W&B API notes, section 8."""

from __future__ import annotations

import msgspec

from mirror.api.contents import ArtifactsPage
from mirror.api.flaws import decode_flawed
from mirror.api.scalars import NULL, Int64, NonEmpty, int_or_none, json_text
from mirror.api.times import time_or_none
from mirror.api.wire import WirePageInfo, cursor_text
from mirror.records.artifacts import COMMITTED, ArtifactRecord, ArtifactRef


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
    artifact_sequence: _Sequence
    digest: str = ""
    artifact_type: _Named | None = None
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
            type=(self.artifact_type.name if self.artifact_type else None) or "",
            version_index=int_or_none(self.version_index),
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
    node: msgspec.Raw = NULL
    cursor: str | None = None


class WireArtifacts(msgspec.Struct, rename="camel"):
    """One page of a run's artifacts."""

    edges: list[_RefEdge | None] | None = None
    page_info: WirePageInfo | None = None
    total_count: Int64 = None


def artifacts_page(wire: WireArtifacts | None, first: int) -> ArtifactsPage:
    """A page of refs, without versions that nobody can read: pending and deleted ones.

    Args:
        wire: the page; None for none.
        first: versions that were asked for.

    Raises:
        ValueError: it promises more and gives no place to continue from.
    """
    if wire is None:
        return ArtifactsPage.empty()
    edges = [edge for edge in wire.edges or () if edge is not None]
    info = wire.page_info or WirePageInfo()
    # The SDK continues artifacts from `endCursor`.
    after = cursor_text(info.end_cursor) or (edges[-1].cursor if edges else None)
    more = len(edges) >= first if info.has_next_page is None else info.has_next_page
    if more and not (after and edges):
        raise ValueError("a list of artifacts promises more but gives no place to continue from")
    refs: list[ArtifactRef] = []
    unreadable = len(wire.edges or ()) - len(edges)
    for edge in edges:
        try:
            ref = decode_flawed(edge.node, _Ref)[0]
        except (ValueError, RecursionError):
            unreadable += 1
            continue
        if ref.state in {None, COMMITTED}:
            refs.append(ref.ref())
    return ArtifactsPage(
        artifacts=tuple(refs), total=int_or_none(wire.total_count), after=after, has_more=more, unreadable=unreadable
    )


def to_artifact(node: msgspec.Raw | bytes) -> ArtifactRecord:
    """One version, from a node that the fragment `ArtifactFields` asked for.

    Raises:
        ValueError: it lies about its types.
    """
    wire, _ = decode_flawed(node, _Artifact)
    project = wire.artifact_sequence.project or _Project()
    return ArtifactRecord(
        artifact_id=wire.id,
        entity=project.entity_name,
        project=project.name,
        sequence=wire.artifact_sequence.name,
        type=(wire.artifact_type.name if wire.artifact_type else None) or "",
        version_index=int_or_none(wire.version_index),
        state=wire.state or COMMITTED,
        digest=wire.digest,
        digest_algorithm=wire.digest_algorithm,
        aliases=wire.own_aliases,
        tags=tuple(tag.name for tag in wire.tags or () if tag and tag.name),
        metadata_text=json_text(wire.metadata),
        description=wire.description,
        size=int_or_none(wire.size),
        file_count=int_or_none(wire.file_count),
        commit_hash=wire.commit_hash,
        history_step=int_or_none(wire.history_step),
        created_at=time_or_none(wire.created_at),
        created_at_text=wire.created_at,
        updated_at=time_or_none(wire.updated_at),
        updated_at_text=wire.updated_at,
    )
