"""Rows of runs with some of their documents: read in blocks ahead of a walk, and never more than memory takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mirror.gateway.context import ProjectPath, RequestContext
from mirror.gateway.listings import Listing
from mirror.store.read.runs import DocumentName, LightRun, read_listed_runs

Row = tuple[LightRun, dict[DocumentName, str | None]]
Rows = Mapping[str, Row]

FIRST = 64  # rows whose documents tell how long those of the others are
BLOCK_BYTES = 4 * 1024 * 1024  # that are read ahead
BLOCK_ROWS = (16, 1024)  # fewest and most
PAGE_BYTES = 16 * 1024 * 1024  # of one page, which ends early where it has more
_ROW_BYTES = 2_000  # of a row without documents


def rows_of(ctx: RequestContext, project: ProjectPath, run_ids: Sequence[str], names: Sequence[DocumentName]) -> Rows:
    """Rows of some runs; those that are not held are left out."""
    key = ("rows", project, tuple(run_ids), tuple(names))
    return ctx.recall(key, lambda lake: read_listed_runs(lake, project, run_ids, names), _weight)


def rows_of_page(
    ctx: RequestContext,
    project: ProjectPath,
    listing: Listing,
    bounds: tuple[int, int],
    names: Sequence[DocumentName],
) -> tuple[Rows, int]:
    """Rows of a page of a listing.

    Args:
        ctx: of the request.
        project: of the runs.
        listing: all runs.
        bounds: of the page in it.
        names: of the documents that come along.

    Returns:
        The rows, and where the page ends: before its bound, where documents are long.
    """
    start, stop = bounds
    if listing.key is None or stop - start <= 1:
        return rows_of(ctx, project, listing.run_ids[start:stop], names), stop
    first = min(stop, start + FIRST)
    size = ctx.recall(
        ("block rows", listing.key, tuple(names)),
        lambda _lake: _block_rows(rows_of(ctx, project, listing.run_ids[start:first], names)),
    )
    rows: dict[str, Row] = {}
    total = 0
    for block in range(start // size, -(-stop // size)):
        block_ids = listing.run_ids[block * size : (block + 1) * size]
        held = rows_of(ctx, project, block_ids, names)
        wanted = listing.run_ids[max(start, block * size) : min(stop, (block + 1) * size)]
        rows |= {run_id: held[run_id] for run_id in wanted if run_id in held}
        total += sum(_row_weight(held[run_id]) for run_id in wanted if run_id in held)
        if total > PAGE_BYTES:
            return rows, min(stop, (block + 1) * size)
    return rows, stop


def _block_rows(rows: Rows) -> int:
    average = max(1, _weight(rows) // max(1, len(rows)))
    fewest, most = BLOCK_ROWS
    return min(most, max(fewest, BLOCK_BYTES // average))


def _weight(rows: Rows) -> int:
    return sum(map(_row_weight, rows.values()))


def _row_weight(row: Row) -> int:
    return _ROW_BYTES + sum(len(text) for text in row[1].values() if text is not None)
