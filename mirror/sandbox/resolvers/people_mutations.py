"""Writing people: accounts, keys, teams and invitations."""

from __future__ import annotations

from typing import Any

from mirror.sandbox.resolvers.entities import entity_value, member_id
from mirror.sandbox.schema.context import Context, mutation
from mirror.sandbox.state.people_records import TeamRecord
from mirror.sandbox.state.records import UserRecord
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.resolvers import Resolvers


def _viewer(ctx: Context) -> UserRecord:
    if ctx.user is None:
        raise RequestRefused("user is not logged in", status=401)
    return ctx.user


def _own_team(ctx: Context, name: str) -> TeamRecord:
    """A team that the viewer is an admin of."""
    team = ctx.state.teams.get(name)
    if team is None:
        raise RequestRefused("team not found", status=404)
    viewer = _viewer(ctx)
    if not viewer.admin and team.members.get(viewer.username) != "admin":
        raise RequestRefused("permission denied", status=403)
    return team


def _create_user(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    if not _viewer(ctx).admin:
        raise RequestRefused("permission denied", status=403)
    name = given["email"].partition("@")[0]
    if name in ctx.state.accounts:
        raise RequestRefused("resource already exists", status=409)
    user = ctx.state.add_user(name, admin=bool(given.get("admin")))
    user.email = given["email"]
    return {"user": user}


def _update_user(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    user = _viewer(ctx)
    if given.get("defaultEntity") is not None:
        if not user.belongs_to(given["defaultEntity"]):
            raise RequestRefused("permission denied", status=403)
        user.entity = given["defaultEntity"]
    return {"user": user}


def _generate_key(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    return {"apiKey": ctx.state.new_api_key(_viewer(ctx), description=given.get("description"))}


def _delete_key(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    key, viewer = ctx.state.api_keys.get(given["id"]), _viewer(ctx)
    if key is None or (key.user is not viewer and not viewer.admin):
        raise RequestRefused("api key not found", status=404)
    return {"success": ctx.state.remove_api_key(key.id)}


def _create_team(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    viewer = _viewer(ctx)
    admin = given.get("teamAdminUserName") or viewer.username
    if admin not in ctx.state.accounts:
        raise RequestRefused("user not found", status=404)
    owned = ctx.state.organizations_of(viewer.username)
    team = ctx.state.add_team(given["teamName"], admin=admin, organization=owned[0].name if len(owned) == 1 else None)
    return {"entity": entity_value(team.name)}


def _create_invite(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    team = _own_team(ctx, given["entityName"])
    role = "admin" if given.get("admin") else "member"
    invite = ctx.state.invite(team, email=given.get("email"), username=given.get("username"), role=role)
    invited = ctx.state.accounts.get(invite.username or "")
    value = {"id": invite.id, "name": invite.entity, "email": invite.email, "createdAt": invite.created_at}
    return {"invite": value | {"toUser": invited}}


def _delete_invite(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    """Takes an invitation back; with a member's id it takes the member out of the team."""
    team = _own_team(ctx, given["entityName"])
    invite = ctx.state.invites.pop(given["id"], None)
    names = [name for name in team.members if member_id(team.name, name) == given["id"]]
    if invite is not None and invite.username is not None:
        names.append(invite.username)
    left = [ctx.state.leave_team(team, name) for name in names]
    return {"success": invite is not None or any(left)}


def _create_service_account(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    team = _own_team(ctx, given["entityName"])
    return {"user": ctx.state.add_service_account(team.name, given["description"])}


RESOLVERS: Resolvers = {
    "Mutation.createUser": mutation(_create_user),
    "Mutation.updateUser": mutation(_update_user),
    "Mutation.generateApiKey": mutation(_generate_key),
    "Mutation.deleteApiKey": mutation(_delete_key),
    "Mutation.createTeam": mutation(_create_team),
    "Mutation.createInvite": mutation(_create_invite),
    "Mutation.deleteInvite": mutation(_delete_invite),
    "Mutation.createServiceAccount": mutation(_create_service_account),
}
