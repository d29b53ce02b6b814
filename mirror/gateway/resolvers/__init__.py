"""How each field of the schema is answered: one file a domain, each exporting a table by "Type.field".

A resolver is thin: it asks `store/read` and the overlay of `run/pending`, for a whole page at once. What has no
resolver is refused (`absent`).
"""

from __future__ import annotations

from mirror.gateway.resolvers import (
    artifact_collections,
    artifact_files,
    artifact_mutations,
    artifacts,
    console,
    file_mutations,
    files,
    history,
    projects,
    run_info,
    run_listings,
    run_mutations,
    runs,
    server,
    sweeps,
    version_mutations,
    viewer,
)
from mirror.wandb_protocol.resolvers import Resolvers

TABLES: tuple[Resolvers, ...] = (
    viewer.RESOLVERS,
    server.RESOLVERS,
    projects.RESOLVERS,
    run_listings.RESOLVERS,
    runs.RESOLVERS,
    run_info.RESOLVERS,
    history.RESOLVERS,
    console.RESOLVERS,
    files.RESOLVERS,
    artifacts.RESOLVERS,
    artifact_collections.RESOLVERS,
    artifact_files.RESOLVERS,
    sweeps.RESOLVERS,
    run_mutations.RESOLVERS,
    file_mutations.RESOLVERS,
    artifact_mutations.RESOLVERS,
    version_mutations.RESOLVERS,
)
