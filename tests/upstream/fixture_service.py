"""The fixture service that wandb's system tests ask for: users, organizations and teams, made and removed by name.

It stands on a port of its own beside the server, as in W&B's test container. A refused command is answered with 400,
which wandb's tests only print.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from mirror.sandbox.state.sandbox_state import SandboxState
from mirror.wandb_protocol.errors import RequestRefused


def fixture_app(state: SandboxState) -> Starlette:
    """The service's ASGI application over the state of one sandbox."""

    async def health(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    async def command(request: Request) -> JSONResponse:
        subject = str(request.path_params["subject"])
        try:
            with state.lock:
                _SUBJECTS[subject](state, await request.json())
        except (KeyError, ValueError, RequestRefused) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, status_code=400)
        return JSONResponse({"status": "ok"})

    return Starlette(routes=[Route("/health", health), Route("/db/{subject}", command, methods=["POST"])])


def _user(state: SandboxState, given: Mapping[str, Any]) -> None:
    """up makes a user, password gives the key that equals the name, down removes both."""
    name = str(given["username"])
    match given["command"]:
        case "up":
            state.add_user(name, admin=bool(given.get("admin")))
        case "password":
            state.set_api_key(name, name)
        case "down":
            state.remove_user(name)
        case other:
            raise ValueError(f"unknown command {other}")


def _organization(state: SandboxState, given: Mapping[str, Any]) -> None:
    name = str(given["orgName"])
    match given["command"]:
        case "up":
            state.add_organization(name, members={str(given["username"]): "admin"})
        case "add_members":
            for member in given["fixtureData"]["members"]:
                state.join_organization(state.organization(name), member["username"], member["role"])
        case "down":
            state.remove_organization(name)
        case other:
            raise ValueError(f"unknown command {other}")


def _team(state: SandboxState, given: Mapping[str, Any]) -> None:
    if given["command"] != "up":
        raise ValueError(f"unknown command {given['command']}")
    data = given["fixtureData"]
    state.add_team(data["team"]["name"], organization=data["organization"]["name"], admin=str(given["username"]))


_SUBJECTS = {"user": _user, "organization": _organization, "team": _team}
