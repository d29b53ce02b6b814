"""What the catalog says about files and snapshots: DuckLake's own tables, read as DuckLake documents them.

DuckLake shows them under a database of its own beside the lake. Nothing here writes.
"""

from __future__ import annotations

import datetime as dt

from mirror.errors import StoreError
from mirror.layout import Home
from mirror.store.engine.connection import CATALOG, LAKE, Engine, sql_text
from mirror.store.engine.storage import DataFile, Storage

# A table's folder, relative to the data folder; it may have several rows, one a version of the table.
FOLDERS = (
    "SELECT DISTINCT t.table_id, t.table_name,"
    " CASE WHEN t.path_is_relative THEN s.path || t.path ELSE t.path END AS folder"
    f" FROM {CATALOG}.ducklake_table t JOIN {CATALOG}.ducklake_schema s USING (schema_id)"
)


def instant(moment: dt.datetime) -> str:
    """A moment as a SQL literal."""
    return f"TIMESTAMPTZ {sql_text(moment.astimezone(dt.UTC).isoformat())}"


def data_files(engine: Engine, condition: str = "true") -> list[tuple[str, str]]:
    """Table and path below the data folder of the Parquet files with rows for which a condition holds."""
    return _paths(engine, "ducklake_data_file", condition)


def named_files(engine: Engine, home: Home, storage: Storage) -> tuple[set[str], dict[str, DataFile]]:
    """All files that some snapshot needs, or that wait to be removed; and all that are there.

    Args:
        engine: with the lake attached.
        home: whose.
        storage: where its files lie.

    Raises:
        StoreError: a file that a snapshot needs is not there: the catalog and the folder are not of one time.
    """
    needed = {
        path for kind in ("ducklake_data_file", "ducklake_delete_file") for _, path in _paths(engine, kind, "true")
    }
    named = needed | set(scheduled_files(engine))
    listed = storage.listed()
    missing = needed - listed.keys()
    if missing:
        raise StoreError(
            f"{len(missing)} data files that the catalog of {home.root} names are missing, such as {min(missing)}",
            hint="restore lake/ from one backup, catalog and data together; nothing was changed",
        )
    return named, listed


def scheduled_files(engine: Engine, before: dt.datetime | None = None) -> list[str]:
    """Files that no snapshot names any more and that DuckLake is to remove; those since a moment or earlier."""
    since = f" WHERE schedule_start::TIMESTAMPTZ < {instant(before)}" if before else ""
    rows = engine.execute(f"SELECT path FROM {CATALOG}.ducklake_files_scheduled_for_deletion{since}").fetchall()
    return [str(path) for (path,) in rows]


def expirable(engine: Engine, before: dt.datetime) -> tuple[list[int], int]:
    """The snapshots that nobody can ask for who goes back to a moment and no further; and the oldest that stays.

    The one that was the newest at that moment stays, however old it is.
    """
    rows = engine.execute(
        f"SELECT snapshot_id, snapshot_time <= {instant(before)} FROM ducklake_snapshots('{LAKE}') ORDER BY 1"
    ).fetchall()
    oldest = max((number for number, old in rows if old), default=rows[0][0])
    return [number for number, _ in rows if number < oldest], oldest


def _paths(engine: Engine, kind: str, condition: str) -> list[tuple[str, str]]:
    return engine.execute(
        f"SELECT table_name, CASE WHEN path_is_relative THEN folder || path ELSE path END"
        f" FROM {CATALOG}.{kind} JOIN ({FOLDERS}) USING (table_id) WHERE {condition}"
    ).fetchall()
