"""Whether anybody still reads an older state of the lake: asked of the catalog itself, which knows its readers.

A reader's transaction holds a lock on the place in SQLite's write-ahead log up to which it reads. SQLite writes the
log back into the catalog only as far as the reader furthest behind. So a log that went back whole has nobody reading
an older state; who comes later sees the newest one.

It is asked through the engine: two SQLite libraries in one process would take each other's locks away.
"""

from __future__ import annotations

from mirror.store.engine.connection import CATALOG, Engine, sql_text


def all_read_the_newest(engine: Engine) -> bool:
    """Whether every reader on this machine sees the last commit. Waits some seconds for those that do not.

    Not seen are readers of a folder that they cannot write: they read a copy of the catalog.
    """
    row = engine.execute(f"FROM sqlite_query({sql_text(CATALOG)}, 'PRAGMA wal_checkpoint(FULL)')").fetchone()
    return row is not None and int(row[0]) == 0
