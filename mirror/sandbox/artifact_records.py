"""Records of artifacts: versions, their files, and the collections that hold them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .records import ProjectRecord, RunRecord, UserRecord

CollectionKind = Literal["SEQUENCE", "PORTFOLIO"]


@dataclass(kw_only=True, eq=False, repr=False)
class CollectionRecord:
    """A sequence, in which versions are made, or a portfolio, to which versions made elsewhere are linked.

    Both number their members v0, v1, ... and hold the aliases that point to them.
    """

    id: str
    name: str
    project: ProjectRecord
    type_name: str
    created_at: str
    kind: CollectionKind = "SEQUENCE"
    state: str = "READY"
    updated_at: str | None = None
    description: str | None = None
    digest_algorithm: str = "MANIFEST_MD5"
    members: list[MembershipRecord] = field(default_factory=list)  # in the order of their version index
    next_version: int = 0  # a version index is never given again
    aliases: dict[str, ArtifactRecord] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)

    @property
    def versions(self) -> list[ArtifactRecord]:
        """The committed or deleted versions in it, by version index."""
        return [member.artifact for member in self.members]


@dataclass(kw_only=True, eq=False, repr=False)
class MembershipRecord:
    """A version's place in a collection."""

    id: str
    collection: CollectionRecord
    artifact: ArtifactRecord
    version: int
    created_at: str


@dataclass(kw_only=True, eq=False, repr=False)
class ArtifactRecord:
    """One version. `manifest_key` names the manifest's bytes in the bucket."""

    id: str
    number: int
    collection: CollectionRecord  # the sequence
    digest: str
    digest_algorithm: str
    created_at: str
    creator: RunRecord | UserRecord | None
    state: str = "PENDING"
    version: int | None = None
    description: str | None = None
    metadata: str | None = None
    wanted_aliases: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    history_step: int | None = None
    updated_at: str | None = None
    client_id: str | None = None
    manifest_id: str | None = None
    manifest_key: str | None = None
    manifest_digest: str | None = None
    manifest: dict[str, Any] = field(default_factory=dict)
    used_by: list[RunRecord] = field(default_factory=list)
    memberships: list[MembershipRecord] = field(default_factory=list)  # its sequence's first, then its links
