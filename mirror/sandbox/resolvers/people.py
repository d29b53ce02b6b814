"""The viewer, users and their keys, and the server's own facts."""

from __future__ import annotations

from typing import Any

from mirror.sandbox.resolvers.entities import entity_value
from mirror.sandbox.schema.context import context
from mirror.sandbox.state.people_records import OrganizationRecord
from mirror.sandbox.state.records import UserRecord
from mirror.wandb_protocol.resolvers import Info, Resolvers, attribute, constant


def _viewer(_root: Any, info: Info) -> UserRecord | None:
    return context(info).user


def _server_info(_root: Any, info: Info) -> dict[str, Any]:
    state = context(info).state
    return {
        "cliVersionInfo": {"max_cli_version": "0.31.0", "min_cli_version": "0.10.0"},
        "latestLocalVersionInfo": None,
        "features": [{"name": name, "isEnabled": True} for name in sorted(state.features)],
    }


def _users(_root: Any, info: Info, query: str | None = None) -> dict[str, Any]:
    found = [
        user
        for user in context(info).state.accounts.values()
        if not query or query in user.username or query in user.email
    ]
    return {"edges": [{"cursor": user.id, "node": user} for user in found]}


def _api_keys(user: UserRecord, info: Info) -> dict[str, Any]:
    return {"edges": [{"node": key} for key in context(info).state.keys_of(user)]}


def _teams(user: UserRecord, info: Info) -> dict[str, Any]:
    """Entities that the user is a member of; an organization's own entity is none of its teams."""
    state = context(info).state
    hidden = {organization.entity for organization in state.organizations.values()}
    return {"edges": [{"node": entity_value(name)} for name in sorted(user.entities - hidden)]}


def _organizations(user: UserRecord, info: Info) -> list[OrganizationRecord]:
    return context(info).state.organizations_of(user.username)


RESOLVERS: Resolvers = {
    "Query.viewer": _viewer,
    "Query.serverInfo": _server_info,
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
    "User.organizations": _organizations,
}
