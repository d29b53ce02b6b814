"""Take one page: what is new of its runs and of what they contain, in batches that are one commit each.

While one batch is folded and committed, the next one is fetched: the network and the disk work side by side.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import ObjectSendStream

from mirror.api import BadRun, Client, RunContents, RunsPage
from mirror.config import PullSettings, SourceSettings
from mirror.errors import UnreadableExport
from mirror.pull import plan
from mirror.pull.contents_pass import HeldContents, gather
from mirror.pull.errand import Errand, Outcome, Signatures, side_by_side
from mirror.pull.fetch import UnderWay
from mirror.pull.forecast import forecast
from mirror.pull.listing import CONTENTS, Listed
from mirror.pull.report import ProjectReport, Watcher
from mirror.records.contents import ContentChanges
from mirror.records.passes import Changes, Failure, Held, OpenFailure, ProjectKey, SourceState
from mirror.records.runs import RunRecord
from mirror.store import Lake, contents_held, held
from mirror.store.failures import open_failures
from mirror.store.objects import Objects
from mirror.store.writer import commit

P = ParamSpec("P")
T = TypeVar("T")

BATCH_RUNS = 50  # runs whose contents are one commit
BATCH_LINES = 100_000  # console lines and rows that no export holds, in memory until that commit


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What all passes of a pull share."""

    client: Client
    lake: Lake
    objects: Objects
    settings: PullSettings
    watcher: Watcher
    now: Callable[[], dt.datetime]  # UTC
    accept_missing: bool = False  # a person agreed that runs may be marked as gone, however many
    retry_quarantined: bool = False  # a person asked to try again what was given up
    dry_run: bool = False  # plan, and change nothing
    under_way: UnderWay = field(default_factory=UnderWay)
    one_at_a_time: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))

    async def stored(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the store in a thread: it blocks, and the lake takes one caller at a time."""
        return await anyio.to_thread.run_sync(lambda: function(*args, **kwargs), limiter=self.one_at_a_time)


@dataclass(kw_only=True)
class Batch:
    """Runs of a page that are committed together."""

    changed: Sequence[RunRecord]
    recovered: tuple[str, ...]
    outcome: Outcome
    source: SourceState | None  # the progress of a walk; with the last batch of a page
    size: int  # runs of the page that are in it, changed or not
    is_last: bool  # of its page


class PageTaker:
    """Takes the pages of one pass.

    Args:
        shop: shared by all passes of a pull.
        policy: what of a run is wanted.
        report: counted up.
        at: the time of the pass, UTC.
    """

    def __init__(self, shop: Workshop, policy: SourceSettings, report: ProjectReport, at: dt.datetime) -> None:
        self.shop, self.policy, self.report, self.at = shop, policy, report, at
        self.key: ProjectKey = report.key
        self._planned: set[str] = set()  # runs that a dry run has counted; a walk that follows a look lists them again
        self.last_look: dt.datetime | None = None  # when the last good pass was, UTC; None: whatever lacks is asked for

    async def take(self, listed: Listed, *, source: SourceState | None = None) -> None:
        """Commit what is new on a page.

        Raises:
            MirrorError: the disk failed or the server is away; what was committed before stays.
        """
        self.report.failed.extend(listed.failed)
        if listed.page is None:
            await self.commit(failed=listed.failed, source=source)
            return
        page = self._unplanned(listed.page) if self.shop.dry_run else listed.page
        runs = page.runs
        before = await self.shop.stored(held.held_runs, self.shop.lake, self.key, [run.run_id for run in runs])
        changed = plan.changed_runs(runs, before)
        self.report.listed += len(runs)
        self.report.written += len(changed)
        self.report.new += sum(run.run_id not in before for run in changed)
        self.report.unchanged += len(runs) - len(changed)
        failures = await self.shop.stored(open_failures, self.shop.lake, self.key)
        if listed.failed:
            await self.commit(failed=listed.failed)
        self.report.phase = "fetching"
        send, receive = anyio.create_memory_object_stream[Batch](0)
        async with side_by_side() as group:
            group.start_soon(self._fetch_batches, page, changed, _touched(changed, before), failures, source, send)
            async with receive:
                async for batch in receive:
                    self.report.phase = "writing"
                    await self._commit_batch(batch)
                    self.report.settled += batch.size
                    self.report.phase = "fetching"
                    if not batch.is_last:  # the pass tells of whole pages
                        self.shop.watcher.page_done(self.report, None)

    def _unplanned(self, page: RunsPage) -> RunsPage:
        """The page without runs that were counted before."""
        runs = tuple(run for run in page.runs if run.run_id not in self._planned)
        self._planned.update(run.run_id for run in runs)
        return msgspec.structs.replace(page, runs=runs)

    async def _fetch_batches(
        self,
        page: RunsPage,
        changed: Sequence[RunRecord],
        touched: frozenset[str],
        failures: dict[tuple[str, str], OpenFailure],
        source: SourceState | None,
        send: ObjectSendStream[Batch],
    ) -> None:
        """Fetch batch after batch; the last one carries the progress."""
        latest = {run.run_id: run for run in page.runs}
        new = {run.run_id for run in changed}
        stretches = list(batches(latest, page.contents)) or [[]]
        async with send:
            for number, run_ids in enumerate(stretches):
                outcome = await self._fetch(page, [latest[run_id] for run_id in run_ids], touched, failures)
                await send.send(
                    Batch(
                        changed=[latest[run_id] for run_id in run_ids if run_id in new],
                        recovered=tuple(run_id for run_id in run_ids if (run_id, "") in failures),
                        outcome=outcome,
                        source=source if number == len(stretches) - 1 else None,
                        size=len(run_ids),
                        is_last=number == len(stretches) - 1,
                    )
                )

    async def _fetch(
        self,
        page: RunsPage,
        runs: Sequence[RunRecord],
        touched: frozenset[str],
        failures: dict[tuple[str, str], OpenFailure],
    ) -> Outcome:
        """Everything that some runs contain and the lake lacks."""
        outcome = Outcome()
        listed = {name: found for name, found in page.contents.items() if isinstance(found, RunContents)}
        for run in runs:
            found = page.contents.get(run.run_id)
            if found is not None and not isinstance(found, RunContents):
                outcome.failed.append(Failure(run_id=run.run_id, item=CONTENTS, reason=found.reason))
        readable = [run for run in runs if run.run_id in listed]
        if not readable:
            return outcome
        outcome.settled += [(run.run_id, CONTENTS) for run in readable if (run.run_id, CONTENTS) in failures]
        errand = Errand(
            client=self.shop.client,
            objects=self.shop.objects,
            key=self.key,
            policy=self.policy,
            at=self.at,
            touched=touched,
            again=frozenset(
                run.run_id
                for run in readable
                if plan.look_again(run.heartbeat_at or run.created_at, last_look=self.last_look, now=self.at)
            ),
            held_bytes=self._held_bytes,
            under_way=self.shop.under_way,
            open_failures=failures,
            retry_quarantined=self.shop.retry_quarantined,
            report=self.report,
            outcome=outcome,
            signatures=Signatures(self.shop.client, self.key, {run.run_id: listed[run.run_id] for run in readable}),
        )
        holding = await self._held(readable, listed)
        if self.shop.dry_run:
            forecast(errand, readable, holding)
        else:
            await gather(errand, readable, holding)
        return outcome

    async def _held_bytes(self, digests: Sequence[str]) -> dict[str, str]:
        return await self.shop.stored(contents_held.held_bytes, self.shop.lake, digests)

    async def _held(self, runs: Sequence[RunRecord], listed: dict[str, RunContents]) -> HeldContents:
        lake, key, run_ids = self.shop.lake, self.key, [run.run_id for run in runs]

        def read() -> HeldContents:
            links = contents_held.held_links(lake, key, run_ids)
            pages = [page for run_id in run_ids for page in (listed[run_id].logged, listed[run_id].used)]
            ids = {ref.artifact_id for page in pages for ref in page.artifacts}
            ids |= {artifact_id for pairs in links.values() for artifact_id, _ in pairs}
            return HeldContents(
                files=contents_held.held_files(lake, key, run_ids),
                histories=contents_held.held_histories(lake, key, run_ids),
                links=links,
                artifacts=contents_held.held_artifacts(lake, ids) if ids else {},
            )

        return await self.shop.stored(read)

    async def _commit_batch(self, batch: Batch) -> None:
        """One commit; a history part that turns out to be damaged costs its own run's history alone."""
        outcome = batch.outcome
        contents: list[ContentChanges] = list(outcome.contents)
        while True:
            changes = Changes(
                key=self.key,
                at=self.at,
                runs=tuple(batch.changed),
                recovered=batch.recovered,
                failed=tuple(outcome.failed),
                settled=tuple(outcome.settled),
                source=batch.source,
            )
            try:
                await self._store(changes, contents, outcome)
            except UnreadableExport as error:
                contents = self._without_damaged(contents, error, outcome)
                continue
            break
        self.report.failed.extend(outcome.failed)

    def _without_damaged(
        self, contents: list[ContentChanges], error: UnreadableExport, outcome: Outcome
    ) -> list[ContentChanges]:
        kept: list[ContentChanges] = []
        found = False
        for change in contents:
            parts = change.history.exports or () if change.history is not None else ()
            if any(part.object in error.message for part in parts):
                found = True
                outcome.failed.append(Failure(run_id=change.run_id, item="history", reason=error.message))
                outcome.settled = [pair for pair in outcome.settled if pair != (change.run_id, "history")]
                kept.append(msgspec.structs.replace(change, history=None))
            else:
                kept.append(change)
        if not found:
            raise error
        return kept

    async def _store(self, changes: Changes, contents: Sequence[ContentChanges], outcome: Outcome) -> None:
        if self.shop.dry_run or (changes.is_empty and not contents and not outcome.artifacts):
            return
        await self.shop.stored(
            commit, self.shop.lake, changes, contents, list(outcome.artifacts.values()), objects=self.shop.objects
        )

    async def commit(self, **changes: object) -> None:
        """Commit something that is no page."""
        whole = msgspec.structs.replace(Changes(key=self.key, at=self.at), **changes)
        if not whole.is_empty and not self.shop.dry_run:
            await self.shop.stored(commit, self.shop.lake, whole)


def _touched(changed: Sequence[RunRecord], before: Mapping[str, Held]) -> frozenset[str]:
    """Runs that are new, gave a sign of life, or changed their state: more than an edit."""
    return frozenset(
        run.run_id
        for run in changed
        if (held := before.get(run.run_id)) is None
        or held.gone
        or (held.state, held.heartbeat) != (run.state, run.heartbeat_at_text)
    )


def batches(runs: Mapping[str, RunRecord], contents: Mapping[str, RunContents | BadRun]) -> Iterator[list[str]]:
    """Run ids in stretches that are one commit each: not too many runs, nor too many lines to hold in memory."""
    batch: list[str] = []
    lines = filled = 0  # a run that contains nothing costs a row, and no place in a batch
    for run_id, run in runs.items():
        found = contents.get(run_id)
        weight = 0
        if isinstance(found, RunContents):
            by_rows = found.has_live_rows or not found.export_urls
            weight = (found.log_line_count or 0) + (found.events_line_count or 0)
            weight += (run.history_line_count or 0) if by_rows else 0
        something = isinstance(found, RunContents) and bool(found.files or found.export_urls or weight)
        if batch and something and (filled == BATCH_RUNS or lines + weight > BATCH_LINES):
            yield batch
            batch, lines, filled = [], 0, 0
        batch.append(run_id)
        lines += weight
        filled += something
    if batch:
        yield batch
