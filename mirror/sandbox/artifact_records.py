"""Records of artifacts: versions, their files, and the collections that hold them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .records import ProjectRecord, RunRecord, UserRecord


@dataclass(kw_only=True, eq=False, repr=False)
class CollectionRecord:
    """A source collection: versions v0, v1, ... and the aliases that point to them."""

    id: str
    name: str
    project: ProjectRecord
    type_name: str
    created_at: str
    description: str | None = None
    digest_algorithm: str = "MANIFEST_MD5"
    versions: list[ArtifactRecord] = field(default_factory=list)  # committed ones, by version index
    aliases: dict[str, ArtifactRecord] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)


@dataclass(kw_only=True, eq=False, repr=False)
class ArtifactRecord:
    """One version. `manifest_key` names the manifest's bytes in the bucket."""

    id: str
    number: int
    collection: CollectionRecord
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
