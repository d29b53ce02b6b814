"""What the server says of itself beyond its features."""

from __future__ import annotations

from typing import Any

from mirror.sandbox.schema.context import context
from mirror.wandb_protocol.resolvers import Info, Resolvers, constant


def _frontend_host(_server: Any, info: Info) -> str:
    return context(info).state.base_url


RESOLVERS: Resolvers = {
    "ServerInfo.frontendHost": _frontend_host,
    "ServerInfo.messageOfTheDay": constant(None),
    "ServerInfo.pollingOK": constant(True),
}
