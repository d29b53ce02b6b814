"""What an attached lake says about itself: its schema version, whom it mirrors, whether it holds anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mirror.errors import OtherDeployment, StoreError
from mirror.layout import Home
from mirror.store.engine.connection import CATALOG, LAKE
from mirror.store.engine.queries import Queryable

VERSION: Final = "schema_version"
DEPLOYMENT: Final = "deployment"  # id of the W&B server that is mirrored
MOVING: Final = "moving_from"  # the lake that is moved into this one, which is not whole before it is gone
APP_URL: Final = "app_url"  # the address of that server's pages


def has_table(lake: Queryable, name: str) -> bool:
    """Whether the lake has a table; DuckDB's own list of them costs as much as thirty such looks."""
    return bool(
        lake.rows(f"SELECT 1 FROM {CATALOG}.ducklake_table WHERE table_name = ? AND end_snapshot IS NULL", [name])
    )


def last_commit(lake: Queryable) -> int:
    """The number of the commit that is asked: another one after any change."""
    return int(lake.rows(f"SELECT id FROM {LAKE}.current_snapshot()")[0][0])


def lake_meta(lake: Queryable) -> dict[str, str] | None:
    """All of it, by key; None for a lake that is empty."""
    if not has_table(lake, "meta"):
        return None
    return {str(key): str(value) for key, value in lake.rows("SELECT key, value FROM lake.meta")}


def version_in(meta: Mapping[str, str] | None) -> int:
    """The schema version; 0 for a lake that is empty.

    Raises:
        StoreError: it does not say.
    """
    if meta is None:
        return 0
    version = meta.get(VERSION)
    if version is None or not version.isdecimal():
        raise StoreError("the lake does not say which schema version it has", hint="restore the catalog from a backup")
    return int(version)


def lake_version(lake: Queryable) -> int:
    """`version_in` of what the lake says."""
    return version_in(lake_meta(lake))


def lake_deployment(lake: Queryable) -> str | None:
    """The id of the W&B server that is mirrored, if one was recorded."""
    return (lake_meta(lake) or {}).get(DEPLOYMENT)


def lake_app_url(lake: Queryable) -> str | None:
    """The address of that server's pages, if it was recorded."""
    return (lake_meta(lake) or {}).get(APP_URL)


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
