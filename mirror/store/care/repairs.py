"""Rows whose object is lost are marked so that the next pull fetches it again: what was held is now failed, and due.

A pull tries what failed whenever it is due. So a failure is written for each thing of each run that W&B still has,
under the name that the pull gives it, and due at once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import pyarrow as pa

from mirror.store.engine.connection import Engine
from mirror.store.write.values import naive

_LOST = "SELECT digest FROM lost_objects"
_REASON = "its bytes were damaged on this disk"
_VERSION = "a.sequence || ':v' || coalesce(a.version_index::VARCHAR, 'None')"
# Run and item, as the pull names it, of everything that an object is lost of.
_ITEMS = f"""
    SELECT entity, project, run_id, 'file ' || name AS item FROM lake.files
    WHERE object IN ({_LOST}) AND status <> 'gone'
    UNION ALL
    SELECT entity, project, run_id, 'history' FROM lake.exports WHERE object IN ({_LOST})
    UNION ALL
    SELECT l.entity, l.project, l.run_id, 'artifact ' || {_VERSION}
    FROM lake.run_artifacts l JOIN lake.artifacts a USING (artifact_id) WHERE a.manifest IN ({_LOST})
    UNION ALL
    SELECT l.entity, l.project, l.run_id, 'artifact ' || {_VERSION} || ' ' || f.path
    FROM lake.run_artifacts l JOIN lake.artifacts a USING (artifact_id) JOIN lake.artifact_files f USING (artifact_id)
    WHERE f.object IN ({_LOST})
"""


def mark_lost(engine: Engine, digests: Sequence[str], at: dt.datetime) -> int:
    """Mark the rows that name some objects; the caller's transaction makes it visible.

    Args:
        engine: inside a transaction of the lake.
        digests: of the objects, which are out of the way.
        at: UTC; from then on the next pull tries.

    Returns:
        How many things of runs the next pull fetches again.
    """
    engine.register("lost_objects", pa.table({"digest": pa.array(digests, pa.string())}))
    try:
        engine.execute(
            f"CREATE OR REPLACE TEMP TABLE lost_items AS SELECT DISTINCT i.* FROM ({_ITEMS}) i"
            " JOIN lake.runs r USING (entity, project, run_id) WHERE r.gone_at IS NULL"
        )
        engine.execute(
            "DELETE FROM lake.failures WHERE (entity, project, run_id, item) IN (SELECT * FROM temp.lost_items)"
        )
        engine.execute(
            "INSERT INTO lake.failures (entity, project, run_id, item, reason, attempts, first_at, last_at, next_at,"
            f" quarantined) SELECT *, '{_REASON}', 1, $1, $1, $1, false FROM temp.lost_items",
            [naive(at)],
        )
        engine.execute(
            f"UPDATE lake.files SET object = NULL, reason = '{_REASON}',"
            f" status = CASE WHEN status = 'held' THEN 'failed' ELSE status END WHERE object IN ({_LOST})"
        )
        engine.execute(f"DELETE FROM lake.earlier_forms WHERE object IN ({_LOST})")  # nobody has them any more
        # Of an earlier generation there is nothing to fetch: W&B has it no more.
        engine.execute(f"DELETE FROM lake.generation_exports WHERE object IN ({_LOST})")
        engine.execute(f"UPDATE lake.generation_rows SET object = NULL WHERE object IN ({_LOST})")
        engine.execute(f"UPDATE lake.artifacts SET manifest = NULL WHERE manifest IN ({_LOST})")
        engine.execute(
            f"UPDATE lake.artifact_files SET object = NULL, status = 'failed', reason = '{_REASON}'"
            f" WHERE object IN ({_LOST})"
        )
        ((count,),) = engine.execute("SELECT count(*) FROM temp.lost_items").fetchall()
    finally:
        engine.execute("DROP TABLE IF EXISTS temp.lost_items")
        engine.unregister("lost_objects")
    return int(count)
