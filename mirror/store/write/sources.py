"""How far a project was pulled: one row, written with each pass, and by most passes alone."""

from __future__ import annotations

from mirror.records.addresses import ProjectKey
from mirror.records.passes import SourceState
from mirror.store.engine.connection import Engine, sql_name
from mirror.store.engine.lake import Lake
from mirror.store.schema.keys import IN_PROJECT
from mirror.store.schema.tables import SOURCES
from mirror.store.write.values import column_values


def commit_source(lake: Lake, key: ProjectKey, state: SourceState) -> None:
    """Commit the row, and nothing else.

    Raises:
        StoreError: the lake stays at its last commit.
    """
    with lake.transaction(only=SOURCES.name) as engine:
        write_source(engine, key, state)


def write_source(engine: Engine, key: ProjectKey, state: SourceState) -> None:
    """Put the row in the place of the one before. Without Arrow, which takes longer to load than this takes."""
    given = {"entity": key.entity, "project": key.project}
    engine.execute(f"DELETE FROM lake.sources WHERE {IN_PROJECT}", [key.entity, key.project])
    names = ", ".join(sql_name(column.name) for column in SOURCES.columns)
    marks = ", ".join(f"?::{column.type}" for column in SOURCES.columns)
    values = [column_values(column, [state], given)[0] for column in SOURCES.columns]
    engine.execute(f"INSERT INTO lake.sources ({names}) VALUES ({marks})", values)
