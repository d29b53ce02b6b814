"""The history of one run: its exports byte for byte, and the rows that no export holds yet."""

from __future__ import annotations

from collections.abc import Sequence

import anyio.to_thread
import msgspec

from mirror.api import RunContents, SignedUrl
from mirror.errors import NotFound, UrlExpired
from mirror.pull.contents_plan import HISTORY_PAGE_STEPS, HistoryPlan, last_step_of, plan_whole_history
from mirror.pull.errand import Errand
from mirror.pull.fetch import Wanted, fetch
from mirror.pull.history_marks import NAMES_TELL_NOTHING, contradicts, keys_fingerprint, parts_fingerprint
from mirror.records.contents import STILL_ACTIVE, ExportRow, HeldHistory, HistoryChange, TailRow
from mirror.records.runs import RunRecord
from mirror.store.history_parts import facts_of, step_of_row
from mirror.store.partials import PartialKey
from mirror.tasks import side_by_side

WIDEST_PAGE_STEPS = 2**30  # GraphQL's integers end at 2^31


async def take_history(
    errand: Errand, run: RunRecord, plan: HistoryPlan, held: HeldHistory, first_rows: Sequence[str] | None
) -> HistoryChange:
    """Fetch what the plan says; all of it when the first row that comes is not the one that is held.

    Args:
        errand: the batch.
        run: as listed.
        plan: what to fetch.
        held: what the lake holds.
        first_rows: the first page of rows, when it came along with those of other runs.

    Raises:
        MirrorError: a part or a page cannot be had now; nothing of the history changes.
    """
    change = await _take(errand, run, plan, first_rows)
    last = held.last_tail_step
    if change.tail_from is not None and change.tail_from == last and change.exports is None:
        again = [row.row for row in change.tail if row.step == last]
        if contradicts(held.last_tail_row, again):
            listed = errand.signatures.of(run.run_id)
            change = await _take(errand, run, plan_whole_history(run, listed, held), None)
    return msgspec.structs.replace(
        change, keys_fingerprint=keys_fingerprint(run), parts_fingerprint=_parts_mark(errand, run, held, change)
    )


def _parts_mark(errand: Errand, run: RunRecord, held: HeldHistory, change: HistoryChange) -> str | None:
    """What to compare the names of the parts with at the next look."""
    before = held.completeness.parts_fingerprint if held.completeness is not None else None
    urls = errand.signatures.of(run.run_id).export_urls
    if before == NAMES_TELL_NOTHING or (not urls and held.exports):
        return before
    now = parts_fingerprint(urls)
    if change.exports is None:
        return now if before is None or before == now else before
    same = sorted(part.object for part in change.exports) == sorted(part.object for part in held.exports)
    return NAMES_TELL_NOTHING if same and before is not None and before != now else now


async def _take(errand: Errand, run: RunRecord, plan: HistoryPlan, first_rows: Sequence[str] | None) -> HistoryChange:
    exports = await _take_exports(errand, run) if plan.exports else None
    start = plan.rows_from
    if start is None and exports is not None:
        start, first_rows = _behind(exports, last_step_of(run)), None
    tail = await _take_rows(errand, run, start, plan.rows_to, first_rows) if start is not None else ()
    return HistoryChange(
        exports=exports,
        tail=tail,
        replaces_tail=plan.replaces_tail,
        tail_from=None if plan.replaces_tail else start,
        live_steps=errand.signatures.of(run.run_id).live_steps,
        last_step=last_step_of(run),
        history_line_count=run.history_line_count,
        missing=STILL_ACTIVE if run.is_active else None,
    )


def _behind(exports: Sequence[ExportRow], last_step: int) -> int | None:
    """Where rows go on that no export holds and that are not live either; None: the exports reach the last step.

    A server may serve them through `history` alone (W&B API notes, section 6).
    """
    held = max((export.max_step for export in exports if export.max_step is not None), default=-1)
    return held + 1 if held < last_step else None


async def _take_exports(errand: Errand, run: RunRecord) -> tuple[ExportRow, ...]:
    """All parts. When addresses expire, or parts are replaced meanwhile, all that are listed by then are taken."""
    try:
        return await _take_parts(errand, run, errand.signatures.of(run.run_id))
    except (UrlExpired, NotFound):
        renewed = await errand.signatures.renew(run.run_id, errand.signatures.generation)
        if renewed is None:
            raise
        return await _take_parts(errand, run, renewed)


async def _take_parts(errand: Errand, run: RunRecord, listed: RunContents) -> tuple[ExportRow, ...]:
    rows: list[ExportRow] = []

    async def one(url: SignedUrl) -> None:
        rows.append(await _take_part(errand, run, url))

    async with side_by_side() as group:
        for url in listed.export_urls:
            group.start_soon(one, url)
    return tuple(rows)


async def _take_part(errand: Errand, run: RunRecord, url: SignedUrl) -> ExportRow:
    generation = errand.signatures.generation

    async def resign() -> SignedUrl | None:
        renewed = await errand.signatures.renew(run.run_id, generation)
        found = renewed.export_urls if renewed is not None else ()
        return next((again for again in found if again.part_key == url.part_key), None)

    # A part is replaced under its address when the history grows, so the mark of its version is the history's.
    key = PartialKey(
        entity=run.entity, project=run.project, run_id=run.run_id, kind="export", name=url.part_key,
        updated_at=f"{last_step_of(run)} {run.history_line_count} {run.heartbeat_at_text}",
    )  # fmt: skip
    adopted = await fetch(
        errand.client,
        errand.objects,
        Wanted(key=key, url=url, most=errand.export_max_bytes),
        resign=resign,
        on_bytes=errand.count_bytes,
        under_way=errand.under_way,
    )
    facts = await anyio.to_thread.run_sync(errand.objects.read_with, adopted.digest, facts_of)
    errand.report.parts += 1
    return ExportRow(
        object=adopted.digest, size=adopted.size, rows=facts.rows, min_step=facts.min_step, max_step=facts.max_step
    )


async def _take_rows(
    errand: Errand, run: RunRecord, start: int, end: int, first_rows: Sequence[str] | None
) -> tuple[TailRow, ...]:
    """Rows of the API in `[start, end)`. Steps may have gaps of any size, so an empty page is not the end.

    Steps may be times, a million apart: pages widen while nothing comes, so that a gap costs few requests.
    """
    texts: list[str] = []
    low, width = start, HISTORY_PAGE_STEPS
    if first_rows is not None:
        texts += first_rows
        low += HISTORY_PAGE_STEPS
        width = HISTORY_PAGE_STEPS if first_rows else 2 * HISTORY_PAGE_STEPS
    while low < end:
        high = min(low + width, end)
        rows = await errand.client.history_rows(run.entity, run.project, run.run_id, low, high)
        texts += rows
        low, width = high, HISTORY_PAGE_STEPS if rows else min(2 * width, WIDEST_PAGE_STEPS)
    errand.report.rows += len(texts)
    return tuple(TailRow(step=step_of_row(text), row=text) for text in texts)
