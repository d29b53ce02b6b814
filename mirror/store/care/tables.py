"""Fewer and larger files: what grew inside the catalog is written out, small files are merged, deleted rows left out.

Every step is one transaction of the lake, so that its files are flushed before the COMMIT that names them; a crash
leaves the lake as it was, and files that no snapshot names. Older snapshots stay readable: DuckLake keeps in a merged
file which snapshot each row came with, and keeps the rewritten ones as long as a snapshot needs them.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator

import msgspec

from mirror.store.care.catalog import expirable
from mirror.store.engine.connection import CATALOG, LAKE, Engine, sql_text
from mirror.store.engine.lake import Lake
from mirror.store.metrics.files import GROUP_ROWS

FLUSH_ROWS = 1000  # rows of a table inside the catalog, dead ones with them, that are worth a file
MERGE_FILES = 4  # small files of a table that are worth merging
DELETED_SHARE = 0.2  # of a file's rows; a file with more deleted ones is written anew
FILE_BYTES = 64_000_000  # merged files are about as large
MERGED_AT_ONCE = 8  # of them, in one commit
# Rows of their row groups, each of which is in memory before it is written: a row of `runs` may have tens of kilobytes.
MERGED_GROUP_ROWS = 10_000
# A run that is rebuilt is deleted from its file row by row, so that those of `metrics` stay smaller (`metrics.files`).
FILE_BYTES_OF = {"metrics": 16_000_000}
METRICS_ORDER = "key ASC, run_id ASC, step ASC"  # in which `metrics.files` writes them, too


class TableWork(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to do about the tables."""

    flush: dict[str, int]  # table to rows inside the catalog
    rewrite: dict[str, int]  # table to files with many deleted rows
    merge: dict[str, int]  # table to small files


def table_work(engine: Engine) -> TableWork:
    """Look for what is worth doing; changes nothing."""
    return TableWork(flush=_inlined(engine), rewrite=_half_deleted(engine), merge=_small(engine))


def flush_inlined(lake: Lake) -> int:
    """Write out what grew inside the catalog.

    Returns:
        How many rows.

    Raises:
        StoreError: the disk failed; nothing changed.
    """
    with lake.reading() as engine:
        tables = _inlined(engine)
    for table in tables:
        with lake.transaction() as engine:
            engine.execute(f"CALL ducklake_flush_inlined_data('{LAKE}', table_name => {sql_text(table)})")
    return sum(tables.values())


def rewrite(lake: Lake) -> int:
    """Write files anew of whose rows many are deleted.

    Returns:
        How many files.

    Raises:
        StoreError: the disk failed; nothing changed.
    """
    with lake.reading() as engine:
        tables = _half_deleted(engine)
    for table in tables:
        with lake.transaction() as engine:
            engine.execute(
                f"CALL ducklake_rewrite_data_files('{LAKE}', {sql_text(table)}, delete_threshold => {DELETED_SHARE})"
            )
    return sum(tables.values())


def merge_files(lake: Lake) -> int:
    """Merge small files.

    Returns:
        How many files.

    Raises:
        StoreError: the disk failed; nothing changed.
    """
    with lake.reading() as engine:
        tables = _small(engine)
    if tables:
        with lake.transaction() as engine:
            _set_sizes(engine)
            _set_order(engine)
    return sum(_merge(lake, table) for table in tables)


def _merge(lake: Lake, table: str) -> int:
    """Merge the small files of a table, some at a time, so that a commit and what a crash costs have a bound."""
    merged = 0
    while True:
        with lake.transaction() as engine, _one_thread(engine):
            rows = engine.execute(
                f"CALL ducklake_merge_adjacent_files('{LAKE}', {sql_text(table)},"
                f" max_file_size => {_small_bytes(table)}, max_compacted_files => {MERGED_AT_ONCE})"
            ).fetchall()
        if not rows:
            return merged
        merged += sum(int(row[2]) for row in rows)


@contextlib.contextmanager
def _one_thread(engine: Engine) -> Iterator[None]:
    """Let no two merged files be in memory at once."""
    ((before,),) = engine.execute("SELECT current_setting('threads')").fetchall()
    engine.execute("SET threads = 1")
    try:
        yield
    finally:
        engine.execute(f"SET threads = {before}")


def expire(lake: Lake, before: dt.datetime) -> int:
    """Forget the snapshots that nobody can ask for who goes back to a moment and no further.

    Returns:
        How many.

    Raises:
        StoreError: the disk failed; nothing changed.
    """
    with lake.transaction() as engine:
        numbers, _ = expirable(engine, before)
        if numbers:
            engine.execute(f"CALL ducklake_expire_snapshots('{LAKE}', versions => {numbers})")
    return len(numbers)


def _inlined(engine: Engine) -> dict[str, int]:
    """Tables with many rows inside the catalog, and how many."""
    places = engine.execute(
        f"SELECT DISTINCT t.table_name, i.table_name FROM {CATALOG}.ducklake_inlined_data_tables i"
        f" JOIN {CATALOG}.ducklake_table t USING (table_id)"
    ).fetchall()
    rows: dict[str, int] = {}
    for table, place in places:
        found = engine.execute(f"SELECT count(*) FROM {CATALOG}.{place}").fetchone()
        rows[table] = rows.get(table, 0) + (found[0] if found else 0)
    return {table: count for table, count in sorted(rows.items()) if count >= FLUSH_ROWS}


def _half_deleted(engine: Engine) -> dict[str, int]:
    return _counted(
        engine,
        "JOIN ("
        f"  SELECT data_file_id, sum(delete_count) AS deleted FROM {CATALOG}.ducklake_delete_file"
        "  WHERE end_snapshot IS NULL GROUP BY 1"
        f") d ON d.data_file_id = f.data_file_id AND d.deleted >= {DELETED_SHARE} * f.record_count",
        least=1,
    )


def _small(engine: Engine) -> dict[str, int]:
    sizes = " ".join(f"WHEN {sql_text(table)} THEN {_small_bytes(table)}" for table in FILE_BYTES_OF)
    return _counted(
        engine,
        f"ANTI JOIN (FROM {CATALOG}.ducklake_delete_file WHERE end_snapshot IS NULL) d"
        " ON d.data_file_id = f.data_file_id"
        f" WHERE f.file_size_bytes < CASE f.table_name {sizes} ELSE {_small_bytes('')} END",
        least=MERGE_FILES,
    )


def _counted(engine: Engine, which: str, *, least: int) -> dict[str, int]:
    """Tables with so many files of a sort in the newest snapshot, and how many those are."""
    rows = engine.execute(
        "SELECT f.table_name, count(*) FROM ("
        f" SELECT t.table_name, d.* FROM {CATALOG}.ducklake_data_file d"
        f" JOIN (SELECT DISTINCT table_id, table_name FROM {CATALOG}.ducklake_table) t USING (table_id)"
        f" WHERE d.end_snapshot IS NULL) f {which} GROUP BY 1 HAVING count(*) >= {least} ORDER BY 1"
    ).fetchall()
    return {str(table): int(count) for table, count in rows}


def _small_bytes(table: str) -> int:
    """Files of at least so many bytes are left alone, so that nothing is written again and again."""
    return FILE_BYTES_OF.get(table, FILE_BYTES) // 2


def _set_sizes(engine: Engine) -> None:
    """Tell DuckLake once how large merged files may become, and how they are packed: as those of `metrics.files`."""
    known = engine.execute(
        f"FROM ducklake_options('{LAKE}') WHERE option_name = 'parquet_compression' AND scope = 'GLOBAL'"
    ).fetchone()
    if known:
        return
    engine.execute("CALL lake.set_option('parquet_compression', 'zstd')")
    engine.execute("CALL lake.set_option('parquet_version', '2')")
    for table, count in FILE_BYTES_OF.items():
        engine.execute(f"CALL lake.set_option('target_file_size', '{count}B', table_name => {sql_text(table)})")
    engine.execute(f"CALL lake.set_option('target_file_size', '{FILE_BYTES}B')")
    engine.execute(f"CALL lake.set_option('parquet_row_group_size', '{MERGED_GROUP_ROWS}')")


def _set_order(engine: Engine) -> None:
    """Tell DuckLake once that merged files of `metrics` are by key, and that it may skip the rest of such a file."""
    known = engine.execute(
        f"FROM {CATALOG}.ducklake_sort_info JOIN {CATALOG}.ducklake_table t USING (table_id)"
        " WHERE t.table_name = 'metrics' LIMIT 1"
    ).fetchall()
    if not known:
        engine.execute(f"ALTER TABLE lake.metrics SET SORTED BY ({METRICS_ORDER})")
        engine.execute(f"CALL lake.set_option('parquet_row_group_size', '{GROUP_ROWS}', table_name => 'metrics')")
