"""How each field of the schema is answered: one file a domain, each exporting a table by "Type.field".

A resolver is thin: it asks `store/read` and the overlay of `run/pending`, for a whole page at once. What has no
resolver is refused (`absent`).
"""

from __future__ import annotations

from mirror.gateway.resolvers import console, files, history, projects, run_info, run_listings, runs, server, viewer
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
)
