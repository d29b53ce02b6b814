"""The members of `Api` about artifacts: types, collections, versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mirror.errors import CommError, NotMirrored
from mirror.run.api_paths import ApiPaths
from mirror.run.sdk.calls import as_comm_error, deprecated
from mirror.texts.typed_paths import in_shell

if TYPE_CHECKING:
    from mirror.run.artifacts.artifact import Artifact
    from mirror.run.artifacts.collection_lists import ArtifactCollections, Artifacts, ArtifactTypes
    from mirror.run.artifacts.collections import ArtifactCollection, ArtifactType

_JOB = "job"  # the type of the artifacts that launch makes


class ApiArtifacts(ApiPaths):
    """What of artifacts is mirrored: the versions that mirrored runs logged or used."""

    @as_comm_error
    def artifact(self, name: str, type: str | None = None) -> Artifact:  # noqa: A002 - the SDK's name
        """A version of an artifact.

        Args:
            name: `entity/project/collection:v3`, or an alias in place of the version; parts that have a default may be
                left out, and so may the version, which is then `latest`.
            type: what it must be, if given.

        Raises:
            NotMirrored: no such version is in this mirror.
            CommError: it is of another type.
        """
        from mirror.run.artifacts.artifact import Artifact

        return Artifact.named(self._local, self._artifact_path(name), type)

    @as_comm_error
    def artifact_exists(self, name: str, type: str | None = None) -> bool:  # noqa: A002 - the SDK's name
        """Whether a version is in this mirror; the server may have more than its runs logged and used.

        Raises:
            NotMirrored: its whole project is not in this mirror.
        """
        from mirror.run.artifacts.artifact import Artifact

        path = self._artifact_path(name)
        try:
            Artifact.named(self._local, path, type)
        except NotMirrored:
            if not self._local.is_mirrored(*path[:2]):
                raise
            return False
        except ValueError:  # it is of another type
            return False
        return True

    @as_comm_error
    def artifacts(
        self,
        type_name: str,
        name: str,
        order: str | None = None,
        per_page: int = 50,
        tags: list[str] | None = None,
        start: str | None = None,
    ) -> Artifacts:
        """The versions of a collection, newest first.

        Args:
            type_name: of the collection.
            name: `entity/project/collection`; parts that have a default may be left out.
            order: as for `Artifacts`.
            per_page: versions read at a time.
            tags: only versions with all of these.
            start: as for `Artifacts`.
        """
        from mirror.run.artifacts.collection_lists import Artifacts

        return Artifacts(
            self._local, *self._artifact_path(name), type_name, per_page, order=order, tags=tags, start=start
        )

    def artifact_versions(self, type_name: str, name: str, per_page: int = 50) -> Artifacts:
        """The older name of `artifacts`."""
        deprecated("Api.artifact_versions(type_name, name) is deprecated, use Api.artifacts(type_name, name) instead.")
        return self.artifacts(type_name, name, per_page=per_page)

    @as_comm_error
    def artifact_type(self, type_name: str, project: str | None = None) -> ArtifactType:
        """A type of artifacts of a project.

        Raises:
            NotMirrored: no version of it is in this mirror.
        """
        from mirror.run.artifacts.collections import ArtifactType

        return ArtifactType(self._local, *self._project_path(project), type_name)

    @as_comm_error
    def artifact_types(self, project: str | None = None, start: str | None = None) -> ArtifactTypes:
        """The types of artifacts of a project of which a version is mirrored, by name."""
        from mirror.run.artifacts.collection_lists import ArtifactTypes

        return ArtifactTypes(self._local, *self._project_path(project), start=start)

    @as_comm_error
    def artifact_collection(self, type_name: str, name: str) -> ArtifactCollection:
        """A collection.

        Raises:
            NotMirrored: no version of it is in this mirror.
        """
        from mirror.run.artifacts.collections import ArtifactCollection

        return ArtifactCollection(self._local, *self._artifact_path(name), type_name)

    @as_comm_error
    def artifact_collections(
        self,
        project_name: str,
        type_name: str,
        order: str | None = None,
        per_page: int = 50,
        start: str | None = None,
    ) -> ArtifactCollections:
        """The collections of a type of which a version is mirrored, by name.

        Args:
            project_name: `entity/project`, or the project of the default entity.
            type_name: of the collections.
            order: `+name` or `-name`.
            per_page: collections read at a time.
            start: as for `ArtifactCollections`.
        """
        from mirror.run.artifacts.collection_lists import ArtifactCollections

        entity, project = self._project_path(project_name)
        return ArtifactCollections(self._local, entity, project, type_name, None, order, per_page, start)

    @as_comm_error
    def artifact_collection_exists(self, name: str, type: str) -> bool:  # noqa: A002 - the SDK's name
        """Whether a version of a collection is in this mirror.

        Raises:
            NotMirrored: its whole project is not in this mirror.
        """
        from mirror.run.artifacts.collections import ArtifactCollection

        path = self._artifact_path(name)
        try:
            ArtifactCollection(self._local, *path, type)
        except NotMirrored:
            if not self._local.is_mirrored(*path[:2]):
                raise
            return False
        return True

    @as_comm_error
    def list_jobs(self, entity: str, project: str) -> list[dict[str, Any]]:
        """The versions of launch jobs that are mirrored, as connections of W&B's, one for each collection.

        Raises:
            CommError: entity or project is not given.
            NotMirrored: the project is not in this mirror.
        """
        from mirror.store.read.artifacts import list_versions, read_versions

        for name, given in (("an entity", entity), ("a project", project)):
            if given is None:
                raise CommError(f"Specify {name} when listing jobs")
        if not self._local.is_mirrored(entity, project):
            raise NotMirrored(
                f"Project: '{project}' not found in entity: '{entity}' or access denied.",
                hint=f"`wandb-mirror pull --source {in_shell(entity, project)}` fetches what its runs have",
            )
        found = [row for row in list_versions(self._local.reader, entity, project) if row[0] == _JOB]
        rows = read_versions(self._local.reader, [version for _, _, version in found])
        jobs: dict[str, list[dict[str, Any]]] = {}
        for _, name, version in found:
            node = {
                "id": version,
                "state": rows[version].state,
                "aliases": [{"alias": alias} for alias in rows[version].aliases],
                "artifactSequence": {"name": name},
            }
            jobs.setdefault(name, []).append({"node": node})
        return [{"edges": edges} for edges in jobs.values()]
