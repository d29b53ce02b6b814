"""Commit batch after batch while the next ones are listed and fetched: the network and the disk work side by side.

What is handed over is committed in that order, across pages, so that the progress of a walk never names a run that the
lake lacks. One batch is committed while one is fetched; no more than these two are in memory.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import msgspec
from anyio.abc import ObjectReceiveStream, ObjectSendStream

from mirror.errors import MirrorError, UnreadableExport
from mirror.pull.contents.fetch_job import Outcome
from mirror.pull.context import PullContext
from mirror.pull.report import ProjectReport
from mirror.records.addresses import ProjectKey
from mirror.records.contents import ContentChanges
from mirror.records.passes import Changes, Failure, SourceState
from mirror.records.projects import ProjectRecord
from mirror.records.runs import RunRecord
from mirror.store.write.fresh_rows import without_older
from mirror.store.write.sources import commit_source
from mirror.tasks import side_by_side


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Runs of a page that are committed together."""

    run_ids: Sequence[str]  # all runs in it, changed or not
    changed: Sequence[RunRecord]
    new: frozenset[str]  # run ids of which the lake holds nothing
    recovered: Sequence[str]
    outcome: Outcome
    project: ProjectRecord | None
    source: SourceState | None  # the progress of a walk; with the last batch of a page
    expected: int | None  # runs that the pass will see, for progress
    taken: anyio.Event = field(default_factory=anyio.Event)  # by the task that commits
    committed: anyio.Event = field(default_factory=anyio.Event)


class Committer:
    """Commits what one pass hands over.

    Args:
        context: shared by all passes of a pull.
        report: counted up.
        at: the time of the pass, UTC.
    """

    def __init__(self, context: PullContext, report: ProjectReport, at: dt.datetime) -> None:
        self.context, self.report, self.at = context, report, at
        self.source: SourceState | None = None  # as it was committed last
        self._pending: list[Batch] = []  # handed over and not committed
        self._fresh: set[tuple[ProjectKey, str]] = set()  # runs that replays wrote since the pass began
        self._send: ObjectSendStream[Batch] | None = None  # while it is at work

    @asynccontextmanager
    async def at_work(self) -> AsyncGenerator[None, None]:
        """Commit beside the body. When it ends, whether well or with an error of ours, all that it handed over is
        committed.

        Raises:
            MirrorError: the body's, or what a commit met; then the body is cancelled.
        """
        self._send, receive = anyio.create_memory_object_stream[Batch](0)
        try:
            with self.context.fresh.watched() as self._fresh:
                async with receive, side_by_side() as group, self._send:
                    group.start_soon(self._commit_all, receive)
                    try:
                        yield
                    except MirrorError:
                        await self.settled()
                        raise
                    await self.settled()
        finally:
            self._send = None
            self._pending.clear()

    async def hand_over(self, batch: Batch) -> None:
        """Let a batch be committed; waits while the one before it is."""
        assert self._send is not None, "the committer is not at work"
        self._pending.append(batch)
        try:
            await self._send.send(batch)
        except BaseException:
            if not batch.taken.is_set():  # cancelled while it waited: nobody will ever commit it
                self._pending.remove(batch)
            raise

    async def settled(self) -> None:
        """Wait until everything that was handed over is committed."""
        if self._pending:
            await self._pending[-1].committed.wait()

    def is_pending(self, run_ids: Iterable[str]) -> bool:
        """Whether one of these runs is in a batch that is not committed yet."""
        pending = {run_id for batch in self._pending for run_id in batch.run_ids}
        return not pending.isdisjoint(run_ids)

    async def commit(self, **changes: object) -> None:
        """Commit something that is no batch, behind everything that was handed over."""
        await self.settled()
        await self._store(msgspec.structs.replace(Changes(key=self.report.key, at=self.at), **changes), Outcome())

    async def _commit_all(self, receive: ObjectReceiveStream[Batch]) -> None:
        async for batch in receive:
            batch.taken.set()
            self.report.phase = "writing"
            await self._commit_batch(batch)
            self.report.phase = "fetching"
            self.report.settled += len(batch.run_ids)
            self._pending.remove(batch)
            batch.committed.set()
            self.context.watcher.page_done(self.report, batch.expected)

    async def _commit_batch(self, batch: Batch) -> None:
        """One commit; a history part that turns out to be damaged costs its own run's history alone."""
        outcome = batch.outcome
        while True:
            changes = Changes(
                key=self.report.key,
                at=self.at,
                runs=tuple(batch.changed),
                new=batch.new,
                recovered=tuple(batch.recovered),
                failed=tuple(outcome.failed),
                settled=tuple(outcome.settled),
                project=batch.project,
                source=batch.source,
            )
            try:
                await self._store(changes, outcome)
            except UnreadableExport as error:
                _without_damaged(outcome, error)
                continue
            break
        self.report.failed.extend(outcome.failed)

    async def _store(self, changes: Changes, outcome: Outcome) -> None:
        contents, artifacts = outcome.contents, list(outcome.artifacts.values())
        if self.context.dry_run or (changes.is_empty and not contents and not artifacts):
            return

        def store() -> None:  # with the turn to commit, so that no replay writes between the look and the commit
            lake, kept = self.context.lake, without_older(changes, self._fresh)
            if kept.source is not None and kept.is_progress and not contents and not artifacts:
                commit_source(lake, kept.key, kept.source)
                return
            from mirror.store.write.writer import commit  # Arrow takes a quarter of a second to load

            commit(lake, kept, contents, artifacts, objects=self.context.objects)

        await self.context.written(store)
        self.source = changes.source or self.source


def _without_damaged(outcome: Outcome, error: UnreadableExport) -> None:
    """Take the history that the error is about out of the outcome.

    Raises:
        UnreadableExport: it is about none of them.
    """
    kept: list[ContentChanges] = []
    found = False
    for change in outcome.contents:
        parts = change.history.exports or () if change.history is not None else ()
        if any(part.object == error.object for part in parts):
            found = True
            outcome.failed.append(Failure(run_id=change.run_id, item="history", reason=error.message))
            outcome.settled = [pair for pair in outcome.settled if pair != (change.run_id, "history")]
            kept.append(msgspec.structs.replace(change, history=None))
        else:
            kept.append(change)
    if not found:
        raise error
    outcome.contents = kept
