"""How each field of the schema is answered: one file a domain, each exporting a table by "Type.field"."""

from __future__ import annotations

from ..context import Resolvers
from . import (
    artifact_edges,
    artifact_mutations,
    artifacts,
    files,
    history,
    people,
    project_counts,
    projects,
    run_batches,
    run_connections,
    run_mutations,
    runs,
    server_facts,
    sweep_deletion,
    sweeps,
    unserved,
    wide_listings,
)

TABLES: tuple[Resolvers, ...] = (
    people.RESOLVERS,
    server_facts.RESOLVERS,
    projects.RESOLVERS,
    project_counts.RESOLVERS,
    wide_listings.RESOLVERS,
    runs.RESOLVERS,
    run_connections.RESOLVERS,
    history.RESOLVERS,
    files.RESOLVERS,
    sweeps.RESOLVERS,
    sweep_deletion.RESOLVERS,
    run_mutations.RESOLVERS,
    run_batches.RESOLVERS,
    artifacts.RESOLVERS,
    artifact_edges.RESOLVERS,
    artifact_mutations.RESOLVERS,
    unserved.RESOLVERS,
)

__all__ = ["TABLES"]
