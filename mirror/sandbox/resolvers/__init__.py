"""How each field of the schema is answered: one file a domain, each exporting a table by "Type.field"."""

from __future__ import annotations

from mirror.sandbox.resolvers import (
    agents,
    artifact_collections,
    artifact_edges,
    artifact_mutations,
    artifacts,
    collection_mutations,
    entities,
    files,
    history,
    people,
    people_mutations,
    project_counts,
    project_mutations,
    projects,
    registries,
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
from mirror.wandb_protocol.resolvers import Resolvers

TABLES: tuple[Resolvers, ...] = (
    people.RESOLVERS,
    people_mutations.RESOLVERS,
    entities.RESOLVERS,
    projects.RESOLVERS,
    project_mutations.RESOLVERS,
    registries.RESOLVERS,
    server_facts.RESOLVERS,
    project_counts.RESOLVERS,
    wide_listings.RESOLVERS,
    runs.RESOLVERS,
    run_connections.RESOLVERS,
    history.RESOLVERS,
    files.RESOLVERS,
    sweeps.RESOLVERS,
    agents.RESOLVERS,
    sweep_deletion.RESOLVERS,
    run_mutations.RESOLVERS,
    run_batches.RESOLVERS,
    artifacts.RESOLVERS,
    artifact_collections.RESOLVERS,
    artifact_edges.RESOLVERS,
    artifact_mutations.RESOLVERS,
    collection_mutations.RESOLVERS,
    unserved.RESOLVERS,
)

__all__ = ["TABLES"]
