"""Take one page: what is new of its runs and of what they contain, in batches that are one commit each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

from mirror.api.rows.listed import ListedContents
from mirror.api.rows.pages import BadRun
from mirror.api.rows.runs import with_fingerprint
from mirror.config import SourceSettings
from mirror.pull import plan
from mirror.pull.committer import Batch, Committer
from mirror.pull.contents.batch import HeldContents, gather
from mirror.pull.contents.fetch_job import FetchJob, Outcome, SignedUrls
from mirror.pull.contents.forecast import forecast
from mirror.pull.contents.plan import MB
from mirror.pull.context import PullContext
from mirror.pull.listing.walk import ListedPage
from mirror.pull.report import ProjectReport
from mirror.records.addresses import ProjectKey
from mirror.records.contents import HeldHistory
from mirror.records.passes import CONTENTS, Failure, HeldRun, OpenFailure, SourceState
from mirror.records.projects import ProjectRecord
from mirror.records.runs import OFFLINE, RunRecord
from mirror.records.soundness import doubted, settled
from mirror.store.read import artifacts, files, held_runs, histories
from mirror.store.read.failures import open_failures

FIELD = "field "  # how the item begins that names a field of a run
BATCH_RUNS = 50  # runs whose contents are one commit
STIRRED_AT_ONCE = 20  # runs of a page
BATCH_LINES = 100_000  # console lines and rows that no export holds, in memory until that commit


class PageTaker:
    """Takes the pages of one pass.

    Args:
        context: shared by all passes of a pull.
        policy: what of a run is wanted.
        report: counted up.
        at: the time of the pass, UTC.
    """

    def __init__(self, context: PullContext, policy: SourceSettings, report: ProjectReport, at: dt.datetime) -> None:
        self.context, self.policy, self.report, self.at = context, policy, report, at
        self.key: ProjectKey = report.key
        self.committer = Committer(context, report, at)
        self._planned: set[str] = set()  # runs that a dry run has counted; a walk that follows a look lists them again
        self.last_look: dt.datetime | None = None  # when the last good pass was, UTC; None: whatever lacks is asked for

    async def take(
        self,
        listed: ListedPage,
        *,
        project: ProjectRecord | None = None,
        source: SourceState | None = None,
        expected: int | None = None,
    ) -> Mapping[str, HeldRun | None]:
        """Fetch what is new on a page, and hand it over to be committed.

        Args:
            listed: the page.
            project: to be committed with the first batch.
            source: the progress of a walk, to be committed with the last batch.
            expected: runs that the pass will see, for progress.

        Returns:
            Ids of the runs that are new or changed, with what was held of them.

        Raises:
            MirrorError: the disk failed or the server is away; what was committed before stays.
        """
        listing: Sequence[RunRecord] = listed.page.runs if listed.page is not None else ()
        contents = listed.page.contents if listed.page is not None else {}
        if self.context.dry_run:
            listing = self._unplanned(listing)
        runs = {run.run_id: run for run in listing}
        if self.committer.is_pending(runs):  # a run that moved between pages: what is held of it is about to change
            await self.committer.settled()
        before = await self.context.stored(held_runs.held_runs, self.context.lake, self.key, list(runs)) if runs else {}
        # What was trained offline and is not upstream as a whole is the newer one.
        listing = [run for run in listing if run.run_id not in before or before[run.run_id].fingerprint != OFFLINE]
        runs = {run.run_id: run for run in listing}
        listing = await self._with_held(listing, before)
        runs = {run.run_id: run for run in listing}
        changed = {run.run_id: run for run in plan.changed_runs(listing, before)}
        self.report.listed += len(listing)
        self.report.skipped += listed.page.empty if listed.page is not None else 0
        self.report.written += len(changed)
        self.report.new += sum(run_id not in before for run_id in changed)
        if self.report.kind != "named":  # a run that was asked for by its name is wanted
            fresh = (run for run_id, run in changed.items() if run_id not in before)
            self.report.beyond += sum(plan.is_beyond(run, self.policy, self.at) for run in fresh)
        self.report.unchanged += len(listing) - len(changed)
        failures = await self.context.stored(open_failures, self.context.lake, self.key) if runs else {}
        remade = plan.remade_ids(changed.values(), before)
        touched = _touched(list(changed.values()), before) | remade
        # Nothing that is held of a run counts for another one that has its id now; the commit puts it aside.
        same = {run_id: known for run_id, known in before.items() if run_id not in remade}
        stretches = list(batches(runs, contents)) or [[]]
        self.report.phase = "fetching"
        for number, run_ids in enumerate(stretches):
            is_first, is_last = number == 0, number == len(stretches) - 1
            outcome = await self._fetch(
                [runs[run_id] for run_id in run_ids], contents, same, touched, frozenset(changed), failures
            )
            _note_flaws(outcome, [runs[run_id] for run_id in run_ids], failures)
            if is_first:
                outcome.failed[:0] = listed.failed
            await self.committer.hand_over(
                Batch(
                    run_ids=run_ids,
                    changed=[changed[run_id] for run_id in run_ids if run_id in changed],
                    new=frozenset(run_ids).difference(before),
                    recovered=[run_id for run_id in run_ids if (run_id, "") in failures],
                    outcome=outcome,
                    project=project if is_first else None,
                    source=source if is_last else None,
                    expected=expected if is_last else None,
                )
            )
        return {run_id: before.get(run_id) for run_id in changed}

    async def _with_held(self, listing: Sequence[RunRecord], before: Mapping[str, HeldRun]) -> Sequence[RunRecord]:
        """The runs, with what is held in place of the fields that the server did not tell, or not soundly.

        A field that it lacks altogether is empty in the lake as a rule: then the run is as it is held, and not asked
        for.
        """
        moved = {run.run_id for run in plan.changed_runs(listing, before)}
        known = [run for run in listing if run.run_id in before and (run.flaws or run.run_id in moved)]
        lacking = [run for run in map(doubted, known) if run.flaws or run.untold]
        if not lacking:
            return listing
        filled = await self.context.stored(held_runs.with_held, self.context.lake, self.key, lacking)
        return [with_fingerprint(settled(filled[run.run_id], run)) if run.run_id in filled else run for run in listing]

    def _unplanned(self, runs: Sequence[RunRecord]) -> Sequence[RunRecord]:
        """Those runs of a page that were not counted before."""
        fresh = [run for run in runs if run.run_id not in self._planned]
        self._planned.update(run.run_id for run in fresh)
        return fresh

    async def _fetch(
        self,
        runs: Sequence[RunRecord],
        contents: Mapping[str, ListedContents | BadRun],
        before: Mapping[str, HeldRun],
        touched: frozenset[str],
        changed: frozenset[str],
        failures: dict[tuple[str, str], OpenFailure],
    ) -> Outcome:
        """Everything that some runs contain and the lake lacks."""
        outcome = Outcome()
        listed = {name: found for name, found in contents.items() if isinstance(found, ListedContents)}
        for run in runs:
            found = contents.get(run.run_id)
            if found is not None and not isinstance(found, ListedContents):
                outcome.failed.append(Failure(run_id=run.run_id, item=CONTENTS, reason=found.reason))
        readable = [run for run in runs if run.run_id in listed]
        if not readable:
            return outcome
        outcome.settled += [(run.run_id, CONTENTS) for run in readable if (run.run_id, CONTENTS) in failures]
        job = FetchJob(
            client=self.context.client,
            objects=self.context.objects,
            key=self.key,
            policy=self.policy,
            reserve_bytes=self.context.reserve_bytes,
            export_max_bytes=self.context.settings.export_size_max_mb * MB,
            at=self.at,
            touched=touched,
            changed=changed,
            again=frozenset(
                run.run_id
                for run in readable
                if plan.look_again(run.heartbeat_at or run.created_at, last_look=self.last_look, now=self.at)
            ),
            held_bytes=self._held_bytes,
            under_way=self.context.under_way,
            open_failures=failures,
            retry_quarantined=self.context.retry_quarantined,
            report=self.report,
            outcome=outcome,
            signed_urls=SignedUrls(self.context.client, self.key, {run.run_id: listed[run.run_id] for run in readable}),
        )
        holding = await self._held(readable, listed, before)
        if self.context.dry_run:
            forecast(job, readable, holding)
        else:
            await gather(job, readable, holding)
        return outcome

    async def _held_bytes(self, digests: Sequence[str]) -> dict[str, str]:
        return await self.context.stored(artifacts.held_bytes, self.context.lake, digests)

    async def _held(
        self, runs: Sequence[RunRecord], listed: Mapping[str, ListedContents], before: Mapping[str, HeldRun]
    ) -> HeldContents:
        """What the lake holds of these runs. Of one that is new to it, nothing: then it is not asked."""
        lake, key, run_ids = self.context.lake, self.key, [run.run_id for run in runs if run.run_id in before]

        def read() -> HeldContents:
            links = artifacts.held_links(lake, key, run_ids) if run_ids else {}
            pages = [page for run in runs for page in (listed[run.run_id].logged, listed[run.run_id].used)]
            ids = {ref.artifact_id for page in pages for ref in page.artifacts}
            ids |= {artifact_id for pairs in links.values() for artifact_id, _ in pairs}
            unknown = {run.run_id: HeldHistory() for run in runs}
            return HeldContents(
                files=files.held_files(lake, key, run_ids) if run_ids else {},
                histories=unknown | histories.held_histories(lake, key, run_ids) if run_ids else unknown,
                links=links,
                artifacts=artifacts.held_artifacts(lake, ids) if ids else {},
            )

        return await self.context.stored(read)


def _note_flaws(outcome: Outcome, runs: Sequence[RunRecord], failures: Mapping[tuple[str, str], OpenFailure]) -> None:
    """Name the fields that the server could not serve, and end the failures of those that it serves again."""
    for run in runs:
        flawed = {f"{FIELD}{name}": reason for name, reason in run.flaws.items()}
        outcome.failed += [Failure(run_id=run.run_id, item=item, reason=reason) for item, reason in flawed.items()]
        outcome.settled += [
            (run_id, item)
            for run_id, item in failures
            if run_id == run.run_id and item.startswith(FIELD) and item not in flawed
        ]


def _touched(changed: Sequence[RunRecord], before: Mapping[str, HeldRun]) -> frozenset[str]:
    """Runs that are new, gave a sign of life, or changed their state: more than an edit.

    And those that ended and of which nothing but `updatedAt` moved: something was written that no listing shows. When
    there are many of them it is the server's own doing, and no reason to read their histories again.
    """
    touched = frozenset(run.run_id for run in changed if plan.is_touched(run, before.get(run.run_id)))
    stirred = frozenset(run.run_id for run in changed if plan.is_stirred(run, before.get(run.run_id)))
    return touched | stirred if len(stirred) <= STIRRED_AT_ONCE else touched


def batches(runs: Mapping[str, RunRecord], contents: Mapping[str, ListedContents | BadRun]) -> Iterator[list[str]]:
    """Run ids in stretches that are one commit each: not too many runs, nor too many lines to hold in memory."""
    batch: list[str] = []
    lines = filled = 0  # a run that contains nothing costs a row, and no place in a batch
    for run_id, run in runs.items():
        found = contents.get(run_id)
        weight = 0
        if isinstance(found, ListedContents):
            by_rows = found.has_live_rows or not found.export_urls
            weight = (found.log_line_count or 0) + (found.events_line_count or 0)
            weight += (run.history_line_count or 0) if by_rows else 0
        something = isinstance(found, ListedContents) and bool(found.files or found.export_urls or weight)
        if batch and something and (filled == BATCH_RUNS or lines + weight > BATCH_LINES):
            yield batch
            batch, lines, filled = [], 0, 0
        batch.append(run_id)
        lines += weight
        filled += something
    if batch:
        yield batch
