"""What people decided, on other machines, about operations of their group: done by whoever has the lease."""

from __future__ import annotations

import datetime as dt

from mirror.cluster.outbox_rows import Wished
from mirror.errors import EntryMoved, NotFound
from mirror.outbox.group import GroupOutbox
from mirror.replay.ledger import give_up
from mirror.store.engine.lake import Lake
from mirror.store.read.receipts import endings_of


def fulfil_wishes(lake: Lake, outbox: GroupOutbox, now: dt.datetime) -> int:
    """Do what was decided; what is under way is decided about the next time.

    Args:
        lake: opened for writing.
        outbox: that delivers.
        now: UTC.

    Returns:
        How many decisions are done, or came too late.

    Raises:
        StoreError: the database or the disk failed; what is left is done the next time.
    """
    done = []
    for wished in outbox.rows.wishes():
        try:
            _fulfil(lake, outbox, wished, now)
        except EntryMoved:  # claimed now
            continue
        except NotFound:
            if not _is_done_with(lake, outbox, wished.id):
                continue  # decided on a machine whose operation is on its way here
        done.append(wished.number)
    if done:
        outbox.rows.fulfilled(done)
    return len(done)


def _is_done_with(lake: Lake, outbox: GroupOutbox, entry_id: str) -> bool:
    state = outbox.rows.states([entry_id]).get(entry_id)
    return state == "gone" or (state is None and bool(endings_of(lake, [entry_id])))


def _fulfil(lake: Lake, outbox: GroupOutbox, wished: Wished, now: dt.datetime) -> None:
    state, entry = outbox.get(wished.id)
    if wished.wish == "drop":
        give_up(lake, outbox, entry.id, now)
    elif wished.wish == "retry":
        if state == "dead" or entry.not_before is not None or state == "conflict":
            outbox.retry(entry)
    elif state == "conflict":
        outbox.resolve(entry, wished.wish)
