"""Entities: users, teams and organizations as owners of projects."""

from __future__ import annotations

from typing import Any

from mirror.sandbox.schema.context import Context, context
from mirror.sandbox.state.people_records import OrganizationRecord
from mirror.sandbox.state.records import UserRecord
from mirror.wandb_protocol.filters import compile_filters, named_fields, ordered
from mirror.wandb_protocol.paging import page
from mirror.wandb_protocol.resolvers import Info, Resolvers, constant
from mirror.wandb_protocol.wire import typed_id


def entity_value(name: str) -> dict[str, Any]:
    """An entity by name; what differs between entities is asked of the state."""
    return {
        "name": name,
        "photoUrl": None,
        "readOnly": False,
        "readOnlyAdmin": False,
        "privateOnly": False,
        "storageBytes": 0,
        "codeSavingEnabled": True,
        "defaultAccess": "PRIVATE",
        "isPaid": False,
        "limits": None,
    }


def _entity(_root: Any, info: Info, name: str | None = None) -> dict[str, Any] | None:
    """The entity of that name, or else what W&B answers for a free one: an entity that is `available`."""
    ctx = context(info)
    wanted = name or (ctx.user.entity if ctx.user else None)
    return None if wanted is None else entity_value(wanted)


def _is_known(ctx: Context, name: str) -> bool:
    state = ctx.state
    return (
        name in state.accounts
        or name in state.teams
        or any(name in user.entities for user in state.accounts.values())
        or any(name == organization.entity for organization in state.organizations.values())
        or any(name == owner for owner, _ in state.projects)
    )


def _id(entity: dict[str, Any], info: Info) -> str:
    return context(info).state.entity_id(entity["name"])


def _available(entity: dict[str, Any], info: Info) -> bool:
    return not _is_known(context(info), entity["name"])


def _kind(entity: dict[str, Any], info: Info) -> str:
    state = context(info).state
    if any(entity["name"] == organization.entity for organization in state.organizations.values()):
        return "organization"
    return "user" if entity["name"] in state.accounts else "team"


def _is_team(entity: dict[str, Any], info: Info) -> bool:
    return _kind(entity, info) == "team"


def _organization(entity: dict[str, Any], info: Info) -> OrganizationRecord | None:
    return context(info).state.organization_of(entity["name"])


def _xxhash_digests(_entity: dict[str, Any], info: Info) -> bool:
    return context(info).state.xxhash_digests


def _user(entity: dict[str, Any], info: Info) -> UserRecord | None:
    return context(info).state.accounts.get(entity["name"])


def _members(entity: dict[str, Any], info: Info) -> list[dict[str, Any]]:
    state, name = context(info).state, entity["name"]
    if name in state.teams:
        roles = state.teams[name].members
    else:
        roles = {user.username: "admin" for user in state.accounts.values() if name in user.entities}
    return [_member(name, state.accounts[username], role) for username, role in roles.items()]


def _member(entity: str, user: UserRecord, role: str) -> dict[str, Any]:
    return {
        "id": member_id(entity, user.username),
        "name": user.name,
        "username": user.username,
        "email": user.email,
        "role": role,
        "admin": role == "admin",
        "pending": False,
        "photoUrl": None,
        "accountType": "SERVICE" if user.service else "USER",
        # Only a service account's key is shown, to those who run its team.
        "apiKey": user.api_key if user.service else None,
    }


def member_id(entity: str, username: str) -> str:
    """The id by which deleteInvite takes a member out of a team."""
    return typed_id("Member", entity, username)


def _project(entity: dict[str, Any], info: Info, name: str | None = None) -> Any:
    return context(info).readable_project(entity["name"], name)


_PROJECT_FIELDS = named_fields(
    {
        "name": lambda project: project.name,
        "description": lambda project: project.description,
        "createdAt": lambda project: project.created_at,
        "created_at": lambda project: project.created_at,
        "id": lambda project: project.id,
    }
)


def _projects(
    entity: dict[str, Any],
    info: Info,
    first: int | None = None,
    after: str | None = None,
    filters: str | None = None,
    order: str | None = None,
) -> Any:
    ctx = context(info)
    keep = compile_filters(filters, _PROJECT_FIELDS)
    owned = [p for (owner, _), p in ctx.state.projects.items() if owner == entity["name"] and ctx.may_read(p)]
    kept = [project for project in owned if keep is None or keep(project)]
    return page(ordered(kept, order, _PROJECT_FIELDS), first, after, ctx.state.limits)


# ---------------------------------------------------------------- organizations


def _organization_by_name(_root: Any, info: Info, name: str) -> OrganizationRecord | None:
    """Null when there is none, or the viewer is no member: the two cannot be told apart."""
    ctx = context(info)
    found = ctx.state.organizations.get(name)
    if found is None or ctx.user is None:
        return None
    return found if ctx.user.admin or ctx.user.username in found.members else None


def _organization_entity(organization: OrganizationRecord, _info: Info) -> dict[str, Any]:
    return entity_value(organization.entity)


def _advanced_features(_organization: OrganizationRecord, _info: Info) -> dict[str, Any]:
    return {"advancedSearch": False}


RESOLVERS: Resolvers = {
    "Query.entity": _entity,
    "Query.organization": _organization_by_name,
    "Entity.id": _id,
    "Entity.available": _available,
    "Entity.isTeam": _is_team,
    "Entity.entityType": _kind,
    "Entity.organization": _organization,
    "Entity.xxhashDigestsEnabled": _xxhash_digests,
    "Entity.user": _user,
    "Entity.members": _members,
    "Entity.project": _project,
    "Entity.projects": _projects,
    "Organization.orgEntity": _organization_entity,
    "Organization.featureFlags": constant([]),
    "Organization.advancedRegistryFeatures": _advanced_features,
}
