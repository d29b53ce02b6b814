"""Objects that nothing refers to: no kept snapshot of the lake, no entry of the outbox, and nobody lately.

First all is listed, then it is removed. What refers to an object comes into being after its bytes: a commit under the
lake's lock, which the caller holds; an upload's entry at any time. So the outbox is asked after the old objects were
listed, and an object whose bytes came anew in between is young when it is looked at last. A crash leaves some of what
was to be removed.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from mirror.durable import file_names
from mirror.layout import Home
from mirror.locks import locked
from mirror.store.care.catalog import data_files
from mirror.store.care.files import Removed, is_older
from mirror.store.engine.connection import CATALOG, LAKE, Engine, sql_text
from mirror.store.engine.meta import is_empty
from mirror.store.engine.queries import Snapshot
from mirror.store.engine.storages import storage_of
from mirror.store.objects.objects import Objects

# Every column that names an object; a test compares this with the tables.
REFERENCES = (
    ("files", "object"),
    ("exports", "object"),
    ("artifacts", "manifest"),
    ("artifact_files", "object"),
    ("earlier_forms", "object"),
    ("generation_exports", "object"),
    ("generation_rows", "object"),
)
_DIGEST = re.compile(r"[0-9a-f]{64}")

Needed = Callable[[], Iterable[str]]  # digests that entries of the outbox need


def unneeded_objects(engine: Engine, home: Home, *, oldest: int, before: dt.datetime, needed: Needed) -> dict[str, int]:
    """The objects that may go, and their bytes; changes nothing.

    Args:
        engine: with the lake attached; nothing is committed meanwhile.
        home: whose objects.
        oldest: the first snapshot that is kept; all later ones are.
        before: younger bytes stay, whoever refers to them.
        needed: what the outbox needs; asked after the objects were listed.

    Raises:
        StoreError: something that refers to objects cannot be read.
    """
    old: dict[str, int] = {}
    if (shared := Objects(home).shared) is not None:
        old = {digest: stored.size for digest, stored in shared.listed() if stored.written_at < before}
    for name in _object_files(home):
        with contextlib.suppress(FileNotFoundError):
            if is_older(name, before):
                old[Path(name).name] = Path(name).stat().st_size
    if not old or is_empty(
        Snapshot(engine)
    ):  # a catalog that was lost and begun anew says nothing about the objects beside it
        return {}
    waiting = list(needed())
    engine.register("old_objects", pa.table({"digest": pa.array([*old], pa.string())}))
    engine.register("waiting_objects", pa.table({"digest": pa.array(waiting, pa.string())}))
    try:
        engine.execute(f"CREATE OR REPLACE TEMP TABLE referred AS {_referred(engine, home, oldest)}")
        rows = engine.execute(
            "SELECT digest FROM old_objects ANTI JOIN temp.referred USING (digest)"
            " ANTI JOIN waiting_objects USING (digest) ORDER BY 1"
        ).fetchall()
    finally:
        engine.execute("DROP TABLE IF EXISTS temp.referred")
        engine.unregister("old_objects")
        engine.unregister("waiting_objects")
    return {digest: old[digest] for (digest,) in rows}


def remove_objects(home: Home, digests: Iterable[str], before: dt.datetime, option: str = "") -> Removed:
    """Remove objects, but for those whose bytes came anew since they were listed; `option` as `Storage` has it.

    Raises:
        OSError: the disk failed; some may be gone.
    """
    digests = list(digests)
    files = size = 0
    if (shared := Objects(home).shared) is not None:
        files, size = shared.remove_older(digests, before, option)
    for digest in digests:
        path = object_path(home, digest)
        with locked(home.objects_lock):
            if is_older(path, before):
                size += path.stat().st_size
                files += 1
                path.unlink()
    return Removed(files=files, bytes=size)


def object_path(home: Home, digest: str) -> Path:
    """Where an object lies for good."""
    return home.objects / digest[:2] / digest


def stale_partials(home: Home, before: dt.datetime) -> list[Path]:
    """Downloads that nobody went on with since a moment; they may be of files that are gone."""
    return [Path(name) for name in sorted(file_names(home.partial)) if is_older(name, before)]


def _object_files(home: Home) -> Iterator[str]:
    return (name for name in file_names(home.objects) if _DIGEST.fullmatch(name.rpartition(os.sep)[2]))


def _referred(engine: Engine, home: Home, oldest: int) -> str:
    """A query for every object that a row of a kept snapshot names, each once; it may name a few more.

    A row of a kept snapshot is in the oldest one, or came after it. What came after lies in files that began after it,
    in merged files that hold rows of later snapshots, or inside the catalog.
    """
    since = f"(end_snapshot IS NULL OR end_snapshot > {oldest})"
    later = data_files(engine, f"{since} AND (begin_snapshot > {oldest} OR partial_max > {oldest})")
    storage = storage_of(home)
    parts: list[str] = []
    for table, column in REFERENCES:
        begun = engine.execute(
            f"SELECT min(begin_snapshot), min(table_id) FROM {CATALOG}.ducklake_table"
            f" WHERE table_name = {sql_text(table)}"
        ).fetchone()
        if begun is None or begun[0] is None:  # a lake of an older version
            continue
        parts.append(f"SELECT {column} AS digest FROM {LAKE}.{table}")
        if begun[0] <= oldest:
            parts.append(f"SELECT {column} FROM {LAKE}.{table} AT (VERSION => {oldest})")
        paths = [sql_text(storage.address(path)) for name, path in later if name == table]
        if paths:
            parts.append(f"SELECT {column} FROM read_parquet([{', '.join(paths)}], union_by_name => true)")
        places = engine.execute(
            f"SELECT table_name FROM {CATALOG}.ducklake_inlined_data_tables WHERE table_id = {begun[1]}"
        ).fetchall()
        parts += [f"SELECT {column} FROM {CATALOG}.{place} WHERE {since}" for (place,) in places]
    named = " UNION ALL ".join(parts)
    return f"SELECT DISTINCT digest FROM ({named}) WHERE digest IS NOT NULL"
