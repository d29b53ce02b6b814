"""What of a run, or of one of its artifacts, can be written out: the rows behind `wandb-mirror checkout`."""

from __future__ import annotations

import msgspec

from mirror.layout import Home
from mirror.records.addresses import RunPath
from mirror.store.engine.connection import Engine, store_errors
from mirror.typed import struct_of

_RUN = "entity = $1 AND project = $2 AND run_id = $3"


class ListedBytes(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a run or an artifact."""

    name: str  # slash path, untrusted
    size: int | None  # bytes
    object: str | None  # digest of the bytes; None: not held
    status: str
    reason: str | None


def run_is_held(engine: Engine, home: Home, run: RunPath) -> bool:
    """Whether the mirror holds this run at all."""
    with store_errors(home):
        return bool(engine.execute(f"SELECT 1 FROM lake.runs WHERE {_RUN}", list(run)).fetchall())


def files_of_run(engine: Engine, home: Home, run: RunPath, *, gone: bool) -> list[ListedBytes]:
    """Files of a run, by name; with `gone` also those that the server no longer lists."""
    return _ask(
        engine,
        home,
        f"SELECT name, size, object, status, reason FROM lake.files WHERE {_RUN} AND ($4 OR status <> 'gone')"
        " ORDER BY name",
        [*run, gone],
    )


def files_of_artifact(engine: Engine, home: Home, run: RunPath, name: str) -> list[ListedBytes] | None:
    """Files of a version that a run logged or used.

    Args:
        engine: with the lake attached, from `connect`.
        home: for error messages.
        run: entity, project, run id.
        name: as `model:v3`, or with an alias, `model:best`.

    Returns:
        None when the run has no such version.
    """
    sequence, _, version = name.rpartition(":")
    with store_errors(home):
        found = engine.execute(
            "SELECT artifact_id FROM lake.artifacts WHERE sequence = $4"
            " AND ('v' || version_index::VARCHAR = $5 OR list_contains(aliases, $5))"
            f" AND artifact_id IN (SELECT artifact_id FROM lake.run_artifacts WHERE {_RUN})",
            [*run, sequence, version],
        ).fetchall()  # to the end: an answer that is not keeps its state from going
    if not found:
        return None
    return _ask(
        engine,
        home,
        "SELECT path, size, object, status, reason FROM lake.artifact_files WHERE artifact_id = $1 ORDER BY path",
        [found[0][0]],
    )


def _ask(engine: Engine, home: Home, query: str, parameters: list[object]) -> list[ListedBytes]:
    with store_errors(home):
        rows = engine.execute(query, parameters).fetchall()
    return [struct_of(ListedBytes, row) for row in rows]
