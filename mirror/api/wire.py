"""The answers' shapes: listings, projects, people, features. What is in a row is in `rows`.

The shapes ask only for what the mirror needs, so that a server may add fields. A listing keeps its rows raw.
"""

from __future__ import annotations

import msgspec

from mirror.api.scalars import NULL
from mirror.api.times import time_or_none
from mirror.records.projects import ProjectRecord


class WirePageInfo(msgspec.Struct, rename="camel"):
    """Whether a listing goes on."""

    end_cursor: str | None = None
    has_next_page: bool = False


class WireEdge(msgspec.Struct):
    """One row of a listing; the row itself stays raw."""

    cursor: str | None = None
    node: msgspec.Raw = NULL


class WireConnection(msgspec.Struct, rename="camel"):
    """One page of a listing."""

    edges: list[WireEdge | None]
    page_info: WirePageInfo

    @property
    def rows(self) -> list[WireEdge]:
        """The edges that are there."""
        return [edge for edge in self.edges if edge is not None]

    @property
    def last_cursor(self) -> str | None:
        """Where to continue: the SDK does so from the last edge (W&B API notes, section 5)."""
        rows = self.rows
        return (rows[-1].cursor if rows else None) or self.page_info.end_cursor


class WireProject(msgspec.Struct, rename="camel"):
    """A project, with the listings that were asked along with it."""

    id: str | None = None
    internal_id: str | int | None = None
    name: str | None = None
    created_at: str | None = None
    run_count: int | None = None
    counted: int | None = None
    held: int | None = None
    runs: WireConnection | None = None
    sweeps: WireConnection | None = None
    run: msgspec.Raw = NULL

    def record(self, entity: str, name: str) -> ProjectRecord:
        """The project as a value, under the name it was asked or listed by."""
        return ProjectRecord(
            entity=entity,
            project=name,
            storage_id=self.id or "",
            internal_id=None if self.internal_id is None else str(self.internal_id),
            created_at=time_or_none(self.created_at),
            created_at_text=self.created_at,
            run_count=self.held if self.run_count is None else self.run_count,
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

    username: str | None = None
    entity: str | None = None
    teams: _Teams | None = None

    @property
    def team_names(self) -> tuple[str, ...]:
        """Names of the teams that have one."""
        edges = (self.teams.edges if self.teams else None) or []
        return tuple(edge.node.name for edge in edges if edge and edge.node and edge.node.name)


class ViewerData(msgspec.Struct):
    """Data of the query for the viewer."""

    viewer: WireViewer | None


class _Feature(msgspec.Struct, rename="camel"):
    name: str
    is_enabled: bool


class _ServerInfo(msgspec.Struct):
    features: list[_Feature | None] | None = None


class FeaturesData(msgspec.Struct, rename="camel"):
    """Data of the query for the server's features."""

    server_info: _ServerInfo | None

    @property
    def enabled(self) -> frozenset[str]:
        """Names of the features that are on; an unlisted one is off (W&B API notes, section 3)."""
        features = (self.server_info.features if self.server_info else None) or []
        return frozenset(feature.name for feature in features if feature and feature.is_enabled)


class RunNames(msgspec.Struct, rename="camel"):
    """A run in a listing that asks for its names alone."""

    id: str | None = None
    name: str | None = None
    created_at: str | None = None
