"""Views as Parquet files in a folder, whole or not at all.

new files under temporary names, flushed     crash: they are removed by the next export
each gets its name, that of its bytes        crash: files that no manifest names; the same
manifest.json, whole                         from here on the new snapshot counts
files that it does not name are removed      crash: the same

No file is ever changed: who reads by a manifest reads one snapshot, or finds that a file is gone and reads it again.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec

from mirror.durable import TMP_PREFIX, publish, sync_file
from mirror.records.addresses import ProjectKey
from mirror.store.engine.connection import Engine, sql_text
from mirror.store.parquet.changes import content_of
from mirror.store.parquet.export import Export, sha256_of
from mirror.store.parquet.manifest import ExportedFile, ExportedTable, ExportKind, ExportManifest
from mirror.store.parquet.parts import Part, Relation, nothing_of, parts

_OURS = re.compile(r"[A-Za-z0-9_-]+-[0-9a-f]{16}\.parquet|" + re.escape(TMP_PREFIX) + "[0-9a-f]+")


class ParquetExport(Export):
    """A folder a view, in it a file a project, or one of all."""

    kind: ExportKind = "parquet"

    def __init__(self, engine: Engine, target: Path, wanted: Sequence[ProjectKey], *, is_all: bool) -> None:
        super().__init__(engine, target, wanted, is_all=is_all)
        self._new: list[tuple[Path, Path]] = []  # temporary name and name

    def table(self, relation: Relation) -> ExportedTable:
        """As `Export.table`."""
        (self.target / relation.name).mkdir(exist_ok=True)
        made = [self._file(part) for part in parts(relation, self.wanted, is_all=self.is_all)]
        if not any(made):
            made = [self._file(nothing_of(relation))]
        files = [file for file in made if file is not None]
        rows = sum(file.rows for file in files)
        return ExportedTable(name=relation.name, rows=rows, columns=relation.columns, metadata=None, files=files)

    def publish(self) -> None:
        """As `Export.publish`."""
        for temporary, path in self._new:
            publish(temporary, path)
        self.written = len(self._new)

    def discard(self) -> None:
        """As `Export.discard`."""
        for temporary, _ in self._new:
            with contextlib.suppress(OSError):
                temporary.unlink()

    def remove_others(self, manifest: ExportManifest) -> None:
        """As `Export.remove_others`."""
        named = {file.path for table in manifest.tables for file in table.files}
        known = {table.name for held in (manifest, self.before) if held for table in held.tables}
        for name in known:
            with contextlib.suppress(OSError):
                for path in (self.target / name).iterdir():
                    if f"{name}/{path.name}" not in named and _OURS.fullmatch(path.name):
                        path.unlink()

    def _file(self, part: Part) -> ExportedFile | None:
        """The file of a part: the one that is there if it holds what the part holds; None: a project has nothing."""
        if part.project is not None and self.sources.have_none_of(part):
            return None
        held, source = self._held(part), self.sources.of(part)
        if held is not None and self.is_as_held(part, held, source):
            return msgspec.structs.replace(held, source=source)
        return self._written(part, source)

    def _written(self, part: Part, source: str) -> ExportedFile | None:
        folder = self.target / part.relation.name
        temporary = folder / f"{TMP_PREFIX}{secrets.token_hex(8)}"
        self._new.append((temporary, temporary))
        file_text = sql_text(str(temporary))
        row = self.engine.execute(f"COPY ({part.query}) TO {file_text} (FORMAT parquet, COMPRESSION zstd)").fetchone()
        assert row is not None
        if not row[0] and part.project is not None:
            temporary.unlink()
            self._new.pop()
            return None
        sync_file(temporary)
        digest = sha256_of(temporary)
        path = folder / f"{part.label}-{digest[:16]}.parquet"
        self._new[-1] = temporary, path
        return ExportedFile(
            path=f"{part.relation.name}/{path.name}",
            entity=part.project.entity if part.project else None,
            project=part.project.project if part.project else None,
            rows=int(row[0]),
            bytes=temporary.stat().st_size,
            sha256=digest,
            content=content_of(self.engine, part.relation, f"FROM read_parquet({file_text})"),
            source=source,
        )

    def _held(self, part: Part) -> ExportedFile | None:
        """The file of the last export for a part, where it is there."""
        table = self.held_table(part.relation)
        key = tuple(part.project) if part.project else (None, None)
        files = table.files if table else ()
        return next((file for file in files if (file.entity, file.project) == key and self.is_there(file)), None)
