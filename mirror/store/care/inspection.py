"""What a check asks the lake: is the catalog sound, which files and objects do its rows name, does a key come twice."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from mirror.errors import LakeTooNew
from mirror.layout import Home
from mirror.store.care.catalog import FOLDERS
from mirror.store.care.objects import REFERENCES
from mirror.store.engine.connection import (
    CATALOG,
    LAKE,
    Engine,
    attach_lake,
    new_engine,
    plan_lightly,
    sql_text,
    store_errors,
)
from mirror.store.engine.meta import lake_version
from mirror.store.engine.queries import Snapshot
from mirror.store.engine.storage import Storage
from mirror.store.schema.tables import SCHEMA_VERSION
from mirror.store_settings import StoreSettings

_AT_ONCE = 10_000  # rows that are held in memory
SHOWN = 3  # of the rows that name one object
# What there is at most one row of. A run's artifacts and receipts may repeat; `metrics` is as large as all histories.
KEYS: dict[str, tuple[str, ...]] = {
    "runs": ("entity", "project", "run_id"),
    "projects": ("entity", "project"),
    "sources": ("entity", "project"),
    "sweeps": ("entity", "project", "sweep_id"),
    "files": ("entity", "project", "run_id", "name"),
    "exports": ("entity", "project", "run_id", "part"),
    "completeness": ("entity", "project", "run_id"),
    "failures": ("entity", "project", "run_id", "item"),
    "artifacts": ("artifact_id",),
    "artifact_files": ("artifact_id", "path"),
    "receipts": ("id", "ended_at"),
    "earlier_forms": ("entity", "project", "run_id", "export"),
    "generations": ("entity", "project", "run_id", "generation"),
    "generation_exports": ("entity", "project", "run_id", "generation", "part"),
}
# The size of an object, where the row tells it: a file that is not `held` may have other bytes than those listed.
_SIZES = {
    "files": "CASE WHEN status = 'held' THEN size END",
    "exports": "bytes",
    "artifacts": "NULL",
    "artifact_files": "CASE WHEN status = 'held' THEN size END",
    "earlier_forms": "NULL",
    "generation_exports": "bytes",
    "generation_rows": "NULL",
}
# Who names an object: where W&B has it, and whether W&B has it no more.
_NAMED_BY = {
    "files": "entity || '/' || project || '/' || run_id || ': ' || name, r.gone_at IS NOT NULL OR t.status = 'gone'",
    "exports": "entity || '/' || project || '/' || run_id || ': history, part ' || part, r.gone_at IS NOT NULL",
    "artifacts": "'manifest of ' || sequence || ':v' || coalesce(version_index::VARCHAR, '?'), false",
    "artifact_files": "'artifact file ' || path, false",
    "earlier_forms": "entity || '/' || project || '/' || run_id || ': digits that exports of its history lost', true",
    "generation_exports": (
        "entity || '/' || project || '/' || run_id || ': history, generation ' || generation || ', part ' || part, true"
    ),
    "generation_rows": "entity || '/' || project || '/' || run_id || ': a file of generation ' || generation, true",
}


class LakeFile(msgspec.Struct, frozen=True, kw_only=True):
    """A Parquet file that some snapshot names."""

    table: str
    name: str  # as the catalog has it: below the data folder, with slashes
    path: Path
    size: int  # bytes, as the catalog has it
    is_current: bool  # the newest snapshot names it


class Referrers(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that name an object."""

    shown: tuple[str, ...]  # the first, for people
    count: int
    upstream: int  # of these, as far as is known, W&B still has so many


def damage_of_catalog(copy: Path) -> str | None:
    """What SQLite itself finds wrong with a copy of the catalog; None when nothing is. The log goes into the copy."""
    try:
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            rows = connection.execute("PRAGMA integrity_check(3)").fetchall()
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        return str(error)
    if rows != [("ok",)]:
        return "; ".join(" ".join(str(text).split()) for (text,) in rows)
    return None if tables[0][0] else "it holds no tables"


@contextlib.contextmanager
def inspected(home: Home, copy: Path, settings: StoreSettings) -> Iterator[Engine]:
    """The lake as a copy of its catalog shows it.

    Raises:
        StoreError: it cannot be read.
    """
    with store_errors(home), contextlib.closing(new_engine(settings, home)) as engine:
        attach_lake(engine, copy, home.lake_data, read_only=True)
        plan_lightly(engine)
        yield engine


def check_version(engine: Engine, home: Home) -> None:
    """Refuse a lake whose tables this version does not know.

    Raises:
        LakeTooNew: a newer wandb-mirror wrote it.
        StoreError: it does not say.
    """
    version = lake_version(Snapshot(engine))
    if version > SCHEMA_VERSION:
        raise LakeTooNew(
            f"the lake in {home.root} has schema version {version}; this wandb-mirror knows {SCHEMA_VERSION}"
        )


def lake_files(engine: Engine, home: Home) -> list[LakeFile]:
    """Every Parquet file that a kept snapshot needs, those of deleted rows with them."""
    found: list[LakeFile] = []
    for kind in ("ducklake_data_file", "ducklake_delete_file"):
        rows = engine.execute(
            "SELECT table_name, CASE WHEN path_is_relative THEN folder || path ELSE path END, file_size_bytes,"
            f" end_snapshot IS NULL FROM {CATALOG}.{kind} JOIN ({FOLDERS}) USING (table_id) ORDER BY 2"
        ).fetchall()
        found += [
            LakeFile(table=table, name=path, path=home.lake_data / path, size=size, is_current=current)
            for table, path, size, current in rows
        ]
    return found


def tables_of(engine: Engine) -> set[str]:
    """The tables that this lake has."""
    rows = engine.execute(f"SELECT table_name FROM {CATALOG}.ducklake_table WHERE end_snapshot IS NULL").fetchall()
    return {str(name) for (name,) in rows}


def named_objects(engine: Engine, tables: Collection[str]) -> Iterator[tuple[str, int | None]]:
    """Every object that the newest snapshot names, once, with its size where that is known; memory stays bounded.

    Args:
        engine: with the lake attached.
        tables: those that can be read.
    """
    parts = [
        f"SELECT {column} AS digest, {_SIZES[table]} AS size FROM {LAKE}.{table}"
        for table, column in REFERENCES
        if table in tables
    ]
    if not parts:
        return
    query = (
        f"SELECT digest, min(size) FROM ({' UNION ALL '.join(parts)}) WHERE digest IS NOT NULL GROUP BY 1 ORDER BY 1"
    )
    with contextlib.closing(engine.cursor()) as cursor:
        cursor.execute(query)
        while rows := cursor.fetchmany(_AT_ONCE):
            yield from rows


def referrers(engine: Engine, tables: Collection[str], digests: Sequence[str]) -> dict[str, Referrers]:
    """The rows that name some objects, by digest; those that nobody names are left out."""
    parts = []
    for table, column in REFERENCES:
        if table in tables:
            join = f"LEFT JOIN {LAKE}.runs r USING (entity, project, run_id)" if table in ("files", "exports") else ""
            parts.append(f"SELECT {column}, {_NAMED_BY[table]} FROM {LAKE}.{table} t {join}")
    if not parts or not digests or "runs" not in tables:
        return {}
    engine.register("asked_objects", pa.table({"digest": pa.array(digests, pa.string())}))
    try:
        rows = engine.execute(
            f"SELECT digest, list(who ORDER BY gone, who)[:{SHOWN}], count(*), count(*) FILTER (NOT gone)"
            f" FROM ({' UNION ALL '.join(parts)}) AS named(digest, who, gone)"
            " SEMI JOIN asked_objects USING (digest) GROUP BY digest"
        ).fetchall()
    finally:
        engine.unregister("asked_objects")
    return {
        digest: Referrers(shown=tuple(shown), count=count, upstream=upstream) for digest, shown, count, upstream in rows
    }


def doubled_rows(engine: Engine, tables: Collection[str]) -> dict[str, int]:
    """Tables in which a key that is to be unique comes more than once, and how many such keys."""
    found = {}
    for table, key in KEYS.items():
        if table in tables:
            columns = ", ".join(key)
            ((count,),) = engine.execute(
                f"SELECT count(*) FROM (SELECT 1 FROM {LAKE}.{table} GROUP BY {columns} HAVING count(*) > 1)"
            ).fetchall()
            if count:
                found[table] = int(count)
    return found


def damage_of_rows(engine: Engine, storage: Storage, name: str) -> str | None:
    """What is wrong with a data file, as far as decoding every value of it can tell.

    Raises:
        FileNotFoundError: it was removed meanwhile.
        duckdb.Error: it cannot be reached.
    """
    try:
        engine.execute(f"SELECT sum(hash(t)) FROM read_parquet({sql_text(storage.address(name))}) t").fetchall()
    except duckdb.IOException as error:
        if name not in storage.listed():
            raise FileNotFoundError(name) from error
        raise
    except duckdb.Error as error:
        return " ".join(str(error).split())
    return None


def damage_of_parquet(path: Path) -> str | None:
    """What is wrong with a data file whose digest was never recorded, as far as reading it whole can tell."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(batch_size=1 << 16):
                batch.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        return f"it cannot be read whole: {str(error).splitlines()[0]}"
    return None
