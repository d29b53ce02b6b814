"""Runs that a listing left out: only those that the server lacks by their names are gone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from mirror.errors import MirrorError, SuspiciousListing
from mirror.pull import plan
from mirror.pull.contents.fetch_job import stops_everything
from mirror.pull.context import PullContext
from mirror.pull.listing.walk import ListedPage, ahead
from mirror.pull.report import ProjectReport
from mirror.pull.take import PageTaker
from mirror.records.passes import Failure
from mirror.records.runs import OFFLINE
from mirror.store.read import held_runs
from mirror.texts.typed_paths import in_shell

NOT_LISTED = "the server has it by its name, and lists it no more: it was not read again"


class ListsRuns(Protocol):
    """How a pass lists runs of its project."""

    def __call__(
        self,
        filters: dict[str, object] | None,
        *,
        with_extras: bool,
        count_filters: dict[str, object] | None = None,
    ) -> AsyncGenerator[ListedPage, None]: ...


class GoneRuns:
    """What became of runs that are held and were not listed.

    Args:
        context: shared by all passes of a pull.
        report: counted up.
        pages: takes what is listed after all.
        lists: lists runs of the project.
    """

    def __init__(self, context: PullContext, report: ProjectReport, pages: PageTaker, lists: ListsRuns) -> None:
        self.context = context
        self.report = report
        self.key = report.key
        self.pages = pages
        self.held_before = 0
        self._list = lists

    async def settle(self, names: Sequence[str]) -> None:
        """Ask for runs by name that a listing left out; what the server then lacks is gone, the rest is taken.

        A listing may be cut without a word, so that it is believed only where the server counts as many runs as it
        lists; else each run that it lacks is asked for by itself.

        Raises:
            SuspiciousListing: too many are gone to believe it; none was marked.
        """
        absent: list[str] = []
        doubted: set[str] = set()
        for chunk in plan.in_chunks(names):
            found: set[str] = set()
            nameless, counted, asked = False, None, plan.names_filter(chunk)
            async with ahead(self._list(asked, with_extras=True, count_filters=asked)) as pages:
                async for listed in pages:
                    await self.pages.take(listed)
                    found.update(run.run_id for run in (listed.page.runs if listed.page else ()))
                    found.update(failure.run_id for failure in listed.failed)
                    nameless = nameless or listed.nameless
                    counted = listed.page.counted if counted is None and listed.page else counted
            if not nameless:  # else any of them may be the one that the server lists but cannot name
                lacking = [name for name in chunk if name not in found]
                absent += lacking
                if counted != len(found):
                    doubted.update(lacking)
        await self.pages.committer.settled()
        known = await self.context.stored(held_runs.held_runs, self.context.lake, self.key, absent)
        candidates = [
            name for name in absent if name in known and not known[name].gone and known[name].fingerprint != OFFLINE
        ]
        self.refuse_too_many(len(candidates), f"lacks {len(candidates)} of them")
        there = {name for name in candidates if name in doubted and await self._is_there(name)}
        failed = tuple(Failure(run_id=name, reason=NOT_LISTED) for name in sorted(there))
        self.report.failed.extend(failed)
        gone = tuple(name for name in candidates if name not in there)
        self.report.gone += len(gone)
        recovered = tuple(name for name in absent if name not in there)
        await self.pages.committer.commit(gone=gone, recovered=recovered, failed=failed)

    async def _is_there(self, run_id: str) -> bool:
        """Whether the server has a run that it does not list; one that cannot say so may have it."""
        try:
            return await self.context.client.look(self.key.entity, self.key.project, run_id) is not None
        except MirrorError as error:
            if stops_everything(error):
                raise
            return True

    def refuse_too_many(self, marked: int, finding: str) -> None:
        """Believe no listing that takes so many runs away at once.

        Raises:
            SuspiciousListing: nothing was marked.
        """
        if self.context.accept_missing or plan.may_be_gone(
            max(0, marked), self.held_before, self.context.settings.gone_fraction_max
        ):
            return
        raise SuspiciousListing(
            f"{self.key}: the mirror holds {self.held_before} runs, but the server suddenly {finding}",
            hint="nothing was marked as gone; if the runs were really deleted, run"
            f" `wandb-mirror pull --accept-missing --source {in_shell(*self.key)}`",
        )
