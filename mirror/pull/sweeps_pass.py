"""Take the sweeps of a project. What cannot be had of them is named, and never costs its runs.

Every pass asks for them along with its first page of runs, so that what failed needs no back-off; a failure is recorded
for readers, and again only when its wait is over.
"""

from __future__ import annotations

from mirror.api.questions.path import Path
from mirror.api.rows.pages import SweepsPage
from mirror.errors import ServerError, Unreachable
from mirror.pull import plan
from mirror.pull.committer import Committer
from mirror.pull.context import PullContext
from mirror.pull.report import ProjectReport
from mirror.records.addresses import ProjectKey
from mirror.records.passes import SWEEPS, SWEEPS_OF, Failure, OpenFailure
from mirror.records.projects import SweepRecord
from mirror.store.engine.lake import Lake
from mirror.store.read import sweeps
from mirror.store.read.failures import open_failures


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
    before, open_failure = await context.stored(_known, context.lake, report.key)
    listed: set[str] = set()
    bad: list[str] = []
    page, path = first, Path(f"sweeps of {report.key}")
    while True:
        listed.update(sweep.sweep_id for sweep in page.sweeps)
        bad += page.bad
        await committer.commit(sweeps=plan.changed_sweeps(page.sweeps, before, flawed=bool(page.bad)))
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
        reason = bad[0] if len(bad) == 1 else f"{bad[0]}; {len(bad)} in all"
        failure = Failure(run_id=SWEEPS_OF, item=SWEEPS, reason=reason)
        report.failed.append(failure)
        if open_failure is None or open_failure.is_due(committer.at, retry_quarantined=context.retry_quarantined):
            await committer.commit(failed=(failure,))
        return
    # A listing that is suddenly empty says nothing; one with a bad row may hide a sweep.
    gone = tuple(sorted(set(before) - listed)) if listed else ()
    settled = () if open_failure is None else ((SWEEPS_OF, SWEEPS),)
    await committer.commit(gone_sweeps=gone, settled=settled)


def _known(lake: Lake, key: ProjectKey) -> tuple[dict[str, SweepRecord], OpenFailure | None]:
    """The sweeps that are held, and the failure that is recorded of them."""
    return sweeps.held_sweeps(lake, key), open_failures(lake, key).get((SWEEPS_OF, SWEEPS))
