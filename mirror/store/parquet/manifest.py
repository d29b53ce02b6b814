"""The manifest of an export: which files make up one snapshot of the lake, and what they hold."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from mirror.errors import ConfigError
from mirror.typed import decode

MANIFEST = "manifest.json"
FORMAT = 1  # of the manifest and of what the digests in it are made of

ExportKind = Literal["parquet", "iceberg"]


class ExportedColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a table."""

    name: str
    type: str  # DuckDB's name; JSON is a text in the file


class ExportedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a table."""

    path: str  # below the folder, with slashes
    entity: str | None  # of the project that it is of; null: of all
    project: str | None
    rows: int
    bytes: int
    sha256: str
    content: str  # equal for equal rows, of one version of DuckDB
    source: str  # equal while the lake's own files for it are; empty: not known


class ExportedTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table."""

    name: str
    rows: int
    columns: list[ExportedColumn]
    metadata: str | None  # of an Iceberg table: the path of its metadata, below the folder
    files: list[ExportedFile]


class ExportManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an export came to."""

    format: int
    kind: ExportKind
    location: str  # the folder
    made_at: str  # ISO 8601, UTC
    duckdb: str  # its version
    snapshot: int  # of the lake
    projects: list[str]  # that were asked for, as ENTITY/PROJECT; empty: all
    tables: list[ExportedTable]

    def table(self, name: str) -> ExportedTable | None:
        """The table of a name."""
        return next((table for table in self.tables if table.name == name), None)


def read_manifest(folder: Path) -> ExportManifest | None:
    """The manifest of a folder; None: there is none, or it is of another format.

    Raises:
        ConfigError: it cannot be read, or is no manifest of ours.
    """
    path = folder / MANIFEST
    try:
        found = decode(path.read_bytes(), ExportManifest)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ConfigError(
            f"{path} is no manifest of an export", hint="name another folder, or remove this one and export anew"
        ) from error
    return found if found.format == FORMAT else None
