"""Views of one snapshot as files in a folder, for other engines: Parquet, or tables of Iceberg."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mirror.errors import NotMirrored
from mirror.layout import Home
from mirror.records.addresses import ProjectKey
from mirror.store.engine.connection import Engine, one_commit, store_errors
from mirror.store.parquet.export import Export, Exported
from mirror.store.parquet.folder import locked, make_folder, writing
from mirror.store.parquet.iceberg import IcebergExport, load_iceberg
from mirror.store.parquet.manifest import ExportKind
from mirror.store.parquet.parquet_files import ParquetExport
from mirror.store.sql.statements import connect
from mirror.store_settings import StoreSettings

_KINDS: Mapping[ExportKind, type[Export]] = {"parquet": ParquetExport, "iceberg": IcebergExport}


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
    with connect(home, settings=settings) as engine, store_errors(home), one_commit(engine):
        engine.execute("SET GLOBAL preserve_insertion_order = false")  # in less memory
        wanted = _wanted(engine, home, projects)
        if kind == "iceberg":
            load_iceberg(engine)
        make_folder(target)
        with writing(target), locked(target):
            return _KINDS[kind](engine, target, wanted, is_all=not projects).write()


def _wanted(engine: Engine, home: Home, projects: Sequence[ProjectKey]) -> list[ProjectKey]:
    """The projects to export, in order; each is in the mirror."""
    rows = engine.execute("SELECT entity, project FROM projects UNION SELECT entity, project FROM runs").fetchall()
    held = sorted(ProjectKey(*row) for row in rows)
    for key in projects:
        if key not in held:
            raise NotMirrored(f"the project {key} is not in {home.root}", hint="`wandb-mirror runs` lists what is")
    return [key for key in held if not projects or key in projects]
