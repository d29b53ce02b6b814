"""What the mirror has of the runs and files that an upload is about, for those who queue many at a time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec

from mirror.records.addresses import ProjectKey
from mirror.store.engine.lake import Lake
from mirror.store.engine.literals import inlined

_OF = "entity = ? AND project = ? AND run_id IN (SELECT unnest(?::VARCHAR[]))"


class HeldRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the last pull saw it."""

    storage_id: str | None
    is_gone: bool  # the server has deleted it


def held_runs(lake: Lake, key: ProjectKey, run_ids: Collection[str]) -> dict[str, HeldRun]:
    """Those of the runs that the mirror holds, by id.

    Raises:
        StoreError: the lake cannot be read.
    """
    query = inlined(
        f"SELECT run_id, storage_id, gone_at IS NOT NULL FROM lake.runs WHERE {_OF}",
        [key.entity, key.project, list(run_ids)],
    )
    with lake.reading() as engine:
        rows = engine.execute(query).fetchall()
    return {run_id: HeldRun(storage_id=storage_id or None, is_gone=gone) for run_id, storage_id, gone in rows}


class Listed(NamedTuple):
    """A file as the server lists it."""

    size: int | None  # bytes; None: the server does not say, as for the next
    md5: str | None  # base64


def listed_files(lake: Lake, key: ProjectKey, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Listed]:
    """Those of the files that the server lists, by run id and name.

    Args:
        lake: to ask.
        key: the project.
        names: run ids and names of files in the runs.

    Raises:
        StoreError: the lake cannot be read.
    """
    wanted = set(names)
    query = inlined(
        f"SELECT run_id, name, size, md5 FROM lake.files WHERE {_OF} AND name IN (SELECT unnest(?::VARCHAR[]))"
        " AND status <> 'gone'",
        [key.entity, key.project, sorted({run_id for run_id, _ in wanted}), sorted({name for _, name in wanted})],
    )
    with lake.reading() as engine:
        rows = engine.execute(query).fetchall()
    return {(run_id, name): Listed(size, md5) for run_id, name, size, md5 in rows if (run_id, name) in wanted}
