"""The viewer, who is the owner of the key that the mirror was pulled with; users and teams, as far as they are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from mirror.gateway.context import context
from mirror.records.server import Viewer
from mirror.server_facts import read_viewer
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.resolvers import Info, Resolver, Resolvers, constant
from mirror.wandb_protocol.wire import typed_id

# Whose the gateway's own key is until a pull tells: the SDK trains, and makes an `Api`, only where there is somebody.
NOBODY = Viewer(username="local", id=typed_id("User", "local"), name="local")


def _viewer(_root: Any, info: Info) -> dict[str, Any]:
    return msgspec.structs.asdict(read_viewer(context(info).mirror.home) or NOBODY)


def _told(name: str) -> Resolver:
    """A field of a user, where it is known of this one; a run's user is known by two names alone."""

    def read(user: Mapping[str, Any], _info: Info) -> Any:
        if name not in user:
            whose = f"{name} of the user {user['username']!r}"
            raise RequestRefused(f"{whose} is not mirrored: only the W&B server knows it")
        return user[name]

    return read


def _name(user: Mapping[str, Any], _info: Info) -> str:
    return str(user.get("name") or user["username"])


def _teams(user: Mapping[str, Any], info: Info) -> dict[str, Any]:
    names = _told("teams")(user, info)
    return {"edges": [{"node": {"name": name}} for name in names]}


RESOLVERS: Resolvers = {
    "Query.viewer": _viewer,
    "User.id": _told("id"),
    "User.name": _name,
    "User.username": _told("username"),
    "User.email": _told("email"),
    "User.admin": _told("admin"),
    "User.entity": _told("entity"),
    "User.teams": _teams,
    # The SDK asks for these of every user: none are known here, and null says so.
    "User.flags": constant("{}"),
    "User.deletedAt": constant(None),
    "User.apiKeys": constant(None),
}
