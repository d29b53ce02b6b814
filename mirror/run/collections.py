"""Types and collections of artifacts, as far as a version of them is mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from mirror.run.local import LocalMirror
from mirror.run.pages import SizedPages
from mirror.store.artifact_rows import list_versions, read_versions

if TYPE_CHECKING:
    from mirror.run.artifacts import Artifact


class ArtifactCollection:
    """The versions of one artifact.

    Args:
        local: the mirror.
        entity: of the project.
        project: its name.
        name: of the collection.
        type: of its versions.
    """

    def __init__(self, local: LocalMirror, entity: str, project: str, name: str, type: str) -> None:  # noqa: A002
        self._local = local
        self.entity, self.project = entity, project
        self.name, self.type = name, type

    def artifacts(self, per_page: int = 50) -> Artifacts:
        """Its versions, newest first.

        Args:
            per_page: versions read at a time.
        """
        return Artifacts(self._local, self.entity, self.project, self.name, self.type, per_page)

    versions = artifacts

    @property
    def aliases(self) -> list[str]:
        """The names that point to one of its versions."""
        return sorted({alias for artifact in self.artifacts() for alias in artifact.aliases})

    def is_sequence(self) -> bool:
        """True: a mirror knows versions by the collection that they were made in."""
        return True

    def __repr__(self) -> str:
        """As the SDK shows it."""
        return f"<ArtifactCollection {self.name} ({self.type})>"


class ArtifactType:
    """A type of artifacts in a project.

    Args:
        local: the mirror.
        entity: of the project.
        project: its name.
        type_name: such as `model`.
    """

    def __init__(self, local: LocalMirror, entity: str, project: str, type_name: str) -> None:
        self._local = local
        self.entity, self.project = entity, project
        self.type = self.name = type_name

    def collections(self) -> list[ArtifactCollection]:
        """The collections of this type, by name."""
        return collections_of(self._local, self.entity, self.project).get(self.type, [])

    def collection(self, name: str) -> ArtifactCollection:
        """One collection."""
        return ArtifactCollection(self._local, self.entity, self.project, name, self.type)

    def __repr__(self) -> str:
        """As the SDK shows it."""
        return f"<ArtifactType {self.type}>"


class Artifacts(SizedPages["Artifact"]):
    """Committed versions of one collection, newest first. Which ones is settled by the first look.

    Args:
        local: the mirror.
        entity: of the project.
        project: its name.
        collection_name: whose versions.
        type: of the versions.
        per_page: versions read at a time.
    """

    def __init__(
        self,
        local: LocalMirror,
        entity: str,
        project: str,
        collection_name: str,
        type: str,  # noqa: A002 - the SDK's name
        per_page: int = 50,
    ) -> None:
        super().__init__(per_page)
        self._local = local
        self.entity, self.project = entity, project
        self.collection_name, self.type = collection_name, type

    @cached_property
    def _ids(self) -> list[str]:
        found = list_versions(self._local.reader, self.entity, self.project)
        return [version for kind, name, version in found if (kind, name) == (self.type, self.collection_name)]

    def _count(self) -> int:
        return len(self._ids)

    def _read(self, start: int, stop: int) -> Sequence[Artifact]:
        from mirror.run.artifacts import Artifact

        ids = self._ids[start:stop]
        rows = read_versions(self._local.reader, ids)
        return [Artifact(self._local, rows[version]) for version in ids]


def collections_of(local: LocalMirror, entity: str, project: str) -> dict[str, list[ArtifactCollection]]:
    """The collections of a project by type, by name."""
    names = dict.fromkeys((kind, name) for kind, name, _ in list_versions(local.reader, entity, project))
    found: dict[str, list[ArtifactCollection]] = {}
    for kind, name in names:
        found.setdefault(kind, []).append(ArtifactCollection(local, entity, project, name, kind))
    return found
