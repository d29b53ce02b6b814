"""Types and collections of artifacts, as far as a version of them is mirrored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from mirror.run.pending.local import LocalMirror
from mirror.run.sdk.absent import CollectionNotMirrored, only_server_can, unmirrored_field
from mirror.run.sdk.calls import as_comm_error, deprecated
from mirror.store.read.artifacts import list_versions
from mirror.store.read.projects import read_project

if TYPE_CHECKING:
    from mirror.run.artifacts.collection_lists import ArtifactCollections, Artifacts


class ArtifactCollection:
    """The versions of one artifact.

    Args:
        local: the mirror.
        entity: of the project.
        project: its name.
        name: of the collection.
        type: of its versions.
        listed: a version of it is known to be mirrored.

    Raises:
        NotMirrored: none is; also a `ValueError`.
    """

    organization = None  # a mirror has no registries

    def __init__(
        self,
        local: LocalMirror,
        entity: str,
        project: str,
        name: str,
        type: str,  # noqa: A002 - the SDK's name
        *,
        listed: bool = False,
    ) -> None:
        self._local = local
        self._entity, self._project, self._name, self._type = entity, project, name, type
        if not listed:
            self.load(entity, project, type, name)

    def load(self, entity: str, project: str, type_: str, name: str) -> dict[str, Any]:
        """What is known of a collection, under the server's names.

        Raises:
            NotMirrored: no version of it is mirrored; also a `ValueError`.
        """
        if not any(found[:2] == (type_, name) for found in list_versions(self._local.reader, entity, project)):
            raise CollectionNotMirrored.of(entity, project, f"Could not find artifact type {type_!r}")
        return {"name": name, "type": {"name": type_}, "project": {"name": project, "entity": {"name": entity}}}

    @property
    def entity(self) -> str:
        """The user or team that owns the project."""
        return self._entity

    @property
    def project(self) -> str:
        """The project's name."""
        return self._project

    @property
    def name(self) -> str:
        """Its name, unique in the project."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        raise only_server_can(f"renaming the collection {self._name!r} to {name!r}")

    @property
    def type(self) -> str:
        """Of its versions."""
        return self._type

    @type.setter  # noqa: A003 - the SDK's name
    def type(self, new_type: str) -> None:
        raise only_server_can(f"making {self._name!r} a collection of the type {new_type!r}")

    @property
    def project_id(self) -> str:
        """W&B's opaque id of the project.

        Raises:
            NotMirrored: it is not known; also an `AttributeError`.
        """
        row = read_project(self._local.reader, self._entity, self._project)
        if row is None or row.storage_id is None:
            raise unmirrored_field("project_id", self)
        return row.storage_id

    @property
    def project_internal_id(self) -> str | None:
        """The number of the project, as text; None: it is not known."""
        row = read_project(self._local.reader, self._entity, self._project)
        return None if row is None else row.internal_id

    @property
    def id(self) -> str:
        """Never an answer, as for `description`, `tags`, `created_at` and `updated_at`.

        Raises:
            NotMirrored: a mirror knows a collection by its versions; also an `AttributeError`.
        """
        raise unmirrored_field("id", self)

    @property
    def created_at(self) -> str:
        """Never an answer; see `id`."""
        raise unmirrored_field("created_at", self)

    @property
    def updated_at(self) -> str | None:
        """Never an answer; see `id`."""
        raise unmirrored_field("updated_at", self)

    @property
    def description(self) -> str | None:
        """Never an answer; see `id`."""
        raise unmirrored_field("description", self)

    @description.setter
    def description(self, description: str | None) -> None:
        del description
        raise only_server_can(f"changing the description of the collection {self._name!r}")

    @property
    def tags(self) -> list[str]:
        """Never an answer; see `id`."""
        raise unmirrored_field("tags", self)

    @tags.setter
    def tags(self, tags: Iterable[str]) -> None:
        del tags
        raise only_server_can(f"changing the tags of the collection {self._name!r}")

    @as_comm_error
    def artifacts(self, per_page: int = 50, start: str | None = None) -> Artifacts:
        """Its versions, newest first.

        Args:
            per_page: versions read at a time.
            start: as for `Artifacts`.
        """
        from mirror.run.artifacts.collection_lists import Artifacts

        return Artifacts(self._local, self._entity, self._project, self._name, self._type, per_page, start=start)

    versions = artifacts

    @property
    def aliases(self) -> list[str]:
        """The names that point to one of its versions."""
        return sorted({alias for artifact in self.artifacts() for alias in artifact.aliases})

    def is_sequence(self) -> bool:
        """True: a mirror knows versions by the collection that they were made in."""
        return True

    def save(self) -> NoReturn:
        """Never done.

        Raises:
            CommError: always.
        """
        raise only_server_can(f"changing the collection {self._name!r}")

    def delete(self) -> NoReturn:
        """Never done.

        Raises:
            CommError: always.
        """
        raise only_server_can(f"deleting the collection {self._name!r}")

    def change_type(self, new_type: str) -> None:
        """Never done.

        Raises:
            CommError: always.
        """
        deprecated("ArtifactCollection.change_type(type) is deprecated, use ArtifactCollection.save() instead.")
        self.type = new_type

    def __repr__(self) -> str:
        """As the SDK shows it."""
        return f"<ArtifactCollection {self._name} ({self._type})>"


class ArtifactType:
    """A type of artifacts in a project.

    Args:
        local: the mirror.
        entity: of the project.
        project: its name.
        type_name: such as `model`.
        listed: a version of it is known to be mirrored.

    Raises:
        NotMirrored: none is; also a `ValueError`.
    """

    def __init__(self, local: LocalMirror, entity: str, project: str, type_name: str, *, listed: bool = False) -> None:
        self._local = local
        self.entity, self.project = entity, project
        self.type = type_name
        if not listed:
            self.load()

    def load(self) -> dict[str, Any]:
        """What is known of it, under the server's names.

        Raises:
            NotMirrored: no version of it is mirrored; also a `ValueError`.
        """
        if self.type not in collections_of(self._local, self.entity, self.project):
            raise CollectionNotMirrored.of(self.entity, self.project, f"Could not find artifact type {self.type!r}")
        return {"name": self.type}

    @property
    def id(self) -> str:
        """Never an answer.

        Raises:
            NotMirrored: a mirror knows a type by its versions; also an `AttributeError`.
        """
        raise unmirrored_field("id", self)

    @property
    def name(self) -> str:
        """The type."""
        return self.type

    @as_comm_error
    def collections(
        self,
        filters: Mapping[str, Any] | None = None,
        order: str | None = None,
        per_page: int = 50,
        start: str | None = None,
    ) -> ArtifactCollections:
        """The collections of this type, by name; arguments as for `ArtifactCollections`."""
        from mirror.run.artifacts.collection_lists import ArtifactCollections

        return ArtifactCollections(self._local, self.entity, self.project, self.type, filters, order, per_page, start)

    def collection(self, name: str) -> ArtifactCollection:
        """One collection.

        Raises:
            NotMirrored: no version of it is mirrored; also a `ValueError`.
        """
        return ArtifactCollection(self._local, self.entity, self.project, name, self.type)

    def __repr__(self) -> str:
        """As the SDK shows it."""
        return f"<ArtifactType {self.type}>"


def collections_of(local: LocalMirror, entity: str, project: str) -> dict[str, list[ArtifactCollection]]:
    """The collections of a project by type, by name."""
    names = dict.fromkeys((kind, name) for kind, name, _ in list_versions(local.reader, entity, project))
    found: dict[str, list[ArtifactCollection]] = {}
    for kind, name in names:
        found.setdefault(kind, []).append(ArtifactCollection(local, entity, project, name, kind, listed=True))
    return found
