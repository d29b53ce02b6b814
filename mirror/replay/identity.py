"""Whether the run that a delivery meets is the one that it was asked of."""

from __future__ import annotations

from mirror.api.rows.pages import BadRun
from mirror.records.operations import Create, Entry, SyncRun
from mirror.records.runs import KnownRun, RunRecord, is_same_run

ANOTHER_RUN = "the run that this was asked of was deleted upstream, and another one has its id now"


def is_another_run(entry: Entry, run: RunRecord | BadRun | None, known: KnownRun | None) -> bool:
    """Whether somebody deleted the run of an entry, and made another one under its id; a person may want that.

    Args:
        entry: what was asked.
        run: that the server shows under that id.
        known: which run the mirror holds under it.
    """
    if isinstance(entry.operation, Create | SyncRun) or entry.resolved == "ours" or not isinstance(run, RunRecord):
        return False
    if known is not None and not is_same_run(run, storage_id=known.storage_id, created_at=known.created_at):
        return True
    if entry.storage_id is None:  # of a run that is being made
        return False
    was_remade = known is not None and known.remade_at is not None and entry.created_at < known.remade_at
    return was_remade or not is_same_run(run, storage_id=entry.storage_id, created_at=None)
