"""Take the sweeps of a project. What cannot be had of them is named, and never costs its runs."""

from __future__ import annotations

from mirror.api.questions.path import Path
from mirror.api.rows.pages import SweepsPage
from mirror.errors import ServerError, Unreachable
from mirror.pull import plan
from mirror.pull.committer import Committer
from mirror.pull.context import PullContext
from mirror.pull.report import ProjectReport
from mirror.records.passes import Failure
from mirror.store.read import sweeps

SWEEPS = "(sweeps)"  # what they are called where failures name runs


async def take_sweeps(
    context: PullContext, committer: Committer, report: ProjectReport, first: SweepsPage | None
) -> None:
    """Take all of them; the first page came along with the runs.

    Args:
        context: shared by all passes of a pull.
        committer: of the pass.
        report: told what could not be taken.
        first: None: they were not asked for.

    Raises:
        Unreachable: the server is away altogether.
        StoreError: the disk failed.
    """
    if first is None:
        return
    before = await context.stored(sweeps.held_sweeps, context.lake, report.key)
    listed: set[str] = set()
    bad: list[str] = []
    page, path = first, Path(f"sweeps of {report.key}")
    while True:
        listed.update(sweep.sweep_id for sweep in page.sweeps)
        bad += page.bad
        await committer.commit(sweeps=plan.changed_sweeps(page.sweeps, before))
        if not page.has_next:
            break
        try:
            path.step(page.after, [sweep.sweep_id for sweep in page.sweeps])
            page = await context.client.sweeps(report.key.entity, report.key.project, page.after)
        except (ServerError, Unreachable) as error:
            if isinstance(error, Unreachable) and not error.answered:
                raise
            bad.append(error.message)
            break
    if bad:
        report.failed.append(Failure(run_id=SWEEPS, reason=bad[0] if len(bad) == 1 else f"{bad[0]}; {len(bad)} in all"))
    elif listed:  # a listing that is suddenly empty says nothing; one with a bad row may hide a sweep
        await committer.commit(gone_sweeps=tuple(sorted(set(before) - listed)))
