"""The mirror for SQL: the views of the lake, and runs as what is queued will make them."""

from __future__ import annotations

import os
from functools import partial
from typing import Any
from urllib.parse import unquote

from mirror.errors import NotMirrored
from mirror.layout import Home, find_home
from mirror.records.addresses import RunPath
from mirror.run.naming import named_run
from mirror.run.pending.listing import queued_runs
from mirror.run.pending.local import LocalMirror
from mirror.store.engine.connection import Engine
from mirror.store.sql.statements import connect as connect_upstream
from mirror.store_settings import StoreSettings
from mirror.texts.typed_paths import id_of_typed


def connect(home: str | os.PathLike[str] | Home | None = None, *, settings: StoreSettings | None = None) -> Engine:
    """Open the mirror for SQL: `mirror.connect().sql("SELECT state, count(*) FROM runs GROUP BY 1")`.

    The lake is attached read-only as `lake`; the views `projects`, `sweeps`, `runs`, `sources`, `failures` and others
    are in scope by their plain names. `runs` has what was queued when the connection was opened as if it had happened;
    `runs_upstream` has runs as they are mirrored. Each statement sees one whole commit; inside `BEGIN … COMMIT` all
    statements see the same one. A table that a run logged is `mirror.Api().run(…).table(key).to_arrow()`, which DuckDB
    takes by the name of its variable. Works while a pull writes, and in a folder that cannot be written.

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
    return connect_upstream(place, settings=settings, queued=queued, tables=partial(_logged_table, place))


def _logged_table(home: Home, name: str, key: str) -> Any:
    """A table that `logged_table('run', 'key')` calls for.

    Raises:
        NotMirrored: the run, the table or its bytes are not in this mirror.
        CommError: several runs have the name.
    """
    from mirror.run.run import Run  # here: few questions call for one

    local = LocalMirror(home)
    try:
        return Run(local, _run_named(local, name)).table(key).to_arrow()
    finally:
        local.reader.close()


def _run_named(local: LocalMirror, name: str) -> RunPath:
    """The run of a path, `project/name` or a name, of a mirror where only one is called so."""
    parts = name.strip("/").split("/")
    if len(parts) == 3:
        return RunPath(unquote(parts[0]), unquote(parts[1]), id_of_typed(parts[2]))
    if (found := named_run(local, name)) is None:
        raise NotMirrored(f"{name!r} does not name a run of this mirror", hint="write ENTITY/PROJECT/RUN_ID")
    return found
