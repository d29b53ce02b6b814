"""The viewer, users, entities and the server's own facts."""

from __future__ import annotations

from typing import Any

from ..context import Info, Resolvers, attribute, constant, context
from ..paging import page
from ..records import UserRecord
from ..wire import typed_id


def _viewer(_root: Any, info: Info) -> UserRecord | None:
    return context(info).user


def _server_info(_root: Any, info: Info) -> dict[str, Any]:
    state = context(info).state
    return {
        "cliVersionInfo": {"max_cli_version": "0.31.0", "min_cli_version": "0.10.0"},
        "latestLocalVersionInfo": None,
        "features": [{"name": name, "isEnabled": True} for name in sorted(state.features)],
    }


def entity_value(name: str) -> dict[str, Any]:
    """An entity; the sandbox keeps names only, everything else is the same for all."""
    return {
        "id": typed_id("Entity", name),
        "name": name,
        "available": False,
        "photoUrl": None,
        "readOnly": False,
        "readOnlyAdmin": False,
        "isTeam": True,
        "entityType": "team",
        "privateOnly": False,
        "storageBytes": 0,
        "codeSavingEnabled": True,
        "defaultAccess": "PRIVATE",
        "isPaid": False,
        "limits": None,
        "organization": None,
    }


def _entity(_root: Any, info: Info, name: str | None = None) -> dict[str, Any] | None:
    ctx = context(info)
    known = {entity for entity, _ in ctx.state.projects}
    for user in ctx.state.users.values():
        known |= user.entities
    wanted = name or (ctx.user.entity if ctx.user else None)
    return entity_value(wanted) if wanted is not None and wanted in known else None


def _xxhash_digests(_entity: dict[str, Any], info: Info) -> bool:
    return context(info).state.xxhash_digests


def _entity_user(entity: dict[str, Any], info: Info) -> UserRecord | None:
    users = context(info).state.users.values()
    return next((user for user in users if user.username == entity["name"]), None)


def _entity_members(entity: dict[str, Any], info: Info) -> list[dict[str, Any]]:
    return [
        {"id": user.id, "name": user.name, "username": user.username, "email": user.email, "admin": user.admin}
        for user in context(info).state.users.values()
        if entity["name"] in user.entities
    ]


def _entity_project(entity: dict[str, Any], info: Info, name: str | None = None) -> Any:
    return context(info).readable_project(entity["name"], name)


def _entity_projects(
    entity: dict[str, Any],
    info: Info,
    first: int | None = None,
    after: str | None = None,
    filters: str | None = None,
    order: str | None = None,
) -> Any:
    del filters, order
    ctx = context(info)
    found = [p for (owner, _), p in ctx.state.projects.items() if owner == entity["name"] and ctx.may_read(p)]
    return page(found, first, after, ctx.state.limits)


def _teams(user: UserRecord, _info: Info) -> dict[str, Any]:
    return {"edges": [{"node": entity_value(name)} for name in sorted(user.entities)]}


def _users(_root: Any, info: Info, query: str | None = None) -> dict[str, Any]:
    found = [
        user
        for user in context(info).state.users.values()
        if not query or query in user.username or query in user.email
    ]
    return {"edges": [{"cursor": user.id, "node": user} for user in found]}


def _api_keys(user: UserRecord, _info: Info) -> dict[str, Any]:
    return {"edges": [{"node": {"id": user.id, "name": f"{user.api_key[:4]}...", "description": None}}]}


RESOLVERS: Resolvers = {
    "Query.viewer": _viewer,
    "Query.serverInfo": _server_info,
    "Query.entity": _entity,
    "Query.users": _users,
    "User.id": attribute("id"),
    "User.name": attribute("name"),
    "User.username": attribute("username"),
    "User.email": attribute("email"),
    "User.admin": attribute("admin"),
    "User.entity": attribute("entity"),
    "User.flags": constant("{}"),
    "User.deletedAt": constant(None),
    "User.apiKeys": _api_keys,
    "User.teams": _teams,
    "Entity.xxhashDigestsEnabled": _xxhash_digests,
    "Entity.user": _entity_user,
    "Entity.members": _entity_members,
    "Entity.project": _entity_project,
    "Entity.projects": _entity_projects,
}
