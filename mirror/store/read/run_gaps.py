"""What of one run is not held, in few words: what a page that shows the run must say."""

from __future__ import annotations

import datetime as dt

import msgspec

from mirror.records.addresses import RunPath
from mirror.store.engine.reader import Reader
from mirror.typed import struct_of

FAILURES_LISTED = 20


class RunGaps(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run is mirrored. Times are UTC without a zone, as the lake has them."""

    synced_at: dt.datetime | None  # when the run changed here last; None: it is not in the lake
    rows_logged: int | None  # steps of its history, by the server's count
    rows_held: int | None  # None: the history was never read
    is_complete: bool
    reason: str | None  # why the history is not complete
    files_not_held: int  # listed upstream, and left out or failed
    failures: tuple[tuple[str, str], ...]  # item and reason of what could not be taken


_RUN = "entity = ? AND project = ? AND run_id = ?"
# One statement, for each costs a look into the catalog. What is not in the lake may have failed all the same.
_GAPS = f"""
SELECT r.synced_at, coalesce(c.history_line_count, r.history_line_count), c.rows_held, coalesce(c.complete, false),
       c.reason, (SELECT count(*) FROM lake.files WHERE {_RUN} AND status IN ('left_out', 'failed')),
       (SELECT list([item, reason] ORDER BY item) FROM (
           SELECT item, reason FROM lake.failures WHERE {_RUN} ORDER BY item LIMIT {FAILURES_LISTED}
       ))
FROM (SELECT 1) LEFT JOIN (FROM lake.runs WHERE {_RUN}) r ON true
LEFT JOIN (FROM lake.completeness WHERE {_RUN}) c ON true
"""


def run_gaps(reader: Reader, run: RunPath) -> RunGaps:
    """What of a run is not held; of a run that is not in the lake, nothing is.

    Raises:
        NotMirrored, StoreError: as `Reader.rows`.
    """
    ((*facts, failures),) = reader.rows(_GAPS, [*run, *run, *run, *run])
    held = tuple((item, reason) for item, reason in failures or ())
    return struct_of(RunGaps, (*facts, held))
