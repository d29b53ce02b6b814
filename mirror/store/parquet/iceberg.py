"""Views as Iceberg tables in a folder, without a catalog: a folder a view, which DuckDB's extension writes.

data and metadata under new names        crash: files that no manifest names; the next export removes them
metadata/version-hint.text, by DuckDB    who reads by it reads the new table, which is whole
all of it flushed, then manifest.json    from here on the new snapshot counts
files that it does not name are removed

Metadata name files by their full paths, so that a folder which was moved is written anew.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import msgspec

from mirror.durable import sync_new_files
from mirror.errors import StoreError
from mirror.store.engine.connection import Engine, extension_file, sql_text
from mirror.store.parquet.changes import content_of
from mirror.store.parquet.export import Export, sha256_of
from mirror.store.parquet.manifest import ExportedFile, ExportedTable, ExportKind, ExportManifest
from mirror.store.parquet.parts import Part, Relation, all_of

EXTENSIONS = ("duckdb_extension_avro", "duckdb_extension_iceberg")
_HINT = "version-hint.text"
_FOLDERS = ("data", "metadata")
_OURS = re.compile(r"[0-9a-f-]{36}\.parquet|[\w-]+\.avro|[0-9a-f-]{36}\.metadata\.json")


def load_iceberg(engine: Engine) -> None:
    """Load the extensions.

    Raises:
        StoreError: the extra `iceberg` is not installed.
    """
    try:
        for package in EXTENSIONS:
            engine.execute(f"LOAD {sql_text(str(extension_file(package)))}")
    except StoreError as error:
        raise StoreError("--iceberg needs the extra `iceberg`", hint='pip install "wandb-mirror[iceberg]"') from error


class IcebergExport(Export):
    """A table a view, of one data file or more."""

    kind: ExportKind = "iceberg"

    def table(self, relation: Relation) -> ExportedTable:
        """As `Export.table`."""
        part = all_of(relation, self.wanted, is_all=self.is_all)
        source, held = self.sources.of(part), self._held(relation)
        if held is not None and self._is_as_held(part, held, source):
            files = [msgspec.structs.replace(file, source=source) for file in held.files]
            return msgspec.structs.replace(held, files=files)
        return self._written(part, source)

    def publish(self) -> None:
        """They have them."""

    def discard(self) -> None:
        """The next export does that: a reader may have begun to read them."""

    def remove_others(self, manifest: ExportManifest) -> None:
        """As `Export.remove_others`."""
        named = {file.path for table in manifest.tables for file in table.files}
        named |= {str(table.metadata) for table in manifest.tables}
        for table in manifest.tables:
            of_table = _avro_files(self.engine, self.target / str(table.metadata))
            for name in _FOLDERS:
                with contextlib.suppress(OSError):
                    for path in (self.target / table.name / name).iterdir():
                        is_needed = f"{table.name}/{name}/{path.name}" in named or path.name in of_table
                        if not is_needed and _OURS.fullmatch(path.name):
                            path.unlink()

    def _written(self, part: Part, source: str) -> ExportedTable:
        relation = part.relation
        folder = self.target / relation.name
        known = {str(path) for name in _FOLDERS for path in (folder / name).glob("*") if path.name != _HINT}
        place = sql_text(str(folder))
        self.engine.execute(f"COPY ({part.query}) TO {place} (FORMAT iceberg)")
        new = [path for path in sync_new_files(folder, known) if path.parent.name == "data"]
        self.written += len(new)
        metadata = folder / "metadata" / f"{_hinted(folder)}.metadata.json"
        scanned = f"FROM iceberg_scan({sql_text(str(metadata))})"
        content = content_of(self.engine, relation, scanned)
        files = [
            ExportedFile(
                path=f"{relation.name}/data/{path.name}", entity=None, project=None, rows=self._rows(path),
                bytes=path.stat().st_size, sha256=sha256_of(path), content=content, source=source,
            )
            for path in sorted(new)
        ]  # fmt: skip
        return ExportedTable(
            name=relation.name,
            rows=sum(file.rows for file in files),
            columns=relation.columns,
            metadata=f"{relation.name}/metadata/{metadata.name}",
            files=files,
        )

    def _is_as_held(self, part: Part, held: ExportedTable, source: str) -> bool:
        if held.files:
            return self.is_as_held(part, held.files[0], source)
        if self.sources.have_none_of(part):
            return True
        row = self.engine.execute(f"SELECT 1 FROM ({part.query}) LIMIT 1").fetchone()
        return row is None

    def _rows(self, path: Path) -> int:
        row = self.engine.execute(f"SELECT count(*) FROM read_parquet({sql_text(str(path))})").fetchone()
        assert row is not None
        return int(row[0])

    def _held(self, relation: Relation) -> ExportedTable | None:
        """The table of the last export, where it is there, and what its hint names."""
        table = self.held_table(relation)
        if table is None or self.before is None or self.before.location != str(self.target):
            return None
        hinted = f"{relation.name}/metadata/{_hinted(self.target / relation.name)}.metadata.json"
        is_whole = hinted == table.metadata and (self.target / hinted).exists()
        return table if is_whole and all(map(self.is_there, table.files)) else None


def _hinted(folder: Path) -> str:
    """The version that a table's hint names; none is empty."""
    with contextlib.suppress(OSError):
        return (folder / "metadata" / _HINT).read_text().strip()
    return ""


def _avro_files(engine: Engine, metadata: Path) -> set[str]:
    """Names of the lists of files that a table's metadata need."""
    scanned = sql_text(str(metadata))
    rows = engine.execute(
        f"SELECT manifest_path FROM iceberg_metadata({scanned})"
        f" UNION SELECT manifest_list FROM iceberg_snapshots({scanned})"
    ).fetchall()
    return {str(path).rpartition("/")[2] for (path,) in rows}
