"""Projects that are mirrored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from mirror.errors import NotMirrored
from mirror.run.artifacts.collection_lists import ArtifactCollections, ArtifactTypes
from mirror.run.naming import project_not_mirrored
from mirror.run.page.server_page import iframe
from mirror.run.pending.local import LocalMirror
from mirror.run.sdk.absent import FieldNotMirrored, ProjectNotMirrored
from mirror.run.sdk.attrs import Attrs
from mirror.run.sdk.calls import as_comm_error
from mirror.run.sdk.pages import Pages
from mirror.run.sweeps import Sweeps
from mirror.store.read.projects import mirrored_projects, read_project

_ELSEWHERE = ("isBenchmark", "user")  # fields that the SDK asks for and no pull does


class Project(Attrs):
    """A project. Whether it is mirrored shows when its fields or contents are asked for, as with the SDK.

    Args:
        local: the mirror.
        entity: the user or team that owns it.
        project: its name.
    """

    def __init__(self, local: LocalMirror, entity: str, project: str) -> None:
        super().__init__({})
        self._local = local
        self.entity = entity
        self.name = project
        self._is_loaded = False

    @property
    def path(self) -> list[str]:
        """Entity and name; a fresh list."""
        return [self.entity, self.name]

    @property
    def url(self) -> str:
        """The address of its page on the server."""
        return self._local.app_url + "/".join([*self.path, "workspace"])

    @property
    def id(self) -> str:
        """W&B's opaque id of the project.

        Raises:
            NotMirrored: the project is not in this mirror; also a `ValueError`.
        """
        self._load()
        found = self._attrs["id"]
        if found is None:
            raise project_not_mirrored(self._local, self.entity, self.name, f"Project {self.name} not found")
        return str(found)

    @property
    def owner(self) -> Any:
        """Never an answer.

        Raises:
            NotMirrored: who owns a project is not mirrored.
        """
        raise NotMirrored(f"the owner of {self} is not mirrored", hint="only the server knows them")

    @as_comm_error
    def artifacts_types(self, per_page: int = 50) -> ArtifactTypes:
        """The types of the artifacts that are mirrored, by name.

        Args:
            per_page: types read at a time.
        """
        self._load()
        return ArtifactTypes(self._local, self.entity, self.name, per_page)

    @as_comm_error
    def collections(
        self, filters: Mapping[str, Any] | None = None, order: str | None = None, per_page: int = 50
    ) -> ArtifactCollections:
        """The collections that hold a mirrored version, by type and name.

        Args:
            filters: not possible here.
            order: `+name` or `-name`.
            per_page: collections read at a time.

        Raises:
            CommError: filters or another order are given.
        """
        self._load()
        return ArtifactCollections(self._local, self.entity, self.name, None, filters, order, per_page)

    @as_comm_error
    def sweeps(self, per_page: int = 50, filters: Mapping[str, Any] | None = None, order: str | None = None) -> Sweeps:
        """The sweeps of the project, oldest first.

        Args:
            per_page: sweeps read at a time.
            filters: not possible here.
            order: of no effect, as with the SDK.

        Raises:
            CommError: filters are given.
        """
        del order
        return Sweeps(self._local, self.entity, self.name, per_page, filters)

    def to_html(self, height: int = 420, hidden: bool = False) -> str:
        """A frame with the server's page, which a browser fetches when it shows it."""
        return iframe(self.url, "project", height, hidden=hidden)

    def _repr_html_(self) -> str:
        """The frame."""
        return self.to_html()

    def __repr__(self) -> str:
        """As the SDK shows it."""
        return f"<Project {'/'.join(self.path)}>"

    def __getattr__(self, name: str) -> Any:
        """A field of the server, in either spelling.

        Raises:
            NotMirrored: the project or the field is not mirrored; also an `AttributeError`.
            AttributeError: there is no such field.
        """
        if not name.startswith("_") and "_is_loaded" in self.__dict__:
            try:
                self._load()
            except ProjectNotMirrored as error:
                raise FieldNotMirrored(f"'{self!r}' object has no attribute {name!r}", hint=error.hint) from error
            if self.snake_to_camel(name) in _ELSEWHERE:
                raise FieldNotMirrored(f"{name} of {self} is not mirrored", hint="only the server knows it")
        return super().__getattr__(name)

    def _load(self) -> None:
        if self._is_loaded:
            return
        row = read_project(self._local.reader, self.entity, self.name)
        if row is None and not self._local.is_mirrored(self.entity, self.name):
            raise project_not_mirrored(self._local, self.entity, self.name, f"Project {self.name} not found")
        self._attrs = {
            "id": row.storage_id if row is not None else None,
            "name": self.name,
            "entityName": self.entity,
            "createdAt": row.created_at if row is not None else None,
            "internalId": row.internal_id if row is not None else None,
        }
        self._is_loaded = True


class Projects(Pages[Project]):
    """The projects of an entity that are mirrored, by name. Which ones is settled by the first look.

    Args:
        local: the mirror.
        entity: whose projects.
        per_page: of no effect but on paging.
    """

    def __init__(self, local: LocalMirror, entity: str, per_page: int = 50) -> None:
        super().__init__(per_page)
        self._local = local
        self.entity = entity

    @property
    def length(self) -> None:
        """None, as with the SDK: the server does not count projects."""
        return

    def __repr__(self) -> str:
        """As the SDK shows it."""
        return f"<Projects {self.entity}>"

    @cached_property
    def _found(self) -> list[str]:
        return [project for _, project in mirrored_projects(self._local.reader, self.entity)]

    def _count(self) -> int:
        return len(self._found)

    def _read(self, start: int, stop: int) -> Sequence[Project]:
        return [Project(self._local, self.entity, name) for name in self._found[start:stop]]
