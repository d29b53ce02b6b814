"""How each field of the schema is answered: one file a domain, each exporting a table by "Type.field"."""

from __future__ import annotations

from ..context import Resolvers
from . import (
    agents,
    artifact_mutations,
    artifacts,
    collection_mutations,
    entities,
    files,
    history,
    people,
    people_mutations,
    project_mutations,
    projects,
    registries,
    run_mutations,
    runs,
    sweeps,
    unserved,
)

TABLES: tuple[Resolvers, ...] = (
    people.RESOLVERS,
    people_mutations.RESOLVERS,
    entities.RESOLVERS,
    projects.RESOLVERS,
    project_mutations.RESOLVERS,
    registries.RESOLVERS,
    runs.RESOLVERS,
    history.RESOLVERS,
    files.RESOLVERS,
    sweeps.RESOLVERS,
    agents.RESOLVERS,
    run_mutations.RESOLVERS,
    artifacts.RESOLVERS,
    artifact_mutations.RESOLVERS,
    collection_mutations.RESOLVERS,
    unserved.RESOLVERS,
)

__all__ = ["TABLES"]
