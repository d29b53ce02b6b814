"""Files of runs as rows: for those who show them, write them out, plan a pull, or queue an upload."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from mirror.records.addresses import ProjectKey, RunPath
from mirror.records.contents import FileRow, FileStatus, HeldFile
from mirror.store.engine.queries import Queryable, aware_structs, columns_of, structs
from mirror.store.schema.keys import OF_RUN, OF_RUNS
from mirror.typed import struct_of

_OF_RUN = f"FROM lake.files WHERE {OF_RUN}"
_OF_RUNS = f"FROM lake.files WHERE {OF_RUNS}"
_SOME = "name IN (SELECT unnest(?::VARCHAR[]))"


class RunFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file as the server listed it, and what became of its bytes here."""

    name: str  # slash path, untrusted
    file_id: str | None
    size: int | None  # bytes
    md5: str | None  # base64
    mimetype: str | None
    updated_at: str | None  # as sent
    object: str | None  # digest of the bytes; only with the status "held" they are the ones listed
    status: FileStatus
    reason: str | None  # why it was left out or failed


class ListedBytes(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a run or an artifact that can be written out."""

    name: str  # slash path, untrusted
    size: int | None  # bytes
    object: str | None  # digest of the bytes; None: not held
    status: str
    reason: str | None


_RUN_FILE = columns_of(RunFile, updated_at="updated_at_text")


def list_file_names(lake: Queryable, run: RunPath, among: Sequence[str] | None = None) -> list[str]:
    """Names of the files that the server lists, sorted.

    Args:
        lake: to ask.
        run: entity, project, run id.
        among: only these; None for all.
    """
    query = f"SELECT name {_OF_RUN} AND status <> 'gone'"
    if among is None:
        rows = lake.rows(f"{query} ORDER BY name", run)
    else:
        rows = lake.rows(f"{query} AND {_SOME} ORDER BY name", [*run, list(among)])
    return [name for (name,) in rows]


def read_files(lake: Queryable, run: RunPath, names: Sequence[str]) -> dict[str, RunFile]:
    """Those of the named files that are known, by name; also those that the server no longer lists."""
    rows = lake.rows(f"SELECT {_RUN_FILE} {_OF_RUN} AND {_SOME}", [*run, list(names)])
    return {file.name: file for file in structs(RunFile, rows)}


def files_from_here(lake: Queryable, key: ProjectKey, run_ids: Sequence[str]) -> dict[str, list[FileRow]]:
    """The files of some runs that no server has listed, whose bytes are held: by run id, each by name."""
    rows = lake.rows(
        f"SELECT run_id, {columns_of(FileRow)} {_OF_RUNS} AND file_id IS NULL AND status = 'held'"
        " AND object IS NOT NULL ORDER BY run_id, name",
        [*key, list(run_ids)],
    )
    found: dict[str, list[FileRow]] = {}
    for (run_id, *_), file in zip(rows, aware_structs(FileRow, [row[1:] for row in rows]), strict=True):
        found.setdefault(run_id, []).append(file)
    return found


def files_by_id(lake: Queryable, file_ids: Iterable[str]) -> dict[str, tuple[RunPath, str]]:
    """The runs and names of the files that W&B's opaque ids name; those that are not listed are left out."""
    query = "SELECT file_id, entity, project, run_id, name FROM lake.files WHERE status <> 'gone'"
    rows = lake.rows(f"{query} AND file_id IN (SELECT unnest(?::VARCHAR[]))", [list(file_ids)])
    return {found: (RunPath(entity, project, run_id), name) for found, entity, project, run_id, name in rows}


def files_of_run(lake: Queryable, run: RunPath, *, gone: bool) -> list[ListedBytes]:
    """Files of a run, by name; with `gone` also those that the server no longer lists."""
    query = f"SELECT {columns_of(ListedBytes)} {_OF_RUN} AND (? OR status <> 'gone') ORDER BY name"
    return structs(ListedBytes, lake.rows(query, [*run, gone]))


def held_files(lake: Queryable, key: ProjectKey, run_ids: Iterable[str]) -> dict[str, dict[str, HeldFile]]:
    """The files of the named runs, by run id and name; runs without a file are left out."""
    held: dict[str, dict[str, HeldFile]] = {}
    query = f"SELECT run_id, name, {columns_of(HeldFile)} {_OF_RUNS}"
    for run_id, name, *values in lake.rows(query, [key.entity, key.project, list(run_ids)]):
        held.setdefault(run_id, {})[name] = struct_of(HeldFile, values)
    return held


def listed_files(lake: Queryable, key: ProjectKey, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], HeldFile]:
    """Those of the files that the server lists, by run id and name.

    Args:
        lake: to ask.
        key: the project.
        names: run ids and names of files in the runs.
    """
    held = _named_files(lake, columns_of(HeldFile), key, names)
    return {name: file for name, values in held.items() if (file := struct_of(HeldFile, values)).status != "gone"}


def held_objects(lake: Queryable, key: ProjectKey, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Digests of the files of these run ids and names whose bytes are held."""
    held = _named_files(lake, "object", key, names)
    return {name: digest for name, (digest,) in held.items() if digest is not None}


def _named_files(
    lake: Queryable, columns: str, key: ProjectKey, names: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], Sequence[Any]]:
    wanted = set(names)
    run_ids, file_names = (sorted({name[part] for name in wanted}) for part in (0, 1))
    rows = lake.rows(
        f"SELECT run_id, name, {columns} {_OF_RUNS} AND {_SOME}", [key.entity, key.project, run_ids, file_names]
    )
    return {(run_id, name): values for run_id, name, *values in rows if (run_id, name) in wanted}
