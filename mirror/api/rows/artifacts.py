"""Artifacts: the bytes of a node become refs and records. W&B API notes, section 8."""

from __future__ import annotations

import msgspec

from mirror.api.rows.answers import one_line
from mirror.api.rows.flaws import Flaws, asked_by, decode_flawed, fields_of, names_in
from mirror.api.rows.listed import ArtifactsPage
from mirror.api.rows.lists import CUT, NO_FLAWS, flaws_by_place, lost_to, read_list
from mirror.api.rows.scalars import NULL, Int64, NonEmpty, int_or_none, json_text
from mirror.api.rows.times import time_or_none
from mirror.records.artifacts import COMMITTED, ArtifactRecord, ArtifactRef


class _Project(msgspec.Struct, rename="camel"):
    name: str | None = None
    entity_name: str | None = None


class _Sequence(msgspec.Struct):
    name: str
    project: _Project | msgspec.UnsetType | None = msgspec.UNSET


class _Named(msgspec.Struct):
    name: str | None = None


class _Alias(msgspec.Struct, rename="camel"):
    alias: str
    artifact_collection: _Named | None = None


class _Ref(msgspec.Struct, rename="camel"):
    id: NonEmpty
    artifact_sequence: _Sequence
    digest: str | None = None
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

    def ref(self, untold: frozenset[str]) -> ArtifactRef:
        project = self.artifact_sequence.project or _Project()
        return ArtifactRef(
            artifact_id=self.id,
            entity=project.entity_name,
            project=project.name,
            sequence=self.artifact_sequence.name,
            type=(self.artifact_type.name if self.artifact_type else None) or "",
            version_index=int_or_none(self.version_index),
            digest=self.digest or "",
            aliases=self.own_aliases,
            updated_at_text=self.updated_at,
            untold=untold,
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


# Fields of a record that come of fields of the server's, where their names differ.
_MADE_OF = {
    "versionIndex": ("version_index",),
    "updatedAt": ("updated_at", "updated_at_text"),
    "createdAt": ("created_at", "created_at_text"),
    "artifactType": ("type",),
    "artifactSequence": ("entity", "project", "sequence"),
    "digestAlgorithm": ("digest_algorithm",),
    "metadata": ("metadata_text",),
    "fileCount": ("file_count",),
    "commitHash": ("commit_hash",),
    "historyStep": ("history_step",),
}


def artifacts_page(raw: msgspec.Raw, first: int, flaws: Flaws = NO_FLAWS) -> ArtifactsPage:
    """A page of refs, without versions that nobody can read: pending and deleted ones.

    Args:
        raw: the bytes of the list.
        first: versions that were asked for.
        flaws: what the server could not serve inside of it, by path.

    Raises:
        ValueError: it is no list, or promises more and nothing of it came.
    """
    listed = read_list(raw)
    failed, flaw = flaws_by_place(flaws)
    refs: list[ArtifactRef] = []
    unreadable = 0
    for place, node in enumerate(listed.nodes):
        try:
            if node is None:
                raise ValueError("the list has a place without a version")
            ref, lies = decode_flawed(node, _Ref)
        except (ValueError, RecursionError) as error:
            unreadable += 1
            flaw = flaw or (None if node is None else str(error))
            continue
        if ref.state in {None, COMMITTED}:
            wrong = {**lies, **failed.get(place, NO_FLAWS)}
            refs.append(ref.ref(_untold(node, ref, wrong) & frozenset(ArtifactRef.__struct_fields__)))
            flaw = flaw or next((f"{refs[-1].name}: {why}" for why in wrong.values()), None)
    # The SDK continues artifacts from `endCursor`.
    after = listed.end_cursor or listed.last_cursor
    has_more, is_cut = listed.goes_on(after, first)
    flaw = flaw or (CUT if is_cut else None)
    return ArtifactsPage(
        artifacts=tuple(refs),
        total=listed.total,
        places=len(listed.nodes),
        after=after,
        has_more=has_more,
        is_cut=is_cut,
        unreadable=unreadable,
        told=listed.told,
        flaw=None if flaw is None else one_line(flaw),
        lost_to=lost_to(listed, failed, frozenset({"id", "artifactSequence"})),
    )


def to_artifact(node: msgspec.Raw | bytes, failed: Flaws = NO_FLAWS) -> ArtifactRecord:
    """One version, from a node that the fragment `ArtifactFields` asked for.

    Args:
        node: the bytes of one version.
        failed: what the server could not serve of it, by path.

    Raises:
        ValueError: it cannot be told which version it is.
    """
    wire, lies = decode_flawed(node, _Artifact)
    project = wire.artifact_sequence.project or _Project()
    wrong = {**lies, **failed}
    return ArtifactRecord(
        artifact_id=wire.id,
        entity=project.entity_name,
        project=project.name,
        sequence=wire.artifact_sequence.name,
        type=(wire.artifact_type.name if wire.artifact_type else None) or "",
        version_index=int_or_none(wire.version_index),
        state=wire.state or COMMITTED,
        digest=wire.digest or "",
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
        untold=_untold(node, wire, wrong),
        flaw=next((one_line(f"{name}: {why}") for name, why in wrong.items()), None),
    )


def _untold(node: msgspec.Raw | bytes, wire: _Ref, wrong: Flaws) -> frozenset[str]:
    """The fields of a record that the server did not tell: it lacks them, or what it says of them is wrong."""
    lacking = (asked_by(type(wire)) - names_in(node)) | fields_of(wrong).keys()
    untold = {made for name in lacking for made in _MADE_OF.get(name, (name,))} - {"state"}
    if isinstance(wire.artifact_sequence.project, msgspec.UnsetType):
        untold |= {"entity", "project"}
    return frozenset(untold)
