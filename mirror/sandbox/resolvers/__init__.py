"""How each field of the schema is answered: one file a domain, each exporting a table by "Type.field"."""

from __future__ import annotations

from ..context import Resolvers
from . import artifact_mutations, artifacts, files, history, people, projects, run_mutations, runs, sweeps, unserved

TABLES: tuple[Resolvers, ...] = (
    people.RESOLVERS,
    projects.RESOLVERS,
    runs.RESOLVERS,
    history.RESOLVERS,
    files.RESOLVERS,
    sweeps.RESOLVERS,
    run_mutations.RESOLVERS,
    artifacts.RESOLVERS,
    artifact_mutations.RESOLVERS,
    unserved.RESOLVERS,
)

__all__ = ["TABLES"]
