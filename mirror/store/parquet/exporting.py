"""Views of one snapshot as Parquet files in a folder, whole or not at all; what is unchanged is not written again.

new files under temporary names, flushed     crash: they are removed by the next export
each gets its name, that of its bytes        crash: files that no manifest names; the same
manifest.json, whole                         from here on the new snapshot counts
files that it does not name are removed      crash: the same

No file is ever changed: who reads by a manifest reads one snapshot, or finds that a file is gone and reads it again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import msgspec

from mirror.clock import utc_now
from mirror.durable import FULL, TMP_PREFIX, publish, sync_file, sync_folder, write_replace
from mirror.errors import ConfigError, NotMirrored, Refused, StoreError
from mirror.layout import Home
from mirror.locks import ProcessLock
from mirror.records.addresses import ProjectKey
from mirror.store.engine.connection import Engine, plan_lightly, sql_text, store_errors
from mirror.store.parquet.changes import Sources, content_of
from mirror.store.parquet.manifest import (
    FORMAT,
    MANIFEST,
    ExportedFile,
    ExportedTable,
    ExportManifest,
    read_manifest,
)
from mirror.store.parquet.parts import Part, Relation, nothing_of, parts, relations
from mirror.store.sql.statements import connect
from mirror.store_settings import StoreSettings

LOCK = ".export.lock"  # also tells a folder of ours from another
_HOLDER = ".export.json"
_OURS = re.compile(r"[A-Za-z0-9_-]+-[0-9a-f]{16}\.parquet|" + re.escape(TMP_PREFIX) + "[0-9a-f]+")
_EXAMPLE = "`wandb-mirror runs` lists what is mirrored"


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What an export did."""

    snapshot: int
    tables: int
    rows: int
    files: int
    written: int  # of them, those that are new


def export_parquet(
    home: Home, target: Path, projects: Sequence[ProjectKey] = (), settings: StoreSettings | None = None
) -> Exported:
    """Write the views of a home as Parquet files.

    Args:
        home: whose lake.
        target: a folder: one of an earlier export, an empty one, or one that is made.
        projects: that are wanted; none: all.
        settings: memory and threads.

    Raises:
        Refused: the folder holds other things.
        NotMirrored: nothing is mirrored, or a project is not.
        HomeBusy: another export into it is under way.
        StoreError: the lake cannot be read, or the folder not be written. It is as it was.
    """
    with connect(home, settings=settings) as engine, store_errors(home):
        engine.execute("BEGIN")
        wanted = _wanted(engine, home, projects)
        _make_folder(target)
        with _writing(target), _locked(target):
            return _Export(engine, target, wanted, is_all=not projects).write()


class _Export:
    def __init__(self, engine: Engine, target: Path, wanted: Sequence[ProjectKey], *, is_all: bool) -> None:
        self._engine, self._target, self._wanted, self._is_all = engine, target, wanted, is_all
        self._before = read_manifest(target)
        row = engine.execute("SELECT id FROM lake.current_snapshot()").fetchone()
        assert row is not None
        self._snapshot = int(row[0])
        plan_lightly(engine)
        self._sources = Sources(engine, self._snapshot)
        self._new: list[tuple[Path, Path]] = []  # temporary name and name

    def write(self) -> Exported:
        """All of it."""
        try:
            found = [self._table(relation) for relation in relations(self._engine)]
            for temporary, path in self._new:
                publish(temporary, path)
            sync_folder(self._target)
        except BaseException:
            for temporary, _ in self._new:
                with contextlib.suppress(OSError):
                    temporary.unlink()
            raise
        manifest = ExportManifest(
            format=FORMAT,
            made_at=utc_now().isoformat(timespec="seconds").replace("+00:00", "Z"),
            duckdb=duckdb.__version__,
            snapshot=self._snapshot,
            projects=[] if self._is_all else [str(key) for key in self._wanted],
            tables=found,
        )
        write_replace(self._target / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)) + b"\n", mode=0o666)
        self._remove_others(manifest)
        return Exported(
            snapshot=self._snapshot,
            tables=len(found),
            rows=sum(table.rows for table in found),
            files=sum(len(table.files) for table in found),
            written=len(self._new),
        )

    def _table(self, relation: Relation) -> ExportedTable:
        (self._target / relation.name).mkdir(exist_ok=True)
        made = [self._file(part) for part in parts(relation, self._wanted, is_all=self._is_all)]
        if not any(made):
            made = [self._file(nothing_of(relation))]
        files = [file for file in made if file is not None]
        rows = sum(file.rows for file in files)
        return ExportedTable(name=relation.name, rows=rows, columns=relation.columns, files=files)

    def _file(self, part: Part) -> ExportedFile | None:
        """The file of a part: the one that is there if it holds what the part holds; None: a project has nothing."""
        source, relation = self._sources.of(part), part.relation
        if part.project is not None and self._sources.have_none_of(part):
            return None
        held = self._held(part)
        if held is None:
            return self._written(part, source)
        if source and held.source == source:
            return held
        if self._before is not None and self._before.duckdb == duckdb.__version__:
            rows = relation.query(part.condition, sorted_rows=False)
            if held.content == content_of(self._engine, relation, rows):
                return msgspec.structs.replace(held, source=source)
        return self._written(part, source)

    def _written(self, part: Part, source: str) -> ExportedFile | None:
        folder = self._target / part.relation.name
        temporary = folder / f"{TMP_PREFIX}{secrets.token_hex(8)}"
        self._new.append((temporary, temporary))
        file_text = sql_text(str(temporary))
        row = self._engine.execute(f"COPY ({part.query}) TO {file_text} (FORMAT parquet, COMPRESSION zstd)").fetchone()
        assert row is not None
        if not row[0] and part.project is not None:
            temporary.unlink()
            self._new.pop()
            return None
        sync_file(temporary)
        with temporary.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        path = folder / f"{part.label}-{digest[:16]}.parquet"
        self._new[-1] = temporary, path
        return ExportedFile(
            path=f"{part.relation.name}/{path.name}",
            entity=part.project.entity if part.project else None,
            project=part.project.project if part.project else None,
            rows=int(row[0]),
            bytes=temporary.stat().st_size,
            sha256=digest,
            content=content_of(self._engine, part.relation, f"FROM read_parquet({file_text})"),
            source=source,
        )

    def _held(self, part: Part) -> ExportedFile | None:
        """The file of the last export for a part, where it is there with its size and has the same columns."""
        table = self._before.table(part.relation.name) if self._before else None
        if table is None or table.columns != part.relation.columns:
            return None
        key = (part.project.entity, part.project.project) if part.project else (None, None)
        for file in table.files:
            if (file.entity, file.project) == key:
                with contextlib.suppress(OSError):
                    if (self._target / file.path).stat().st_size == file.bytes:
                        return file
        return None

    def _remove_others(self, manifest: ExportManifest) -> None:
        """Remove what is ours and not of this manifest; who cannot be removed goes next time."""
        named = {file.path for table in manifest.tables for file in table.files}
        known = {table.name for held in (manifest, self._before) if held for table in held.tables}
        for name in known:
            with contextlib.suppress(OSError):
                for path in (self._target / name).iterdir():
                    if f"{name}/{path.name}" not in named and _OURS.fullmatch(path.name):
                        path.unlink()


def _wanted(engine: Engine, home: Home, projects: Sequence[ProjectKey]) -> list[ProjectKey]:
    """The projects to export, in order; each is in the mirror."""
    rows = engine.execute("SELECT entity, project FROM projects UNION SELECT entity, project FROM runs").fetchall()
    held = sorted(ProjectKey(*row) for row in rows)
    for key in projects:
        if key not in held:
            raise NotMirrored(f"the project {key} is not in {home.root}", hint=_EXAMPLE)
    return [key for key in held if not projects or key in projects]


def _make_folder(target: Path) -> None:
    """Make the folder, or see that it is ours.

    Raises:
        Refused: it holds other things.
        ConfigError: it is a file.
    """
    with _writing(target):
        if target.exists() and not target.is_dir():
            raise ConfigError(f"{target} is no folder", hint="name a folder for the export")
        if target.is_dir():
            if any(target.iterdir()) and not (target / LOCK).exists():
                raise Refused(
                    f"{target} holds other things than an export",
                    hint="name a folder that is empty, not there yet, or of an earlier export",
                )
            return
        target.mkdir(parents=True)
        sync_folder(target.parent)


@contextlib.contextmanager
def _locked(target: Path) -> Iterator[None]:
    lock = ProcessLock(
        target / LOCK, target / _HOLDER, busy=f"exporting to {target}", hint="wait until it is done, and try again"
    )
    with lock:
        yield


@contextlib.contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Say of the folder what is the folder's: the home may be on another disk."""
    try:
        yield
    except OSError as error:
        why = "its disk is full" if error.errno in FULL else error.strerror or str(error)
        raise StoreError(f"{target} cannot be written: {why}", hint="the export is as it was") from error
    except duckdb.IOException as error:
        if f"{os.fspath(target)}{os.sep}" not in str(error):
            raise
        raise StoreError(
            f"{target} cannot be written: {str(error).splitlines()[0]}", hint="the export is as it was"
        ) from error
