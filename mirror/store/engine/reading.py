"""The reading side: a DuckDB connection with the lake attached read-only. Never blocks a pull."""

from __future__ import annotations

import contextlib
import weakref

import duckdb

from mirror.config import StoreSettings
from mirror.errors import LakeTooNew, NotMirrored, StoreError
from mirror.layout import Home
from mirror.store.engine.catalog_copy import catalog_copy, is_blank, refuse_lost_catalog
from mirror.store.engine.connection import attach_lake, new_engine, store_errors
from mirror.store.engine.meta import lake_version
from mirror.store.engine.queries import Snapshot
from mirror.store.schema.tables import SCHEMA_VERSION
from mirror.store.schema.views import READABLE_FROM


def open_lake(home: Home, settings: StoreSettings | None = None) -> duckdb.DuckDBPyConnection:
    """Attach the lake read-only as `lake`, without the views.

    Raises:
        NotMirrored, LakeTooNew, StoreError: as `mirror.connect`.
    """
    engine, _ = open_version(home, settings)
    return engine


def open_version(home: Home, settings: StoreSettings | None = None) -> tuple[duckdb.DuckDBPyConnection, int]:
    """The same, with the version of the lake's schema."""
    with store_errors(home):
        if not home.catalog.exists():
            raise _nothing_yet(home)
        refuse_lost_catalog(home)
        engine = new_engine(settings, home)
        try:
            _attach(engine, home)
            version = lake_version(Snapshot(engine))
            _check_version(version, home)
        except BaseException:
            engine.close()
            raise
    return engine, version


def _check_version(version: int, home: Home) -> None:
    if version == 0:  # the first pull was stopped before its first commit
        raise _nothing_yet(home)
    if version > SCHEMA_VERSION:
        raise LakeTooNew(
            f"the lake in {home.root} has schema version {version}; this wandb-mirror knows {SCHEMA_VERSION}"
        )
    if version < READABLE_FROM:
        raise StoreError(
            f"the lake in {home.root} has the older schema version {version}",
            hint="`wandb-mirror pull` brings it up to date",
        )


def _nothing_yet(home: Home) -> NotMirrored:
    return NotMirrored(
        f"nothing is mirrored in {home.root} yet",
        hint="run `wandb-mirror init --source ENTITY/PROJECT` and `wandb-mirror pull`, or name another --home",
    )


def _attach(engine: duckdb.DuckDBPyConnection, home: Home) -> None:
    """Attach in place; where that cannot be, attach a private copy of the small catalog.

    SQLite needs to create a shared-memory file beside a catalog in WAL mode, even to read it: that fails in a folder
    that cannot be written, and on a full disk.
    """
    try:
        attach_lake(engine, home.catalog, home.lake_data, read_only=True)
    except duckdb.Error as error:
        with contextlib.ExitStack() as opening:
            try:
                copy = opening.enter_context(catalog_copy(home)).path
                if is_blank(copy):
                    raise _nothing_yet(home) from None
                attach_lake(engine, copy, home.lake_data, read_only=True)
            except (OSError, StoreError, duckdb.Error):
                raise error from None
            weakref.finalize(engine, opening.pop_all().close)
