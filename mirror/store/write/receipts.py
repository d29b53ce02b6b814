"""Receipts: what operations came to, written in the commit that refreshes the rows they changed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mirror.records.addresses import ProjectKey, RunPath
from mirror.records.contents import Direction
from mirror.records.receipts import Ending, Receipt
from mirror.store.engine.connection import Engine
from mirror.store.engine.lake import Lake
from mirror.store.engine.reader import Reader
from mirror.store.schema.tables import RECEIPTS
from mirror.store.write.contents_writer import run_artifacts
from mirror.store.write.rows import insert


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay brought to the server, beside the rows of runs and files that it refreshed."""

    receipts: tuple[Receipt, ...]
    links: tuple[tuple[str, str, Direction], ...] = ()  # run id, artifact id; on top of those that are held


def write_delivered(engine: Engine, key: ProjectKey, delivered: Delivered | None) -> None:
    """Write receipts and links; the caller's transaction makes them visible."""
    if delivered is None:
        return
    insert(engine, RECEIPTS, delivered.receipts)
    if not delivered.links:
        return
    engine.register("linked", run_artifacts(key, list(dict.fromkeys(delivered.links))))
    try:
        engine.execute("INSERT INTO lake.run_artifacts SELECT * FROM linked EXCEPT SELECT * FROM lake.run_artifacts")
    finally:
        engine.unregister("linked")


def endings_of(lake: Lake | Reader, entry_ids: Sequence[str]) -> dict[str, list[Ending]]:
    """The receipts that some entries have, latest first, by entry id."""
    with lake.reading() as engine:
        rows = engine.execute(
            "SELECT id, outcome, attempts, answer FROM lake.receipts WHERE id IN (SELECT unnest(?::VARCHAR[]))"
            " ORDER BY ended_at DESC",
            [list(entry_ids)],
        ).fetchall()
    found: dict[str, list[Ending]] = {}
    for entry_id, outcome, attempts, answer in rows:
        found.setdefault(entry_id, []).append(Ending(outcome=outcome, attempts=attempts, answer=answer))
    return found


def given_up_creations(lake: Lake | Reader) -> dict[RunPath, str]:
    """The runs whose last creation a person gave up, each with the id of that entry."""
    with lake.reading() as engine:
        rows = engine.execute(
            "SELECT entity, project, run_id, arg_max(id, ended_at) FROM lake.receipts WHERE kind = 'create'"
            " GROUP BY ALL HAVING arg_max(outcome, ended_at) IN ('dropped', 'theirs')"
        ).fetchall()
    return {RunPath(entity, project, run_id): entry_id for entity, project, run_id, entry_id in rows}


def held_objects(lake: Lake, key: ProjectKey, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Digests of the files of these run ids and names whose bytes are held."""
    with lake.reading() as engine:
        rows = engine.execute(
            "SELECT run_id, name, object FROM lake.files WHERE entity = ? AND project = ? AND object IS NOT NULL"
            " AND run_id IN (SELECT unnest(?::VARCHAR[])) AND name IN (SELECT unnest(?::VARCHAR[]))",
            [key.entity, key.project, [run_id for run_id, _ in names], [name for _, name in names]],
        ).fetchall()
    return {(run_id, name): digest for run_id, name, digest in rows if (run_id, name) in set(names)}
