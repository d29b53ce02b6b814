"""Artifacts in the state: collections, versions, aliases."""

from __future__ import annotations

from .artifact_records import ArtifactRecord


class ArtifactShelf:
    """The artifact part of SandboxState."""

    def __init__(self) -> None:
        self.artifacts_by_id: dict[str, ArtifactRecord] = {}
