"""Views of one snapshot as files in a folder, whole or not at all; what is unchanged is not written again.

new files under temporary names, flushed     crash: they are removed by the next export
each gets its name, that of its bytes        crash: files that no manifest names; the same
manifest.json, whole                         from here on the new snapshot counts
files that it does not name are removed      crash: the same

No file is ever changed: who reads by a manifest reads one snapshot, or finds that a file is gone and reads it again.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import duckdb
import msgspec

from mirror.clock import utc_now
from mirror.durable import TMP_PREFIX, publish, sync_file, sync_folder, write_replace
from mirror.errors import NotMirrored, Refused
from mirror.layout import Home
from mirror.records.addresses import ProjectKey
from mirror.store.engine.connection import Engine, plan_lightly, sql_text, store_errors
from mirror.store.parquet.changes import Sources, content_of
from mirror.store.parquet.folder import locked, make_folder, writing
from mirror.store.parquet.manifest import (
    FORMAT,
    MANIFEST,
    ExportedFile,
    ExportedTable,
    ExportKind,
    ExportManifest,
    read_manifest,
)
from mirror.store.parquet.parts import Part, Relation, nothing_of, parts, relations
from mirror.store.sql.statements import connect
from mirror.store_settings import StoreSettings

_OURS = re.compile(r"[A-Za-z0-9_-]+-[0-9a-f]{16}\.parquet|" + re.escape(TMP_PREFIX) + "[0-9a-f]+")


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What an export did."""

    snapshot: int
    tables: int
    rows: int
    files: int
    written: int  # of them, those that are new


def export_tables(
    home: Home,
    target: Path,
    projects: Sequence[ProjectKey] = (),
    settings: StoreSettings | None = None,
    kind: ExportKind = "parquet",
) -> Exported:
    """Write the views of a home as files.

    Args:
        home: whose lake.
        target: a folder, absolute: one of an earlier export, an empty one, or one that is made.
        projects: that are wanted; none: all.
        settings: memory and threads.
        kind: of files.

    Raises:
        Refused: the folder holds other things.
        NotMirrored: nothing is mirrored, or a project is not.
        HomeBusy: another export into it is under way.
        StoreError: the lake cannot be read, or the folder not be written. It is as it was.
    """
    with connect(home, settings=settings) as engine, store_errors(home):
        engine.execute("BEGIN")
        wanted = _wanted(engine, home, projects)
        begin: type[Export] = ParquetExport
        if kind == "iceberg":
            from mirror.store.parquet.iceberg import IcebergExport, load_iceberg

            load_iceberg(engine)
            begin = IcebergExport
        make_folder(target)
        with writing(target), locked(target):
            return begin(engine, target, wanted, is_all=not projects).write()


class Export(ABC):
    """One export under way.

    Args:
        engine: with the views, inside the transaction that is exported.
        target: the folder, locked.
        wanted: the projects.
        is_all: whether these are all that there are.
    """

    kind: ExportKind

    def __init__(self, engine: Engine, target: Path, wanted: Sequence[ProjectKey], *, is_all: bool) -> None:
        self.engine, self.target, self.wanted, self.is_all = engine, target, wanted, is_all
        self.before = read_manifest(target)
        if self.before is not None and self.before.kind != self.kind:
            raise Refused(f"{target} holds an export of another kind ({self.before.kind})", hint="name another folder")
        row = engine.execute("SELECT id FROM lake.current_snapshot()").fetchone()
        assert row is not None
        self._snapshot = int(row[0])
        plan_lightly(engine)
        self.sources = Sources(engine, self._snapshot)
        self.written = 0

    @abstractmethod
    def table(self, relation: Relation) -> ExportedTable:
        """Have the files of a view there, flushed; none counts yet."""

    @abstractmethod
    def publish(self) -> None:
        """Give new files the names that the manifest has."""

    @abstractmethod
    def discard(self) -> None:
        """Remove what was written, as far as that goes."""

    @abstractmethod
    def remove_others(self, manifest: ExportManifest) -> None:
        """Remove what is ours and not of this manifest; what cannot be removed goes next time."""

    def write(self) -> Exported:
        """All of it."""
        try:
            found = [self.table(relation) for relation in relations(self.engine)]
            self.publish()
            sync_folder(self.target)
        except BaseException:
            self.discard()
            raise
        manifest = ExportManifest(
            format=FORMAT,
            kind=self.kind,
            location=str(self.target),
            made_at=utc_now().isoformat(timespec="seconds").replace("+00:00", "Z"),
            duckdb=duckdb.__version__,
            snapshot=self._snapshot,
            projects=[] if self.is_all else [str(key) for key in self.wanted],
            tables=found,
        )
        write_replace(self.target / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)) + b"\n", mode=0o666)
        self.remove_others(manifest)
        return Exported(
            snapshot=self._snapshot,
            tables=len(found),
            rows=sum(table.rows for table in found),
            files=sum(len(table.files) for table in found),
            written=self.written,
        )

    def is_as_held(self, part: Part, held: ExportedFile, source: str) -> bool:
        """Whether a file that is there holds what a part holds now."""
        if source and held.source == source:
            return True
        if self.before is None or self.before.duckdb != duckdb.__version__:
            return False
        rows = part.relation.query(part.condition, sorted_rows=False)
        return held.content == content_of(self.engine, part.relation, rows)

    def held_table(self, relation: Relation) -> ExportedTable | None:
        """The table of the last export, where it has the same columns."""
        table = self.before.table(relation.name) if self.before else None
        return table if table is not None and table.columns == relation.columns else None

    def is_there(self, file: ExportedFile) -> bool:
        """Whether a file is there with its size."""
        with contextlib.suppress(OSError):
            return (self.target / file.path).stat().st_size == file.bytes
        return False


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


def sha256_of(path: Path) -> str:
    """The digest of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _wanted(engine: Engine, home: Home, projects: Sequence[ProjectKey]) -> list[ProjectKey]:
    """The projects to export, in order; each is in the mirror."""
    rows = engine.execute("SELECT entity, project FROM projects UNION SELECT entity, project FROM runs").fetchall()
    held = sorted(ProjectKey(*row) for row in rows)
    for key in projects:
        if key not in held:
            raise NotMirrored(f"the project {key} is not in {home.root}", hint="`wandb-mirror runs` lists what is")
    return [key for key in held if not projects or key in projects]
