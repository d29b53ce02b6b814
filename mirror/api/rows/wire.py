"""The answers' shapes: listings, projects, people, features. What is in a row is in `rows`.

The shapes ask only for what the mirror needs, so that a server may add fields. A listing keeps its rows raw. What may
be missing has a default, so that it may also be of another type (`frames`).
"""

from __future__ import annotations

import msgspec

from mirror.api.rows.scalars import NULL, Int64, int_or_none
from mirror.api.rows.times import time_or_none
from mirror.records.projects import ProjectRecord
from mirror.records.server import Viewer

Cursor = str | int | float | None
"""W&B's are texts; it is for the server to say how its places are written."""


class WirePageInfo(msgspec.Struct, rename="camel"):
    """Whether a listing goes on."""

    end_cursor: Cursor = None
    has_next_page: bool | None = None


class WireEdge(msgspec.Struct):
    """One row of a listing; the row itself stays raw."""

    cursor: Cursor = None
    node: msgspec.Raw = NULL


class WireConnection(msgspec.Struct, rename="camel"):
    """One page of a listing."""

    edges: list[WireEdge | None] | None = None
    page_info: WirePageInfo | None = None  # None: the server does not know it

    @property
    def rows(self) -> list[WireEdge]:
        """The edges that are there."""
        return [edge for edge in self.edges or () if edge is not None]

    @property
    def last_cursor(self) -> str | None:
        """Where to continue: the SDK does so from the last edge (W&B API notes, section 5)."""
        rows = self.rows
        return cursor_text(rows[-1].cursor if rows else None) or self.end_cursor

    @property
    def end_cursor(self) -> str | None:
        """Where projects and sweeps continue, as the SDK does (W&B API notes, section 5)."""
        return cursor_text(self.page_info.end_cursor if self.page_info else None)

    def goes_on(self, first: int) -> bool:
        """Whether more rows follow; where the server does not tell, a page as long as asked for is not the last.

        Args:
            first: rows that were asked for.
        """
        if self.page_info is not None and self.page_info.has_next_page is not None:
            return self.page_info.has_next_page
        return len(self.edges or ()) >= first


def cursor_text(cursor: Cursor) -> str | None:
    """A place in a listing as it goes into `after`; None where there is none."""
    return None if cursor is None or cursor == "" else str(cursor)


class WireProject(msgspec.Struct, rename="camel"):
    """A project, with the listings that were asked along with it."""

    id: str | int | None = None
    internal_id: str | int | float | None = None
    name: str | None = None
    created_at: str | None = None
    run_count: Int64 = None
    counted: Int64 = None
    held: Int64 = None
    runs: WireConnection | None = None
    sweeps: WireConnection | msgspec.UnsetType | None = msgspec.UNSET  # unset: they were not asked for
    run: msgspec.Raw = NULL

    def record(self, entity: str, name: str) -> ProjectRecord:
        """The project as a value, under the name it was asked or listed by."""
        return ProjectRecord(
            entity=entity,
            project=name,
            storage_id="" if self.id is None else str(self.id),
            internal_id=None if self.internal_id is None else str(self.internal_id),
            created_at=time_or_none(self.created_at),
            created_at_text=self.created_at,
            run_count=int_or_none(self.held if self.run_count is None else self.run_count),
        )


class ProjectData(msgspec.Struct):
    """Data of every query about one project."""

    project: WireProject | None


class AliasedData(msgspec.Struct):
    """Data of a query with one alias for each of several runs; the runs stay raw."""

    project: dict[str, msgspec.Raw] | None


class ProjectsData(msgspec.Struct):
    """Data of the listing of projects."""

    models: WireConnection | None


class _Team(msgspec.Struct):
    name: str | None = None


class _TeamEdge(msgspec.Struct):
    node: _Team | None = None


class _Teams(msgspec.Struct):
    edges: list[_TeamEdge | None] | None = None


class WireViewer(msgspec.Struct):
    """The account behind a key."""

    id: object = None  # the first four are for people alone: of no form do they spoil the answer
    name: object = None
    email: object = None
    admin: object = None
    username: str | None = None
    entity: str | None = None
    teams: _Teams | None = None

    @property
    def known(self) -> Viewer:
        """The same, of any server: teams without a name are left out."""
        edges = (self.teams.edges if self.teams else None) or []
        return Viewer(
            username=self.username or self.entity or "",
            entity=self.entity or None,
            teams=tuple(edge.node.name for edge in edges if edge and edge.node and edge.node.name),
            id=_text_or_none(self.id),
            name=_text_or_none(self.name),
            email=_text_or_none(self.email),
            admin=self.admin if isinstance(self.admin, bool) else None,
        )


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


class ViewerData(msgspec.Struct):
    """Data of the query for the viewer."""

    viewer: WireViewer | None


class _Feature(msgspec.Struct, rename="camel"):
    name: str | None = None
    is_enabled: bool | None = None


class _LocalVersion(msgspec.Struct, rename="camel"):
    version_on_this_instance_string: str | None = None


class WireServer(msgspec.Struct, rename="camel"):
    """What a server says of itself."""

    features: list[_Feature | None] | None = None
    latest_local_version_info: _LocalVersion | None = None

    @property
    def enabled(self) -> frozenset[str]:
        """Names of the features that are on; an unlisted one is off (W&B API notes, section 3)."""
        return frozenset(
            feature.name for feature in self.features or () if feature and feature.is_enabled and feature.name
        )

    @property
    def version(self) -> str | None:
        """Of a server of one's own."""
        local = self.latest_local_version_info
        return (local.version_on_this_instance_string if local else None) or None


class ServerData(msgspec.Struct, rename="camel"):
    """Data of a query that asks for the server's own facts, alone or beside other things."""

    server_info: WireServer | None = None


class _AllTypes(msgspec.Struct):
    types: list[object] = []


class SelfData(ServerData, rename="camel"):
    """What a server tells of itself and of the key, and under the alias `ALL_TYPES` of its schema."""

    viewer: WireViewer | None = None
    mirror_all_types: _AllTypes | None = None


class RunNames(msgspec.Struct, rename="camel"):
    """A run in a listing that asks for its names alone."""

    id: str | None = None
    name: str | None = None
    created_at: str | None = None
