"""To come."""

from __future__ import annotations

from ..context import Resolvers

RESOLVERS: Resolvers = {}
