"""Receipts: what operations came to, written in the commit that refreshes the rows they changed."""

from __future__ import annotations

import msgspec

from mirror.records.addresses import ProjectKey
from mirror.records.contents import Direction
from mirror.records.operations import EditArtifact, with_names
from mirror.records.receipts import Receipt
from mirror.store.engine.connection import Engine
from mirror.store.schema.tables import RECEIPTS
from mirror.store.write.contents_writer import run_artifacts
from mirror.store.write.rows import insert


class DeliveredRows(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay brought to the server, beside the rows of runs and files that it refreshed."""

    receipts: tuple[Receipt, ...]
    links: tuple[tuple[str, str, Direction], ...] = ()  # run id, artifact id; on top of those that are held
    versions: tuple[tuple[str, str], ...] = ()  # of each that only the mirror had, the id there, and the server's
    marked: tuple[EditArtifact, ...] = ()  # aliases and tags that versions have now, or no longer


def write_delivered(engine: Engine, key: ProjectKey, delivered: DeliveredRows | None) -> None:
    """Write receipts and links; the caller's transaction makes them visible."""
    if delivered is None:
        return
    insert(engine, RECEIPTS, delivered.receipts)
    for local, upstream in delivered.versions:
        _rename(engine, local, upstream)
    for edit in delivered.marked:
        _mark(engine, edit)
    if not delivered.links:
        return
    engine.register("linked", run_artifacts(key, list(dict.fromkeys(delivered.links))))
    try:
        engine.execute("INSERT INTO lake.run_artifacts SELECT * FROM linked EXCEPT SELECT * FROM lake.run_artifacts")
    finally:
        engine.unregister("linked")


def _rename(engine: Engine, local: str, upstream: str) -> None:
    """Give a version the server's id; one that is held under that id already takes its place."""
    is_held = engine.execute("SELECT 1 FROM lake.artifacts WHERE artifact_id = ?", [upstream]).fetchone() is not None
    for table in ("artifacts", "artifact_files"):
        if is_held:
            engine.execute(f"DELETE FROM lake.{table} WHERE artifact_id = ?", [local])
        else:
            engine.execute(f"UPDATE lake.{table} SET artifact_id = ? WHERE artifact_id = ?", [upstream, local])
    engine.execute("UPDATE lake.run_artifacts SET artifact_id = ? WHERE artifact_id = ?", [upstream, local])


def _mark(engine: Engine, edit: EditArtifact) -> None:
    """Change what versions are called; an alias that one was given has left the others of its collection."""
    query = (
        "SELECT artifact_id, coalesce(aliases, []), coalesce(tags, []) FROM lake.artifacts v WHERE artifact_id = ? OR"
        " (list_has_any(coalesce(aliases, []), ?::VARCHAR[]) AND EXISTS (FROM lake.artifacts o WHERE o.artifact_id = ?"
        " AND o.entity = v.entity AND o.project = v.project AND o.sequence = v.sequence AND o.type = v.type))"
    )
    added = list(edit.add_aliases)
    for artifact_id, aliases, tags in engine.execute(query, [edit.artifact_id, added, edit.artifact_id]).fetchall():
        if artifact_id == edit.artifact_id:
            kept = with_names(aliases, edit.add_aliases, edit.remove_aliases)
            tagged = with_names(tags, edit.add_tags, edit.remove_tags)
        else:
            kept, tagged = with_names(aliases, (), edit.add_aliases), tags
        if (kept, tagged) != (aliases, tags):
            engine.execute(
                "UPDATE lake.artifacts SET aliases = ?, tags = ? WHERE artifact_id = ?", [kept, tagged, artifact_id]
            )
