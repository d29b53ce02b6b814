"""The reading side: a DuckDB connection with the lake attached read-only. Never blocks a pull."""

from __future__ import annotations

import duckdb

from mirror.errors import LakeTooNew, StoreError
from mirror.layout import Home
from mirror.store.engine.connection import (
    new_engine,
    nothing_yet,
    plan_lightly,
    planned_lightly,
    store_errors,
    use_threads,
)
from mirror.store.engine.meta import lake_version
from mirror.store.engine.queries import Snapshot
from mirror.store.engine.storage import Storage
from mirror.store.engine.storages import storage_of
from mirror.store.schema.tables import SCHEMA_VERSION
from mirror.store.schema.views import READABLE_FROM
from mirror.store_settings import StoreSettings


def open_lake(
    home: Home, settings: StoreSettings | None = None, storage: Storage | None = None
) -> duckdb.DuckDBPyConnection:
    """Attach the lake read-only as `lake`, without the views, for questions of our own, which are planned lightly.

    Raises:
        NotMirrored, LakeTooNew, StoreError: as `mirror.connect`.
    """
    engine, _ = open_version(home, settings, storage)
    use_threads(engine, settings)
    plan_lightly(engine)
    return engine


def open_version(
    home: Home, settings: StoreSettings | None = None, storage: Storage | None = None
) -> tuple[duckdb.DuckDBPyConnection, int]:
    """The same, with the version of the lake's schema; the engine still has one thread, which is best to open it."""
    with store_errors(home):
        engine = new_engine(settings, home, with_one_thread=True)
        try:
            with planned_lightly(engine):  # the catalog is read now, by a dozen small questions of DuckLake's
                (storage or storage_of(home)).attach_to_read(engine)
                version = lake_version(Snapshot(engine))
            _check_version(version, home)
        except BaseException:
            engine.close()
            raise
    return engine, version


def _check_version(version: int, home: Home) -> None:
    if version == 0:  # the first pull was stopped before its first commit
        raise nothing_yet(home)
    if version > SCHEMA_VERSION:
        raise LakeTooNew(
            f"the lake in {home.root} has schema version {version}; this wandb-mirror knows {SCHEMA_VERSION}"
        )
    if version < READABLE_FROM:
        raise StoreError(
            f"the lake in {home.root} has the older schema version {version}",
            hint="`wandb-mirror pull` brings it up to date",
        )
