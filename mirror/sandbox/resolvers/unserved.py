"""Mutations of the schema that the sandbox does not act on: the whole list, each a clear GraphQL error."""

from __future__ import annotations

from typing import Any, NoReturn

from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.resolvers import Info, Resolver, Resolvers

UNSERVED: frozenset[str] = frozenset({"completeMultipartUploadArtifact"})


def _refusal(name: str) -> Resolver:
    def refuse(_root: Any, _info: Info, **_arguments: Any) -> NoReturn:
        raise RequestRefused(f"{name} is not served by the sandbox")

    return refuse


RESOLVERS: Resolvers = {f"Mutation.{name}": _refusal(name) for name in sorted(UNSERVED)}
