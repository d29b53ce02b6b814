"""Edges of artifact connections beyond their node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mirror.wandb_protocol.resolvers import Info, Resolvers


def _used_as(edge: Mapping[str, Any], _info: Info) -> list[str]:
    return list(edge.get("usedAs") or [])


RESOLVERS: Resolvers = {"InputArtifactEdge.usedAs": _used_as}
