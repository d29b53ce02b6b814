"""The mirror for SQL: the views of the lake, and runs as what is queued will make them."""

from __future__ import annotations

import os

from mirror.config import StoreSettings
from mirror.layout import Home, find_home
from mirror.run.pending.listing import queued_runs
from mirror.run.pending.local import LocalMirror
from mirror.store.engine.connection import Engine
from mirror.store.read.sql import connect as connect_upstream


def connect(home: str | os.PathLike[str] | Home | None = None, *, settings: StoreSettings | None = None) -> Engine:
    """Open the mirror for SQL: `mirror.connect().sql("SELECT state, count(*) FROM runs GROUP BY 1")`.

    The lake is attached read-only as `lake`; the views `projects`, `sweeps`, `runs`, `sources`, `failures` and others
    are in scope by their plain names. `runs` has what was queued when the connection was opened as if it had happened;
    `runs_upstream` has runs as they are mirrored. Each statement sees one whole commit; inside `BEGIN … COMMIT` all
    statements see the same one. Works while a pull writes, and in a folder that cannot be written.

    Args:
        home: the mirror's directory; else `WANDB_MIRROR_HOME`, else the user's data folder.
        settings: memory and threads of the engine; without them DuckDB takes what the machine has.

    Returns:
        A DuckDB connection of this process's own; close it when done.

    Raises:
        NotMirrored: nothing was pulled into this home yet.
        LakeTooNew: a newer wandb-mirror wrote it.
        StoreError: the catalog cannot be read.
    """
    place = home if isinstance(home, Home) else find_home(home)
    local = LocalMirror(place)
    waiting = local.waiting()  # before the lake: see `LocalMirror.pending`
    try:
        queued = [run for project, runs in waiting.items() for run in queued_runs(local, project, runs)]
    finally:
        local.reader.close()
    return connect_upstream(place, settings=settings, queued=queued)
