"""Registries: projects of an organization, with members and roles, whose collections are listed across all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mirror.sandbox.resolvers.artifact_collections import collections_shown, members_shown
from mirror.sandbox.resolvers.entities import entity_value
from mirror.sandbox.schema.context import Context, context, mutation
from mirror.sandbox.state.people_records import TeamRecord
from mirror.sandbox.state.records import CollectionRecord, ProjectRecord, UserRecord
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.filters import compile_filters, named_fields
from mirror.wandb_protocol.paging import page
from mirror.wandb_protocol.resolvers import Info, Resolvers
from mirror.wandb_protocol.wire import typed_id

_REGISTRY_FIELDS = named_fields(
    {
        "name": lambda project: project.name,
        "description": lambda project: project.description,
        "createdAt": lambda project: project.created_at,
        "created_at": lambda project: project.created_at,
        "id": lambda project: project.id,
        "project_id": lambda project: str(project.number),
    }
)


def _projects(ctx: Context, entity: str, filters: str | None) -> list[ProjectRecord]:
    keep = compile_filters(filters, _REGISTRY_FIELDS)
    owned = [project for (owner, _), project in ctx.state.projects.items() if owner == entity and ctx.may_read(project)]
    return [project for project in owned if keep is None or keep(project)]


def _collections(
    entity: dict[str, Any],
    info: Info,
    projectFilters: str | None = None,
    filters: str | None = None,
    collectionTypes: list[str] | None = None,
    after: str | None = None,
    first: int | None = None,
    order: str | None = None,
) -> Any:
    ctx = context(info)
    found: list[CollectionRecord] = [
        collection
        for project in _projects(ctx, entity["name"], projectFilters)
        for collection in project.collections.values()
        if collectionTypes is None or collection.kind in collectionTypes
    ]
    return page(collections_shown(found, filters, order), first, after, ctx.state.limits)


def _memberships(
    entity: dict[str, Any],
    info: Info,
    projectFilters: str | None = None,
    collectionFilters: str | None = None,
    filters: str | None = None,
    after: str | None = None,
    first: int | None = None,
    order: str | None = None,
) -> Any:
    ctx = context(info)
    collections = [
        collection
        for project in _projects(ctx, entity["name"], projectFilters)
        for collection in project.collections.values()
    ]
    members = [
        member
        for collection in collections_shown(collections, collectionFilters, None)
        for member in collection.members
    ]
    return page(members_shown(members, filters, order), first, after, ctx.state.limits)


# ---------------------------------------------------------------- a registry's members


def _user_members(project: ProjectRecord, info: Info) -> list[dict[str, Any]]:
    accounts = context(info).state.accounts
    return [
        {
            "id": accounts[username].id,
            "name": accounts[username].name,
            "username": username,
            "email": accounts[username].email,
            "role": _role(role),
        }
        for username, role in project.members.items()
        if username in accounts
    ]


def _team_members(project: ProjectRecord, _info: Info) -> list[dict[str, Any]]:
    return [{"team": entity_value(name), "role": _role(role)} for name, role in project.team_members.items()]


def _role(name: str) -> dict[str, Any]:
    return {"id": typed_id("Role", name), "name": name}


def _allows_all(project: ProjectRecord, _info: Info) -> bool:
    return project.allowed_types is None


def _registry(ctx: Context, project_id: str) -> ProjectRecord:
    """A project by its id or internal id, for one who may write to its entity."""
    held = ctx.state.projects.values()
    found = next((project for project in held if project_id in (project.id, str(project.number))), None)
    if found is None:
        raise RequestRefused("project not found", status=404)
    if not ctx.may_write(found.entity):
        raise RequestRefused("permission denied", status=403)
    return found


def _user(ctx: Context, user_id: str) -> UserRecord:
    found = ctx.state.account_by_id(user_id)
    if found is None:
        raise RequestRefused("user not found", status=404)
    return found


def _team(ctx: Context, team_id: str) -> TeamRecord:
    found = next((team for team in ctx.state.teams.values() if team.id == team_id), None)
    if found is None:
        raise RequestRefused("team not found", status=404)
    return found


def _create_members(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    """New members come in with the role `member`; those who are members keep theirs."""
    registry = _registry(ctx, given["projectId"])
    for user_id in given.get("userIds") or []:
        registry.members.setdefault(_user(ctx, user_id).username, "member")
    for team_id in given.get("teamIds") or []:
        registry.team_members.setdefault(_team(ctx, team_id).name, "member")
    return {"success": True}


def _delete_members(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    """Takes members out; who is none is passed over."""
    registry = _registry(ctx, given["projectId"])
    for user_id in given.get("userIds") or []:
        registry.members.pop(_user(ctx, user_id).username, None)
    for team_id in given.get("teamIds") or []:
        registry.team_members.pop(_team(ctx, team_id).name, None)
    return {"success": True}


def _update_role(
    members: Callable[[ProjectRecord], dict[str, str]], name: Callable[[Context, dict[str, Any]], str], role: str
) -> Callable[[Context, dict[str, Any]], dict[str, Any]]:
    def update(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
        held, member = members(_registry(ctx, given["projectId"])), name(ctx, given)
        if member not in held:
            raise RequestRefused("member not found", status=404)
        held[member] = given[role]
        return {"success": True}

    return update


RESOLVERS: Resolvers = {
    "Entity.artifactCollections": _collections,
    "Entity.artifactMemberships": _memberships,
    "Project.members": _user_members,
    "Project.teamMembers": _team_members,
    "Project.allowAllArtifactTypesInRegistry": _allows_all,
    "Mutation.createProjectMembers": mutation(_create_members),
    "Mutation.deleteProjectMembers": mutation(_delete_members),
    "Mutation.updateProjectMember": mutation(
        _update_role(lambda p: p.members, lambda ctx, given: _user(ctx, given["userId"]).username, "userProjectRole")
    ),
    "Mutation.updateProjectTeamMember": mutation(
        _update_role(lambda p: p.team_members, lambda ctx, given: _team(ctx, given["teamId"]).name, "teamProjectRole")
    ),
}
