"""Types, collections and versions of a project, page by page, as far as they are mirrored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mirror.errors import CommError
from mirror.run.artifacts.collections import ArtifactCollection, ArtifactType, collections_of
from mirror.run.artifacts.queued import Marking, marked, queued_markings
from mirror.run.pending.local import LocalMirror
from mirror.run.sdk.absent import CollectionNotMirrored
from mirror.run.sdk.pages import Pages, SizedPages, check_start
from mirror.store.read.artifacts import VersionRow, list_versions, read_versions

if TYPE_CHECKING:
    from mirror.run.artifacts.artifact import Artifact


class ArtifactTypes(Pages[ArtifactType]):
    """The types of a project's artifacts, by name. Which ones is settled by the first look.

    Args:
        local: the mirror.
        entity: of the project.
        project: its name.
        per_page: types read at a time.
        start: not possible here: a cursor is the server's.

    Raises:
        CommError: a cursor is given.
    """

    def __init__(
        self, local: LocalMirror, entity: str, project: str, per_page: int = 50, start: str | None = None
    ) -> None:
        check_start(start)
        super().__init__(per_page)
        self._local = local
        self.entity, self.project = entity, project

    @cached_property
    def _names(self) -> list[str]:
        return sorted(collections_of(self._local, self.entity, self.project))

    def _count(self) -> int:
        return len(self._names)

    def _read(self, start: int, stop: int) -> Sequence[ArtifactType]:
        return [
            ArtifactType(self._local, self.entity, self.project, name, listed=True) for name in self._names[start:stop]
        ]


class ArtifactCollections(SizedPages[ArtifactCollection]):
    """Collections of a project, by type and name. Which ones is settled by the first look.

    Args:
        local: the mirror.
        entity: of the project.
        project: its name.
        type_name: only those of this type; None for all.
        filters: not possible here.
        order: `+name` or `-name`.
        per_page: collections read at a time.
        start: not possible here: a cursor is the server's.

    Raises:
        CommError: filters, another order or a cursor are given.
    """

    def __init__(
        self,
        local: LocalMirror,
        entity: str,
        project: str,
        type_name: str | None = None,
        filters: Mapping[str, Any] | None = None,
        order: str | None = None,
        per_page: int = 50,
        start: str | None = None,
    ) -> None:
        check_start(start)
        if filters or (order or "name").lstrip("+-") != "name":
            raise CommError(
                "a mirror cannot filter collections, nor order them but by name", hint="ask `artifacts` in SQL"
            )
        super().__init__(per_page)
        self._local = local
        self.entity, self.project, self.type_name = entity, project, type_name
        self.filters, self.order = filters, order

    @cached_property
    def _found(self) -> list[ArtifactCollection]:
        every = collections_of(self._local, self.entity, self.project)
        kinds = sorted(every) if self.type_name is None else [self.type_name]
        found = [collection for kind in kinds for collection in every.get(kind, ())]
        if self.order:
            found.sort(key=lambda collection: collection.name, reverse=self.order.startswith("-"))
        return found

    def _count(self) -> int:
        return len(self._found)

    def _read(self, start: int, stop: int) -> Sequence[ArtifactCollection]:
        return self._found[start:stop]


_ORDERS = {
    "created_at": "created_at",
    "createdAt": "created_at",
    "updated_at": "updated_at",
    "updatedAt": "updated_at",
    "version_index": "version_index",
    "versionIndex": "version_index",
}


class Artifacts(SizedPages["Artifact"]):
    """Committed versions of one collection, newest first. Which ones is settled by the first look.

    Args:
        local: the mirror.
        entity: of the project.
        project: its name.
        collection_name: whose versions.
        type: of the versions.
        per_page: versions read at a time.
        filters: not possible here.
        order: `created_at`, `updated_at` or `version_index` after `+` or `-`.
        tags: only versions with all of these. Unlike the SDK's, its length counts only these.
        start: not possible here: a cursor is the server's.

    Raises:
        CommError: filters, another order or a cursor are given.
    """

    def __init__(
        self,
        local: LocalMirror,
        entity: str,
        project: str,
        collection_name: str,
        type: str,  # noqa: A002 - the SDK's name
        per_page: int = 50,
        *,
        filters: Mapping[str, Any] | None = None,
        order: str | None = None,
        tags: str | Sequence[str] | None = None,
        start: str | None = None,
    ) -> None:
        check_start(start)
        if filters or (order and order.lstrip("+-") not in _ORDERS):
            raise CommError(
                "a mirror cannot filter versions, nor order them but by created_at, updated_at and version_index",
                hint="ask `artifacts` in SQL",
            )
        super().__init__(per_page)
        self._local = local
        self.entity, self.project = entity, project
        self.collection_name, self.type = collection_name, type
        self.filters, self.order = filters, order
        self.tags = [tags] if isinstance(tags, str) else list(tags or ())

    @cached_property
    def _markings(self) -> list[Marking]:
        return queued_markings(self._local)

    def _rows(self, ids: Sequence[str]) -> dict[str, VersionRow]:
        operations = self._markings  # before the lake
        held = read_versions(self._local.reader, ids)
        return {version: marked(row, operations) for version, row in held.items()}

    @cached_property
    def _ids(self) -> list[str]:
        found = list_versions(self._local.reader, self.entity, self.project)
        ids = [version for kind, name, version in found if (kind, name) == (self.type, self.collection_name)]
        if not ids:
            raise CollectionNotMirrored.of(
                self.entity, self.project, f"Could not find artifact collection {self.collection_name!r}"
            )
        if not self.tags and not self.order:
            return ids
        rows = self._rows(ids)
        kept = [version for version in ids if {*self.tags} <= {*rows[version].tags}]
        if self.order:
            kept.reverse()  # equal ones stay oldest first, in both directions
            field = _ORDERS[self.order.lstrip("+-")]
            kept.sort(key=lambda version: _sortable(rows[version], field), reverse=self.order.startswith("-"))
        return kept

    def _count(self) -> int:
        return len(self._ids)

    def _read(self, start: int, stop: int) -> Sequence[Artifact]:
        from mirror.run.artifacts.artifact import Artifact

        ids = self._ids[start:stop]
        rows = self._rows(ids)
        return [Artifact(self._local, rows[version]) for version in ids]


def _sortable(row: VersionRow, field: str) -> tuple[bool, Any]:
    """Versions without the value come first; equal ones keep their order."""
    value = getattr(row, field)
    return value is not None, value or 0
