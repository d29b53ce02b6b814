"""Files of a run as rows: what `mirror.run` makes its `File` objects of."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mirror.records.addresses import RunPath
from mirror.records.contents import FileStatus
from mirror.store.engine.reader import Reader
from mirror.typed import struct_of

_RUN = "entity = ? AND project = ? AND run_id = ?"
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


_COLUMNS = "name, file_id, size, md5, mimetype, updated_at_text, object, status, reason"


def list_file_names(reader: Reader, run: RunPath, among: Sequence[str] | None = None) -> list[str]:
    """Names of the files that the server lists, sorted.

    Args:
        reader: of the mirror.
        run: entity, project, run id.
        among: only these; None for all.
    """
    query = f"SELECT name FROM lake.files WHERE {_RUN} AND status <> 'gone'"
    if among is None:
        rows = reader.rows(f"{query} ORDER BY name", run)
    else:
        rows = reader.rows(f"{query} AND {_SOME} ORDER BY name", [*run, list(among)])
    return [name for (name,) in rows]


def read_files(reader: Reader, run: RunPath, names: Sequence[str]) -> dict[str, RunFile]:
    """Those of the named files that are known, by name; also those that the server no longer lists."""
    rows = reader.rows(f"SELECT {_COLUMNS} FROM lake.files WHERE {_RUN} AND {_SOME}", [*run, list(names)])
    return {row[0]: struct_of(RunFile, row) for row in rows}


def why_unlisted(reader: Reader, run: RunPath, items: Sequence[str]) -> str | None:
    """Why something of a run could not be listed, if the last pull failed at it.

    Args:
        reader: of the mirror.
        run: entity, project, run id.
        items: names of what may fail, as the pull records them.
    """
    rows = reader.rows(
        f"SELECT reason FROM lake.failures WHERE {_RUN} AND item IN (SELECT unnest(?::VARCHAR[])) ORDER BY item",
        [*run, list(items)],
    )
    return rows[0][0] if rows else None
