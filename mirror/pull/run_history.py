"""The history of one run: its exports byte for byte, and the rows that no export holds yet."""

from __future__ import annotations

from collections.abc import Sequence

import anyio.to_thread

from mirror.api import RunContents, SignedUrl
from mirror.errors import UrlExpired
from mirror.pull.contents_plan import HISTORY_PAGE_STEPS, HistoryPlan, last_step_of, page_ranges
from mirror.pull.errand import Errand, side_by_side
from mirror.pull.fetch import Wanted, fetch
from mirror.records.contents import ExportRow, HistoryChange, TailRow
from mirror.records.runs import RunRecord
from mirror.store.history_parts import facts_of, step_of_row
from mirror.store.partials import PartialKey


async def take_history(
    errand: Errand, run: RunRecord, plan: HistoryPlan, first_rows: Sequence[str] | None
) -> HistoryChange:
    """Fetch what the plan says.

    Args:
        errand: the batch.
        run: as listed.
        plan: what to fetch.
        first_rows: the first page of rows, when it came along with those of other runs.

    Raises:
        MirrorError: a part or a page cannot be had now; nothing of the history changes.
    """
    exports = await _take_exports(errand, run) if plan.exports else None
    tail = await _take_rows(errand, run, plan, first_rows) if plan.rows_from is not None else ()
    return HistoryChange(
        exports=exports,
        tail=tail,
        replaces_tail=plan.replaces_tail,
        last_step=last_step_of(run),
        history_line_count=run.history_line_count,
        missing="the run is still active" if run.is_active else None,
    )


async def _take_exports(errand: Errand, run: RunRecord) -> tuple[ExportRow, ...]:
    """All parts. When addresses expire and the new ones cannot be matched to the old, all are taken again."""
    try:
        return await _take_parts(errand, run, errand.signatures.of(run.run_id))
    except UrlExpired:
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
        errand.client, errand.objects, Wanted(key=key, url=url), resign=resign, on_bytes=errand.count_bytes
    )
    facts = await anyio.to_thread.run_sync(facts_of, errand.objects.path(adopted.digest))
    errand.report.parts += 1
    return ExportRow(
        object=adopted.digest, size=adopted.size, rows=facts.rows, min_step=facts.min_step, max_step=facts.max_step
    )


async def _take_rows(
    errand: Errand, run: RunRecord, plan: HistoryPlan, first_rows: Sequence[str] | None
) -> tuple[TailRow, ...]:
    """Rows of the API in the planned range; steps may have gaps, so that an empty page is not the end."""
    start = plan.rows_from or 0
    texts: list[str] = []
    if first_rows is not None:
        texts += first_rows
        start += HISTORY_PAGE_STEPS
    for low, high in page_ranges(start, plan.rows_to):
        texts += await errand.client.history_rows(run.entity, run.project, run.run_id, low, high)
    errand.report.rows += len(texts)
    return tuple(TailRow(step=step_of_row(text), row=text) for text in texts)
