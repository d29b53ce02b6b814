"""What deliveries came to is committed first; only then do entries leave the outbox.

The order of writes, and what a crash leaves behind each:

    1. the server acted                 the entry is claimed; the next replay looks, finds it so, and writes its receipt
    2. receipts and refreshed rows are  the entry is claimed and has a receipt: the next replay lets it leave
       one commit of the lake
    3. the entry leaves, or is buried   done

The next entry of a run is begun only after the third step. Else a look at the server would find what the next one did,
not what the first did: a run that was made and deleted would be made a second time.

An entry that a person gives up leaves the same way (`give_up`), while the lake's lock keeps replays out. A new one is
claimed first, so that no later edit is folded into it; after a crash the next replay puts it back, and who wants it
gone drops it again.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence

import anyio
import anyio.to_thread
import msgspec

from mirror.api.rows.runs import with_fingerprint
from mirror.errors import EntryMoved
from mirror.outbox import Outbox
from mirror.records.addresses import ProjectKey
from mirror.records.contents import ContentChanges, Direction, FileRow
from mirror.records.offline import OfflineLog
from mirror.records.operations import EditArtifact, Entry, SyncRun
from mirror.records.passes import Changes
from mirror.records.receipts import Ending, Receipt, receipt_of
from mirror.records.runs import RunRecord
from mirror.records.soundness import doubted, settled
from mirror.replay.context import DeliveryContext
from mirror.replay.sending import Delivered
from mirror.store.engine.lake import Lake
from mirror.store.read.files import held_objects
from mirror.store.read.held_runs import with_held
from mirror.store.read.offline import logs_of_runs
from mirror.store.read.receipts import endings_of
from mirror.store.write import receipts
from mirror.store.write.writer import commit

MOST_TOGETHER = 200  # deliveries that one commit writes down
MOST_BYTES = 16 << 20  # of documents of runs in it
WAIT_SHARE = 10  # a delivery waits so many times as long as a commit takes for others to be written down with …
WAIT_AT_LEAST_S, WAIT_AT_MOST_S = 0.1, 1.0  # … within these bounds


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that came to an end, and is not written down yet."""

    entry: Entry
    receipt: Receipt
    delivered: Delivered


class Ledger:
    """Writes down what deliveries came to, those of many runs in one commit.

    Args:
        context: of the replay.
    """

    def __init__(self, context: DeliveryContext) -> None:
        self._context = context
        self._waiting: dict[str, Ended] = {}  # by entry
        self._bytes = 0
        self._turn = anyio.Lock()
        self._enough = anyio.Event()
        self._under_way = 0
        self._wait_s = WAIT_AT_LEAST_S

    def begin(self) -> None:
        """A delivery is under way: it is worth waiting for."""
        self._under_way += 1

    def end(self) -> None:
        """It is not any more."""
        self._under_way -= 1
        self._look()

    async def write_down(self, ended: Ended) -> None:
        """Commit a receipt and let its entry leave the outbox; returns when both are done.

        Raises:
            StoreError: what is not written down stays claimed.
        """
        self._waiting[ended.entry.id] = ended
        self._bytes += _weight(ended)
        self._look()
        async with self._turn:
            if ended.entry.id not in self._waiting:  # whoever had the turn before took it along
                return
            with anyio.move_on_after(self._wait_s):
                await self._enough.wait()
            await self.flush()

    async def flush(self) -> None:
        """Write down what waits, without waiting for more.

        Raises:
            StoreError: what is not written down stays claimed.
        """
        ended = list(self._waiting.values())
        self._waiting.clear()
        self._bytes = 0
        self._enough = anyio.Event()
        if ended:
            began = anyio.current_time()
            await anyio.to_thread.run_sync(_settle, self._context, ended, limiter=self._context.storing)
            took_s = anyio.current_time() - began
            self._wait_s = min(WAIT_AT_MOST_S, max(WAIT_AT_LEAST_S, WAIT_SHARE * took_s))

    def _look(self) -> None:
        if self._under_way == 0 or len(self._waiting) >= MOST_TOGETHER or self._bytes >= MOST_BYTES:
            self._enough.set()


async def ended_before(context: DeliveryContext, entries: Sequence[Entry]) -> Mapping[str, Ending]:
    """How entries ended that have a receipt and are still there: a replay was killed before it let them leave."""
    # To have been claimed by one that was killed is an attempt; one of a group may have been delivered by any machine.
    tried = [entry for entry in entries if entry.attempts or entry.author is not None]
    if not tried:
        return {}
    known = await anyio.to_thread.run_sync(
        endings_of, context.lake, [entry.id for entry in tried], limiter=context.storing
    )
    return {entry.id: ended for entry in tried if (ended := ending(entry, known.get(entry.id, ()))) is not None}


def ending(entry: Entry, known: Sequence[Ending]) -> Ending | None:
    """The receipt with which an entry ended; None when it is to be delivered.

    An entry that was delivered never comes back. One that was refused may be retried: what its receipts say counts only
    if they are of a later attempt.
    """
    for one in known:
        if one.outcome in {"applied", "already_so", "theirs"}:
            return one
        if one.outcome == "dropped" and entry.author is not None:
            return one
        if one.outcome == "buried" and one.attempts > entry.retried:
            return one
    return None


async def let_leave(context: DeliveryContext, claimed: Entry, ended: Ending) -> None:
    """Let an entry leave the outbox whose receipt was written before."""
    await anyio.to_thread.run_sync(_leave, context.outbox, claimed, ended.outcome, ended.answer)


def give_up(lake: Lake, outbox: Outbox, entry_id: str, now: dt.datetime) -> Entry:
    """Drop an entry; a receipt keeps what was asked.

    Args:
        lake: open for writing, so that nobody delivers meanwhile.
        outbox: of its home.
        entry_id: names the entry.
        now: UTC.

    Returns:
        It as it was dropped, with what was folded into it until then.

    Raises:
        EntryMoved: it is claimed, or gone.
        StoreError: the disk failed; the entry stays.
    """
    state, entry = outbox.get(entry_id)
    if state == "claimed":
        raise EntryMoved(f"entry {entry.id} is claimed now")
    if state != "new":  # no edit is folded into it any more
        _commit_dropped(lake, entry, now)
        outbox.drop(entry)
        return entry
    claimed = outbox.claim(entry)
    if claimed is None:
        raise EntryMoved(f"entry {entry.id} has moved")
    try:
        _commit_dropped(lake, claimed, now)
    except BaseException:
        outbox.put_back(claimed)
        raise
    outbox.finish(claimed)
    return claimed


def _commit_dropped(lake: Lake, entry: Entry, now: dt.datetime) -> None:
    receipt = receipt_of(entry, "dropped", ended_at=now, attempts=entry.attempts, answer=entry.reason)
    changes = Changes(key=entry.run_path.key, at=now)
    commit(lake, changes, (), delivered=receipts.DeliveredRows(receipts=(receipt,)))


def _settle(context: DeliveryContext, ended: Sequence[Ended]) -> None:
    of_project: dict[ProjectKey, list[Ended]] = defaultdict(list)
    for one in ended:
        of_project[one.entry.run_path.key].append(one)
    for key, some in of_project.items():
        _commit(context, key, _without_grown(context, key, some))
    context.outbox.finish(*(one.entry for one in ended if one.receipt.outcome != "buried"))
    for one in ended:
        if one.receipt.outcome == "buried":
            _leave(context.outbox, one.entry, one.receipt.outcome, one.receipt.answer)


def _without_grown(context: DeliveryContext, key: ProjectKey, ended: Sequence[Ended]) -> list[Ended]:
    """What came of deliveries; of a log that grew meanwhile the rest is queued, and the run stays one that waits.

    Whoever takes logs in has the same turn at the lake, so that none grows between this and the commit.
    """
    delivered = {row.log: row for one in ended for row in one.delivered.logs}
    if not delivered:
        return list(ended)
    now = logs_of_runs(context.lake, key, list({row.run_id for row in delivered.values()}))
    grown = {row.log for rows in now.values() for row in rows if row.bytes > delivered.get(row.log, row).bytes}
    settled: list[Ended] = []
    for one in ended:
        if any(row.log in grown for row in one.delivered.logs):
            for row in one.delivered.logs:
                rest = SyncRun(log=row.log, is_begun=True, alerts=row.alerts or 0)
                context.outbox.put(one.entry.run_path, one.entry.storage_id, rest)
            one = msgspec.structs.replace(one, delivered=msgspec.structs.replace(one.delivered, run=None, logs=()))
        settled.append(one)
    return settled


def _commit(context: DeliveryContext, key: ProjectKey, ended: Sequence[Ended]) -> None:
    runs: dict[str, RunRecord] = {}
    files: dict[str, dict[str, FileRow]] = defaultdict(dict)
    gone: dict[str, None] = {}
    links: list[tuple[str, str, Direction]] = []
    logs: list[OfflineLog] = []
    versions: list[tuple[str, str]] = []
    marked: list[EditArtifact] = []
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
        logs += one.delivered.logs
        versions += one.delivered.versions
        marked += one.delivered.marked
    sound = with_held(context.lake, key, map(doubted, runs.values()))
    runs |= {run_id: with_fingerprint(settled(run, runs[run_id])) for run_id, run in sound.items()}
    commit(
        context.lake,
        Changes(key=key, at=context.now(), runs=tuple(runs.values()), gone=tuple(gone), logs=tuple(logs)),
        _contents(context, key, files),
        objects=context.objects,
        delivered=receipts.DeliveredRows(
            receipts=tuple(one.receipt for one in ended),
            links=tuple(links),
            versions=tuple(versions),
            marked=tuple(marked),
        ),
    )
    context.fresh.written(key, [*runs, *gone])


def _contents(context: DeliveryContext, key: ProjectKey, files: dict[str, dict[str, FileRow]]) -> list[ContentChanges]:
    """Rows of files; one that went upstream keeps the bytes that are held."""
    lost = [(run_id, row.name) for run_id, rows in files.items() for row in rows.values() if row.object is None]
    known = held_objects(context.lake, key, lost) if lost else {}
    held = {file: digest for file, digest in known.items() if context.objects.has(digest)}  # lost bytes stop nobody
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


def _weight(ended: Ended) -> int:
    """About how many bytes of documents wait with a delivery."""
    run, sent = ended.delivered.run, ended.receipt.sent
    texts = (run.config_text, run.summary_text, run.history_keys_text) if run is not None else ()
    return len(ended.receipt.operation) + sum(len(text) for text in (*texts, sent) if text is not None)


def _leave(outbox: Outbox, entry: Entry, outcome: str, answer: str | None) -> None:
    if outcome == "buried":
        outbox.bury(entry, answer or "the server refused it")
    else:
        outbox.finish(entry)
