"""The history of one run: its exports byte for byte, and the rows that no export holds yet."""

from __future__ import annotations

from collections.abc import Sequence

import anyio.to_thread
import msgspec

from mirror.api.rows.listed import ListedContents
from mirror.api.transport.signed_url import SignedUrl
from mirror.errors import NotFound, ServerError, UrlExpired
from mirror.pull.contents.fetch_job import FetchJob
from mirror.pull.contents.history_marks import (
    NAMES_TELL_NOTHING,
    contradicts,
    keys_fingerprint,
    parts_fingerprint,
    tells_keys,
)
from mirror.pull.contents.plan import (
    HISTORY_PAGE_STEPS,
    HistoryPlan,
    last_step_of,
    line_count_of,
    plan_whole_history,
    summary_step_of,
)
from mirror.records.contents import STILL_ACTIVE, ExportRow, HeldHistory, HistoryChange, TailRow
from mirror.records.runs import RunRecord
from mirror.store.objects.partials import PartialKey
from mirror.tasks import side_by_side
from mirror.texts.steps import step_of_row

WIDEST_PAGE_STEPS = 2**30  # GraphQL's integers end at 2^31
# Where the server tells neither the last step nor how many rows there are, so many empty steps are taken for the end;
# runs have begun at step 61,010. Where it counts more rows than came, they are looked for further.
EMPTY_AT_THE_END = 2**20
EMPTY_WHERE_MORE_IS_COUNTED = 2**31
WIDEST_GAP = 2**31  # steps without a row, where the last step is known
NO_ROWS = "the server gives no rows of histories"


# Without all of them a document does without the rows.
ROWS_NEED = ("Run.history", "Run.history(minStep)", "Run.history(maxStep)", "Run.history(samples)")


def serves_rows(job: FetchJob) -> bool:
    """Whether the server gives rows of histories by their steps."""
    return all(map(job.client.knows, ROWS_NEED))


def came_to_give_rows(job: FetchJob, held: HeldHistory) -> bool:
    """Whether a history was left without its rows by a server that gives them by now."""
    before = held.completeness
    return before is not None and before.reason == NO_ROWS and serves_rows(job)


class TakenHistory(msgspec.Struct, frozen=True, kw_only=True):
    """What the history of a run came to."""

    change: HistoryChange
    flaw: str | None  # rows that could not be read, in words


class _Rows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of the API."""

    rows: tuple[TailRow, ...] = ()
    lost: int = 0  # rows that are null, or no JSON object
    stepless: int = 0  # rows that are there, with a step that cannot be read

    @property
    def flaw(self) -> str | None:
        """What is wrong with them."""
        if not (self.lost or self.stepless):
            return None
        return f"of {len(self.rows) + self.lost} rows {self.lost} cannot be read, {self.stepless} have no step"


async def take_history(
    job: FetchJob, run: RunRecord, plan: HistoryPlan, held: HeldHistory, first_rows: Sequence[str | None] | None
) -> TakenHistory:
    """Fetch what the plan says; all of it when the first row that comes is not the one that is held.

    Args:
        job: the batch.
        run: as listed.
        plan: what to fetch.
        held: what the lake holds.
        first_rows: the first page of rows, when it came along with those of other runs.

    Raises:
        MirrorError: a part or a page cannot be had now; nothing of the history changes.
    """
    taken = await _take(job, run, plan, held, first_rows)
    change, last = taken.change, held.last_tail_step
    if change.tail_from is not None and change.tail_from == last and change.exports is None and not change.is_partial:
        again = [row.row for row in change.tail if row.step == last]
        if contradicts(held.last_tail_row, again):
            listed = job.signed_urls.of(run.run_id)
            taken = await _take(job, run, plan_whole_history(run, listed, held), held, None)
            change = taken.change
    before = held.completeness.keys_fingerprint if held.completeness is not None else None
    change = msgspec.structs.replace(
        change,
        keys_fingerprint=keys_fingerprint(run) if tells_keys(run) else before,
        parts_fingerprint=_parts_mark(job, run, held, change),
    )
    return msgspec.structs.replace(taken, change=change)


def _parts_mark(job: FetchJob, run: RunRecord, held: HeldHistory, change: HistoryChange) -> str | None:
    """What to compare the names of the parts with at the next look."""
    before = held.completeness.parts_fingerprint if held.completeness is not None else None
    urls = job.signed_urls.of(run.run_id).export_urls
    if before == NAMES_TELL_NOTHING or (not urls and held.exports):
        return before
    now = parts_fingerprint(urls)
    if change.exports is None:
        return now if before is None or before == now else before
    same = sorted(part.object for part in change.exports) == sorted(part.object for part in held.exports)
    return NAMES_TELL_NOTHING if same and before is not None and before != now else now


async def _take(
    job: FetchJob, run: RunRecord, plan: HistoryPlan, held: HeldHistory, first_rows: Sequence[str | None] | None
) -> TakenHistory:
    listed, last_step, count = job.signed_urls.of(run.run_id), last_step_of(run), line_count_of(run)
    exports = await _take_exports(job, run) if plan.exports else None
    start, wanted = plan.rows_from, count
    exported = sum(export.rows for export in exports or ())
    if start is None and exports is not None:
        start, first_rows = _behind(exports, run, listed), None
    if wanted is not None and start:
        known = exported if exports is not None else sum(export.rows for export in held.exports)
        # All rows below the start are held; the one at it may be held, and comes again.
        wanted -= known + (0 if plan.replaces_tail else max(0, held.tail_rows - 1))
    has_rows = serves_rows(job)
    found = _Rows()
    if start is not None and has_rows:
        found = await _take_rows(job, run, start, plan.rows_to, first_rows, wanted=wanted)
    short = count is not None and exported + len(found.rows) + found.lost < count
    if exports and not listed.live_told and not run.is_active and short and start != 0 and has_rows:
        # Rows that no export holds may lie between those that one does; where they do is not told.
        found = await _take_rows(job, run, 0, plan.rows_to, None, wanted=None)
    flaw = found.flaw
    gives_none = start is not None and not found.rows and held.tail_rows > 0 and exports is None and not plan.renews
    if gives_none and flaw is None:
        flaw = f"the server gives no rows, {held.tail_rows} are held"
    if found.lost and plan.renews:
        raise ServerError(f"this history took the place of another one, and {flaw}")
    missing = STILL_ACTIVE if run.is_active else flaw
    expects = start is not None and (plan.rows_to is None or start < plan.rows_to)
    if expects and not found.rows and not has_rows:
        missing = NO_ROWS  # said of a run that goes on, too: what waits there does not come
    change = HistoryChange(
        exports=exports,
        tail=found.rows,
        replaces_tail=plan.replaces_tail,
        is_partial=bool(found.lost) or gives_none,
        tail_from=None if plan.replaces_tail else start,
        live_steps=listed.live_steps,
        last_step=last_step,
        history_line_count=count,
        missing=missing,
    )
    return TakenHistory(change=change, flaw=flaw)


def _behind(exports: Sequence[ExportRow], run: RunRecord, listed: ListedContents) -> int | None:
    """Where rows go on that no export holds and that are not live either; None: the exports reach the last step.

    A server may serve them through `history` alone (W&B API notes, section 6), or not tell which rows are live.
    """
    held = max((export.max_step for export in exports if export.max_step is not None), default=-1)
    last_step, count = last_step_of(run), line_count_of(run)
    if last_step is not None:
        return held + 1 if held < last_step else None
    if count is None:
        return None if listed.live_told else held + 1
    return held + 1 if sum(export.rows for export in exports) < count else None


async def _take_exports(job: FetchJob, run: RunRecord) -> tuple[ExportRow, ...]:
    """All parts. When addresses expire, or parts are replaced meanwhile, all that are listed by then are taken."""
    try:
        return await _take_parts(job, run, job.signed_urls.of(run.run_id))
    except (UrlExpired, NotFound):
        renewed = await job.signed_urls.renew(run.run_id, job.signed_urls.generation)
        if renewed is None:
            raise
        return await _take_parts(job, run, renewed)


async def _take_parts(job: FetchJob, run: RunRecord, listed: ListedContents) -> tuple[ExportRow, ...]:
    rows: dict[int, ExportRow] = {}

    async def one(part: int, url: SignedUrl) -> None:
        rows[part] = await _take_part(job, run, url)

    async with side_by_side() as group:
        for part, url in enumerate(listed.export_urls):
            group.start_soon(one, part, url)
    return tuple(row for _, row in sorted(rows.items()))  # as listed, whichever came first


async def _take_part(job: FetchJob, run: RunRecord, url: SignedUrl) -> ExportRow:
    generation = job.signed_urls.generation

    async def resign() -> SignedUrl | None:
        renewed = await job.signed_urls.renew(run.run_id, generation)
        found = renewed.export_urls if renewed is not None else ()
        return next((again for again in found if again.part_key == url.part_key), None)

    # A part is replaced under its address when the history grows, so the mark of its version is the history's.
    key = PartialKey(
        entity=run.entity, project=run.project, run_id=run.run_id, kind="export", name=url.part_key,
        updated_at=f"{last_step_of(run)} {run.history_line_count} {run.heartbeat_at_text}",
    )  # fmt: skip
    adopted = await job.fetch(key, url, most=job.export_max_bytes, resign=resign)
    from mirror.store.history.parts import facts_of  # Arrow takes a quarter of a second; most passes fetch nothing

    facts = await anyio.to_thread.run_sync(job.objects.read_with, adopted.digest, facts_of)
    job.report.parts += 1
    return ExportRow(
        object=adopted.digest, size=adopted.size, rows=facts.rows, min_step=facts.min_step, max_step=facts.max_step
    )


async def _take_rows(
    job: FetchJob,
    run: RunRecord,
    start: int,
    end: int | None,
    first_rows: Sequence[str | None] | None,
    *,
    wanted: int | None,
) -> _Rows:
    """Rows of the API in `[start, end)`. Steps may have gaps of any size, so an empty page is not the end.

    Steps may be times, a million apart: pages widen while nothing comes, so that a gap costs few requests. A gap that
    is wider than any is read from its far end; where the live rows are all that there are, their steps are gone to.

    Args:
        job: the batch.
        run: as listed.
        start: first step.
        end: the step behind the last; None: not known.
        first_rows: those of the first page, when it came along with other runs.
        wanted: how many rows there are by the server's count; None: it does not tell.
    """
    texts: list[str | None] = []
    low, width, empty_from = start, HISTORY_PAGE_STEPS, start
    if first_rows is not None:
        texts += first_rows
        low += HISTORY_PAGE_STEPS
        width = HISTORY_PAGE_STEPS if first_rows else 2 * HISTORY_PAGE_STEPS
        empty_from = low if first_rows else start
    last_shown = summary_step_of(run)
    live = [step for step in sorted(set(job.signed_urls.of(run.run_id).live_steps)) if step >= start]
    are_all = wanted is not None and end is not None and len(live) >= wanted and live[-1:] == [end - 1]
    while low < end if end is not None else not _is_end(low, empty_from, len(texts), wanted, last_shown):
        if empty_from < low and are_all:
            low = next((step for step in live if step >= low), end or low)
            empty_from, width = low, HISTORY_PAGE_STEPS
            continue
        if end is not None and low - empty_from >= WIDEST_GAP:
            texts += await _rows_before(job, run, low, end, None if wanted is None else wanted - len(texts))
            break
        high = low + width if end is None else min(low + width, end)
        rows = await _page(job, run, low, high)
        texts += rows
        low, width = high, HISTORY_PAGE_STEPS if rows else min(2 * width, WIDEST_PAGE_STEPS)
        empty_from = high if rows else empty_from
    tail = tuple(TailRow(step=step_of_row(text), row=text) for text in texts if text is not None)
    job.report.rows += len(tail)
    lost = len(texts) - len(tail)
    job.report.skipped += lost
    return _Rows(rows=tail, lost=lost, stepless=sum(row.step is None for row in tail))


async def _page(job: FetchJob, run: RunRecord, low: int, high: int) -> Sequence[str | None]:
    """Rows of one range of steps.

    Raises:
        ServerError: the rows are all of other steps, so that the server would give them for ever.
    """
    rows = await job.client.history_rows(run.entity, run.project, run.run_id, low, high)
    steps = [step_of_row(row) for row in rows if row is not None]
    if low > 0 and steps and not any(step is not None and low <= step <= high for step in steps):
        raise ServerError(f"the server was asked for the rows of steps {low} to {high} and gives others")
    return rows


async def _rows_before(job: FetchJob, run: RunRecord, start: int, end: int, wanted: int | None) -> list[str | None]:
    """Rows in `[start, end)` from the last one back: behind a gap that is too wide to be gone through.

    They end with as many as are wanted, or at another such gap.
    """
    texts: list[str | None] = []
    high, width, empty_from = end, HISTORY_PAGE_STEPS, end
    while high > start and empty_from - high < WIDEST_GAP and (wanted is None or len(texts) < wanted):
        low = max(start, high - width)
        rows = await _page(job, run, low, high)
        texts[:0] = rows
        high, width = low, HISTORY_PAGE_STEPS if rows else min(2 * width, WIDEST_PAGE_STEPS)
        empty_from = low if rows else empty_from
    return texts


def _is_end(low: int, empty_from: int, count: int, wanted: int | None, last_shown: int | None) -> bool:
    """Whether no more rows are to be expected, where the server does not tell the last step.

    Args:
        low: all steps below it were read.
        empty_from: nothing came from this step on.
        count: rows that came.
        wanted: how many there are by the server's count; None: it does not tell.
        last_shown: the step that the summary shows; None: none.
    """
    if wanted is not None:
        return count >= wanted or low - empty_from >= EMPTY_WHERE_MORE_IS_COUNTED
    if last_shown is not None:
        return low > last_shown and low > empty_from
    return low - empty_from >= EMPTY_AT_THE_END
