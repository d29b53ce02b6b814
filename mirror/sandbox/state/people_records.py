"""Records of people: keys, teams and organizations. Users stand in `records`, since runs name them."""

from __future__ import annotations

from dataclasses import dataclass, field

from mirror.sandbox.state.records import UserRecord


@dataclass(kw_only=True, eq=False)
class ApiKeyRecord:
    """A key that authenticates its user."""

    id: str
    key: str
    user: UserRecord
    description: str | None = None

    @property
    def name(self) -> str:
        """What the server shows of a key: its beginning."""
        return self.key[:12]


@dataclass(kw_only=True, eq=False)
class OrganizationRecord:
    """An organization: its members, its teams, and the entity that holds its registries."""

    id: str
    name: str
    entity: str
    members: dict[str, str] = field(default_factory=dict)  # username → admin, member or viewer
    teams: list[TeamRecord] = field(default_factory=list)


@dataclass(kw_only=True, eq=False)
class TeamRecord:
    """A team: an entity with members by username and their roles."""

    id: str
    name: str
    organization: OrganizationRecord | None = None
    members: dict[str, str] = field(default_factory=dict)  # username → admin, member or viewer


@dataclass(frozen=True, kw_only=True)
class Invite:
    """An invitation to a team. The sandbox accepts it at once for a user whom it knows."""

    id: str
    entity: str
    email: str
    username: str | None
    created_at: str
