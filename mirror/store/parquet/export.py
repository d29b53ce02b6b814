"""One export under way, whatever its files are: what is unchanged stays, and the manifest comes last."""

from __future__ import annotations

import contextlib
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import duckdb
import msgspec

from mirror.clock import utc_now
from mirror.durable import sync_folder, write_replace
from mirror.errors import Refused
from mirror.records.addresses import ProjectKey
from mirror.store.engine.connection import Engine, plan_lightly
from mirror.store.parquet.changes import Sources, content_of
from mirror.store.parquet.manifest import (
    FORMAT,
    MANIFEST,
    ExportedFile,
    ExportedTable,
    ExportKind,
    ExportManifest,
    read_manifest,
)
from mirror.store.parquet.parts import Part, Relation, relations


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What an export did."""

    snapshot: int
    tables: int
    rows: int
    files: int
    written: int  # of them, those that are new


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


def sha256_of(path: Path) -> str:
    """The digest of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
