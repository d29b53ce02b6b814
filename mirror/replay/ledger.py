"""What deliveries came to is committed first; only then do entries leave the outbox.

The order of writes, and what a crash leaves behind each:

    1. the server acted                 the entry is claimed; the next replay looks, finds it so, and writes its receipt
    2. receipts and refreshed rows are  the entry is claimed and has a receipt: the next replay lets it leave
       one commit of the lake
    3. the entry leaves, or is buried   done
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import anyio.to_thread
import msgspec

from mirror.outbox import Outbox
from mirror.records.contents import ContentChanges, Direction, FileRow
from mirror.records.operations import Entry
from mirror.records.passes import Changes, ProjectKey
from mirror.records.receipts import Receipt
from mirror.records.runs import RunRecord
from mirror.replay.desk import Desk
from mirror.replay.outcomes import Delivered
from mirror.store import receipts
from mirror.store.writer import commit


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that came to an end, and is not written down yet."""

    entry: Entry
    receipt: Receipt
    delivered: Delivered


async def settle(desk: Desk, ended: Sequence[Ended]) -> None:
    """Write down what deliveries came to, and let their entries leave the outbox.

    Raises:
        StoreError: what is not written down stays claimed.
    """
    await anyio.to_thread.run_sync(_settle, desk, ended, limiter=desk.storing)


async def settle_recovered(desk: Desk, entries: Sequence[Entry]) -> None:
    """Let entries leave that have a receipt already: a replay was killed between its commit and this step."""
    await anyio.to_thread.run_sync(_settle_recovered, desk, entries, limiter=desk.storing)


def _settle(desk: Desk, ended: Sequence[Ended]) -> None:
    of_project: dict[ProjectKey, list[Ended]] = defaultdict(list)
    for one in ended:
        of_project[ProjectKey(one.entry.entity, one.entry.project)].append(one)
    for key, some in of_project.items():
        _commit(desk, key, some)
    for one in ended:
        _leave(desk.outbox, one.entry, one.receipt.outcome, one.receipt.answer)


def _commit(desk: Desk, key: ProjectKey, ended: Sequence[Ended]) -> None:
    runs: dict[str, RunRecord] = {}
    files: dict[str, dict[str, FileRow]] = defaultdict(dict)
    gone: dict[str, None] = {}
    links: list[tuple[str, str, Direction]] = []
    for one in ended:
        run_id = one.entry.run_id
        if one.delivered.run is not None:
            runs[run_id] = one.delivered.run
            gone.pop(run_id, None)
        if one.delivered.gone:
            runs.pop(run_id, None)
            gone[run_id] = None
        files[run_id] |= {row.name: row for row in one.delivered.files}
        links += [(run_id, *link) for link in one.delivered.links]
    commit(
        desk.lake,
        Changes(key=key, at=desk.now(), runs=tuple(runs.values()), gone=tuple(gone)),
        _contents(desk, key, files),
        objects=desk.objects,
        delivered=receipts.Delivered(receipts=tuple(one.receipt for one in ended), links=tuple(links)),
    )


def _contents(desk: Desk, key: ProjectKey, files: dict[str, dict[str, FileRow]]) -> list[ContentChanges]:
    """Rows of files; one that went upstream keeps the bytes that are held."""
    lost = [(run_id, row.name) for run_id, rows in files.items() for row in rows.values() if row.object is None]
    held = receipts.held_objects(desk.lake, key, lost) if lost else {}
    return [
        ContentChanges(
            run_id=run_id,
            files=tuple(
                msgspec.structs.replace(row, object=row.object or held.get((run_id, row.name))) for row in rows.values()
            ),
        )
        for run_id, rows in files.items()
        if rows
    ]


def _settle_recovered(desk: Desk, entries: Sequence[Entry]) -> None:
    known = receipts.outcomes_of(desk.lake, [entry.id for entry in entries])
    for entry in entries:
        claimed = desk.outbox.claim(entry)
        if claimed is None:
            continue
        # Recovery has counted the attempt that was cut off, as its receipt does.
        if (ended := known.get((claimed.id, claimed.attempts))) is not None:
            _leave(desk.outbox, claimed, *ended)
        else:
            desk.outbox.put_back(claimed)


def _leave(outbox: Outbox, entry: Entry, outcome: str, answer: str | None) -> None:
    if outcome == "buried":
        outbox.bury(entry, answer or "the server refused it")
    else:
        outbox.finish(entry)
