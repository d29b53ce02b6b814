"""What an attached lake says about itself: its schema version, whom it mirrors, whether it holds anything."""

from __future__ import annotations

from mirror.errors import OtherDeployment, StoreError
from mirror.layout import Home
from mirror.store.engine.connection import CATALOG
from mirror.store.engine.queries import Queryable


def has_table(lake: Queryable, name: str) -> bool:
    """Whether the lake has a table; DuckDB's own list of them costs as much as thirty such looks."""
    return bool(
        lake.rows(f"SELECT 1 FROM {CATALOG}.ducklake_table WHERE table_name = ? AND end_snapshot IS NULL", [name])
    )


def lake_version(lake: Queryable) -> int:
    """The schema version; 0 for a lake that is empty.

    Raises:
        StoreError: it does not say.
    """
    if not has_table(lake, "meta"):
        return 0
    version = _meta(lake, "schema_version")
    if version is None or not version.isdecimal():
        raise StoreError("the lake does not say which schema version it has", hint="restore the catalog from a backup")
    return int(version)


def lake_deployment(lake: Queryable) -> str | None:
    """The id of the W&B server that is mirrored, if one was recorded."""
    return _meta(lake, "deployment")


def lake_app_url(lake: Queryable) -> str | None:
    """The address of that server's pages, if it was recorded."""
    return _meta(lake, "app_url")


def is_empty(lake: Queryable) -> bool:
    """Whether nothing was ever mirrored, so that the lake belongs to no server yet."""
    query = (
        "SELECT NOT EXISTS (FROM lake.runs) AND NOT EXISTS (FROM lake.projects)"
        " AND NOT EXISTS (FROM lake.sources WHERE last_pass_at IS NOT NULL)"
    )
    return bool(lake.rows(query)[0][0])


def other_deployment(home: Home, *, held: str, asked: str) -> OtherDeployment:
    """The error for a home that belongs to another server."""
    return OtherDeployment(
        f"{home.root} mirrors {held}, but the configured server is {asked}",
        hint="use another --home for the other server; if it is the same server under a new name, list the old one"
        " in server.aliases",
    )


def _meta(lake: Queryable, key: str) -> str | None:
    rows = lake.rows("SELECT value FROM lake.meta WHERE key = ?", [key])
    return str(rows[0][0]) if rows else None
