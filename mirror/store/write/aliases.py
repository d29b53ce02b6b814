"""An alias names one version of its collection: one that is given it takes it from the others that are held."""

from __future__ import annotations

from collections.abc import Sequence

from mirror.records.artifacts import LOCAL
from mirror.records.operations import with_names
from mirror.store.engine.connection import Engine

_HAVE_THEM_TOO = f"""
    SELECT v.artifact_id, v.aliases, list_distinct(flatten(list(o.aliases)))
    FROM lake.artifacts v JOIN lake.artifacts o USING (entity, project, sequence, type)
    WHERE o.artifact_id IN (SELECT unnest(?::VARCHAR[])) AND v.artifact_id NOT IN (SELECT unnest(?::VARCHAR[]))
        AND NOT starts_with(v.artifact_id, '{LOCAL}') AND list_has_any(v.aliases, o.aliases)
    GROUP BY ALL
"""


def take_from_others(engine: Engine, artifact_ids: Sequence[str]) -> None:
    """Have the aliases of some versions leave the others, but for those that are not upstream yet.

    Args:
        engine: inside a transaction of the lake.
        artifact_ids: of versions that are written with all their aliases, as the server has them.
    """
    for artifact_id, aliases, taken in engine.execute(_HAVE_THEM_TOO, [artifact_ids, artifact_ids]).fetchall():
        kept = with_names(aliases, (), taken)
        engine.execute("UPDATE lake.artifacts SET aliases = ? WHERE artifact_id = ?", [kept, artifact_id])
