"""One pass over one project: list, compare, commit page by page, so that a cut-off pass goes on where it stopped.

What a crash leaves: after page n the lake holds pages 1 … n, each whole, and for a walk the creation time it reached.
The watermark moves only when the pass ends; until then the next pass looks at everything again, and finds it held.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Concatenate, ParamSpec, TypeVar

import msgspec

from mirror.api.rows.pages import RunsPage
from mirror.api.rows.times import time_or_none
from mirror.config import SourceSettings
from mirror.errors import MirrorError, ServerError, StoreError, SuspiciousListing, Unreachable
from mirror.pull import plan
from mirror.pull.context import PullContext
from mirror.pull.gone import GoneRuns
from mirror.pull.listing.budget import PageSize
from mirror.pull.listing.walk import ListedPage, Listing, ahead, list_runs, may_be_the_size
from mirror.pull.report import ProjectReport
from mirror.pull.seen import ListedRuns
from mirror.pull.sweeps_pass import take_sweeps
from mirror.pull.take import PageTaker
from mirror.records.addresses import ProjectKey
from mirror.records.passes import SWEEPS_OF, HeldRun, SourceState
from mirror.store.engine.lake import Lake
from mirror.store.read import held_runs, projects
from mirror.store.read.failures import open_failures

T = TypeVar("T")
P = ParamSpec("P")


class ProjectPass:
    """The running state of one pass.

    Args:
        context: shared by all passes of a pull.
        report: counted up while the pass runs.
        policy: what of the project's runs is wanted.
    """

    def __init__(self, context: PullContext, report: ProjectReport, policy: SourceSettings) -> None:
        self.context = context
        self.report = report
        self.key: ProjectKey = report.key
        self.at = context.now()
        self.policy = policy
        self.pages = PageTaker(context, policy, report, self.at)
        self.committer = self.pages.committer
        self.state = SourceState()
        self.gone = GoneRuns(context, report, self.pages, self._pages)
        self.held_before = 0
        self.held_project = False
        self.server_time: dt.datetime | None = None  # of the first answer
        self.through: str | None = None  # `createdAt` of the newest run of a walk, as the server wrote it
        # A server that takes no filters lists every run, and then every run is taken.
        self.narrowed = policy.narrowed(self.at) if context.client.knows("Project.runs(filters)") else None
        self.distrusts_updates = False  # this pass saw that `updatedAt` does not tell what moved

    @property
    def wanted(self) -> str:
        """Digest of what is wanted of each run, and of when the server came to serve more of it than before."""
        gained_at = self.context.client.facts.gained_at
        return self.policy.wanted if gained_at is None else f"{self.policy.wanted} {gained_at.isoformat()}"

    async def run(self, *, force_walk: bool) -> None:
        """Do the pass that the project needs.

        Raises:
            MirrorError: why it stopped; what was committed before stays, and the reason is in `sources`.
        """
        self.state = await self._ask(projects.source_state)
        self.pages.last_look = self.state.last_pass_at
        self.held_project = self.state.last_walk_at is not None
        self.held_before = self.gone.held_before = await self._ask(held_runs.count_runs)
        chosen = plan.choose_pass(
            self.state,
            now=self.at,
            overlap=dt.timedelta(minutes=self.context.settings.overlap_minutes),
            walk_every=dt.timedelta(hours=self.context.settings.reconcile_every_hours),
            force_walk=force_walk,
            wanted=self.wanted,
        )
        before, wanted = self.state, self.wanted
        try:
            async with self.committer.at_work():
                if isinstance(chosen, plan.Walk):
                    await self._walk(chosen)
                elif await self._look(chosen) or self.wanted != wanted:
                    await self._walk(plan.Walk(resume_at=None, started_at=None))
        except MirrorError as error:
            state = self.committer.source or before
            failed = msgspec.structs.replace(state, last_error=error.message, last_error_at=self.at)
            if failed.walk_started_at is not None and self.through and not isinstance(error, StoreError):
                failed = msgspec.structs.replace(failed, walk_through=self.through)  # all that came is held
            if isinstance(error, SuspiciousListing):  # begun anew: going on, the next walk would miss nothing
                failed = msgspec.structs.replace(failed, walk_through=None)
            await self.committer.commit(source=failed)
            raise

    async def _ask(
        self, question: Callable[Concatenate[Lake, ProjectKey, P], T], *given: P.args, **more: P.kwargs
    ) -> T:
        """Ask the lake about the project."""
        return await self.context.stored(question, self.context.lake, self.key, *given, **more)

    async def _look(self, look: plan.Look) -> bool:
        """Take what moved since the last pass, and everything unsettled.

        Returns:
            Whether the server's count shows that something was missed, so that a walk is due.
        """
        unsettled = await self._unsettled()
        seen = ListedRuns(unseen=set(unsettled))
        trusted = not self.state.distrusts_updates
        trusted = trusted and self.context.client.knows("Run.updatedAt")
        by_update = trusted and await self._ask(held_runs.tells_updates)
        if by_update and not await self._list_updated(look, seen, room=len(unsettled)):
            self.distrusts_updates, by_update = True, False
            seen = ListedRuns(unseen=seen.unseen)  # what came is taken; the counts belong to the answer that comes now
        if not by_update:
            await self._list_moved(look, unsettled, seen)
        await self.committer.settled()
        seen.unseen.difference_update(failure.run_id for failure in self.report.failed)
        await self.gone.settle(sorted(seen.unseen))
        if by_update and self.narrowed is None:
            await self._check_updates(look, seen)
        holding = await self._ask(held_runs.count_runs)
        if self.context.dry_run:
            holding += self.report.new - self.report.gone  # as it would be held now
        # Of a project of which some runs are wanted, counts tell nothing: what a look misses, the next walk finds.
        if self.narrowed is None:
            # One answer held both the count and the runs: only then do they speak of the same instant.
            if seen.pages == 1 and seen.total is not None and seen.total - holding != self.state.surplus:
                return True
            if not by_update:
                await self._check_overlap(look, seen.counted)
        await self._finish(self.server_time or self.at, surplus=self.state.surplus, total=seen.total, walked=False)
        return False

    async def _list_moved(self, look: plan.Look, unsettled: Sequence[str], seen: ListedRuns) -> None:
        """List by heartbeat and creation, and the unsettled by name: what every server can."""
        chunks = list(plan.in_chunks(unsettled)) or [()]
        for number, names in enumerate(chunks):
            filters = plan.look_filter(look.since, names, self.narrowed) if number == 0 else plan.names_filter(names)
            count_filters = plan.overlap_filter(look) if number == 0 else None
            listing = self._pages(filters, with_extras=number == 0, count_filters=count_filters)
            async with ahead(listing) as listed_pages:
                async for listed in listed_pages:
                    await self._see(listed, seen)

    async def _list_updated(self, look: plan.Look, seen: ListedRuns, *, room: int) -> bool:
        """List by `updatedAt`, the latest first, until a page reaches what was updated before the last pass.

        Args:
            look: since when.
            seen: counted up.
            room: unsettled runs, which the first page holds as a rule.

        Returns:
            Whether the order holds, as far as can be seen; what came is taken either way.
        """
        settings = self.context.settings
        first = min(room + plan.LOOK_ROOM, settings.page_size_start)
        listing = list_runs(
            self.context.client,
            Listing(
                key=self.key,
                filters=self.narrowed,
                size=PageSize.starting(first, settings.page_size_max),
                target_s=settings.page_seconds_target,
                with_extras=True,
                order=plan.LAST_UPDATED_FIRST,
                count_filters=plan.moved_filter(look),
            ),
        )
        order = plan.UpdateOrder()
        try:
            async with aclosing(listing) as pages:  # not ahead: as a rule one page is all
                async for listed in pages:
                    changed = await self._see(listed, seen)
                    runs = listed.page.runs if listed.page is not None else ()
                    order = order.after(runs)
                    if not order.holds or order.ends(look, runs, changed):
                        break
        except (ServerError, Unreachable) as error:  # it has no such order, or cannot sort so many runs by it
            if not may_be_the_size(error):
                raise
            return False
        if not order.holds or seen.counted is None:
            return False
        await self.committer.settled()
        if order.oldest is not None:
            # Runs that are held as updated later than the last one listed are on these pages, or they are gone.
            seen.oldest = order.oldest
            above = await self._ask(held_runs.runs_updated_after, order.oldest)
            seen.unseen |= above.keys() - seen.listed
        return True

    async def _see(self, listed: ListedPage, seen: ListedRuns) -> Mapping[str, HeldRun | None]:
        """Take a page of a look."""
        page = listed.page
        seen.pages += 1
        seen.total = self._note_first(page, seen.total)
        if page is not None and seen.counted is None:
            seen.counted = page.counted
        changed = await self.pages.take(listed)
        await take_sweeps(self.context, self.committer, self.report, page.sweeps if page else None)
        seen.listed.update(failure.run_id for failure in listed.failed)
        if page is not None:
            seen.listed.update(run.run_id for run in page.runs)
            seen.unseen -= seen.listed
        return changed

    async def _check_updates(self, look: plan.Look, seen: ListedRuns) -> None:
        """See whether `updatedAt` told all: no run that it should have listed was missing, and no sign of life.

        What moved since the first answer is left to the next pass, and speaks against nothing.
        """
        until = self.server_time or self.at
        if seen.oldest is not None:
            above = await self._ask(held_runs.runs_updated_after, seen.oldest)
            if any(at < until and name not in seen.listed for name, at in above.items()):
                self.distrusts_updates = True
        start = plan.whole_second(look.overlap_from)
        holding = await self._ask(held_runs.count_moved_since, start)
        if seen.counted == holding:
            return
        async with ahead(self._pages(plan.moved_filter(look), with_extras=False)) as pages:
            async for listed in pages:
                changed = await self.pages.take(listed)
                runs = listed.page.runs if listed.page is not None else ()
                if any(run.run_id in changed and run.updated_at and run.updated_at < until for run in runs):
                    self.distrusts_updates = True

    async def _unsettled(self) -> list[str]:
        """Runs to read again whatever the listing says: they change by themselves, failed, or await their export."""
        active = await self._ask(held_runs.active_runs)
        failures = await self._ask(open_failures)
        retry = self.context.retry_quarantined
        due = {run_id for (run_id, _), failure in failures.items() if failure.is_due(self.at, retry_quarantined=retry)}
        due.discard(SWEEPS_OF)  # no run; they are asked for by every pass
        awaiting = await self._ask(held_runs.awaiting_export)
        last = self.state.last_pass_at
        late = {name for name, at in awaiting.items() if plan.look_again(at, last_look=last, now=self.at)}
        return sorted({*active, *due, *late})

    async def _check_overlap(self, look: plan.Look, counted: int | None) -> None:
        """List the overlap when the server counts other runs in it than the lake holds."""
        start, end = plan.whole_second(look.overlap_from), plan.whole_second(look.since)
        holding = await self._ask(held_runs.count_alive_between, start, end)
        if counted is None or counted == holding:
            return
        async with ahead(self._pages(plan.overlap_filter(look), with_extras=False)) as pages:
            async for listed in pages:
                await self.pages.take(listed)

    async def _walk(self, walk: plan.Walk) -> None:
        """Take every run, and mark those that the server confirms it no longer has."""
        self.report.kind = "walk"
        started, total, self.through = walk.started_at, None, walk.resume_at
        carry = plan.WindowCarry(start=time_or_none(walk.resume_at), listed=frozenset())
        missing: list[str] = []
        wanted: str | None = None  # as it was with the first page: what the server serves later on, that one lacks
        async with ahead(self._pages(plan.walk_filter(walk.resume_at, self.narrowed), with_extras=True)) as pages:
            async for listed in pages:
                total = self._note_first(listed.page, total)
                started = started or self.server_time or self.at
                wanted = wanted or self.wanted
                self.state = msgspec.structs.replace(
                    self.state, walk_started_at=started, walk_through=self.through, wanted=wanted
                )
                project = None if listed.page is None or self.held_project else listed.page.project
                changed = await self.pages.take(listed, project=project, source=self.state, expected=total)
                await take_sweeps(
                    self.context, self.committer, self.report, listed.page.sweeps if listed.page else None
                )
                self._judge_updates(listed, changed)
                self.held_project = self.held_project or project is not None
                carry, absent = await self._compare_window(carry, listed)
                missing += absent
                self.through = plan.last_creation(listed.page.runs if listed.page else ()) or self.through
        # Only now, all at once: how many are missing decides whether to believe it. A walk that is cut off before this
        # leaves more runs held than the server counts, and the next look calls for another walk.
        await self.gone.settle(missing)
        holding = await self._ask(held_runs.count_runs)
        surplus = max(0, total - holding) if total is not None else 0
        self.state = msgspec.structs.replace(self.state, wanted=wanted or self.wanted)
        await self._finish(started or self.at, surplus=surplus, total=total, walked=True)

    def _judge_updates(self, listed: ListedPage, changed: Mapping[str, HeldRun | None]) -> None:
        """A walk sees every edit, and so whether looks by `updatedAt` would have."""
        for run in listed.page.runs if listed.page is not None else ():
            if run.run_id in changed and plan.speaks_against_updates(
                run,
                changed[run.run_id],
                watermark=self.state.watermark,
                by_update=not self.state.distrusts_updates,
            ):
                self.distrusts_updates = True

    def _pages(
        self,
        filters: dict[str, object] | None,
        *,
        with_extras: bool,
        count_filters: dict[str, object] | None = None,
    ) -> AsyncGenerator[ListedPage, None]:
        settings = self.context.settings
        return list_runs(
            self.context.client,
            Listing(
                key=self.key,
                filters=filters,
                size=PageSize.starting(settings.page_size_start, settings.page_size_max),
                target_s=settings.page_seconds_target,
                with_extras=with_extras,
                count_filters=count_filters,
            ),
        )

    def _note_first(self, page: RunsPage | None, total: int | None) -> int | None:
        """Take the server's clock and count from the first page, and refuse a count that fell too far.

        Raises:
            SuspiciousListing: nothing was marked.
        """
        if page is None or total is not None or page.total is None:
            return total
        self.server_time = self.server_time or page.server_time
        self.report.upstream = page.total if self.narrowed is None else None
        self.gone.refuse_too_many(self.held_before - page.total, f"lists {page.total}")
        return page.total

    async def _compare_window(
        self, carry: plan.WindowCarry, listed: ListedPage
    ) -> tuple[plan.WindowCarry, Sequence[str]]:
        """Look for runs that are held in the stretch just listed but were not in it."""
        if listed.page is None:
            failed = frozenset(failure.run_id for failure in listed.failed)
            return plan.WindowCarry(start=carry.start, listed=carry.listed | failed), ()
        created: list[tuple[str, dt.datetime | None]] = [(run.run_id, run.created_at) for run in listed.page.runs]
        created += [(failure.run_id, None) for failure in listed.failed]
        window, carry = plan.next_window(carry, created, last=listed.last)
        if window is None:
            return carry, ()
        names = await self._ask(held_runs.runs_created_between, window.start, window.end)
        return carry, plan.missing_from(window, names)

    async def _finish(self, watermark: dt.datetime, *, surplus: int, total: int | None, walked: bool) -> None:
        """Move the watermark: everything that moved before it is held."""
        self.state = SourceState(
            watermark=watermark,
            last_walk_at=watermark if walked else self.state.last_walk_at,
            last_pass_at=self.at,
            runs_upstream=total,
            surplus=surplus,
            wanted=self.state.wanted,
            # Once seen it holds until a walk, which sees all edits, has nothing against it.
            distrusts_updates=self.distrusts_updates or (not walked and self.state.distrusts_updates) or None,
        )
        await self.committer.commit(source=self.state)
