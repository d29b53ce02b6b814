"""System metrics and console of one run: what comes in one request for many runs, and the further pages."""

from __future__ import annotations

import msgspec

from mirror.api.questions.path import Path
from mirror.api.rows.listed import LogPage, StreamAsk
from mirror.errors import MirrorError, ServerError
from mirror.pull.contents.fetch_job import FetchJob, stops_everything
from mirror.pull.contents.history import serves_rows
from mirror.pull.contents.plan import HISTORY_PAGE_STEPS, HistoryPlan, shortage
from mirror.records.console import ConsoleLine
from mirror.records.contents import HeldHistory
from mirror.records.passes import HISTORY
from mirror.records.runs import RunRecord

# A client rewrites lines that it sent, such as progress bars: the SDK's core keeps the newest 32, of both streams
# together, and forgets the others (core/internal/runconsolelogs). Other clients may go further back, and a request may
# be late, so many more are read again while a run goes on, and all of them once when it has ended.
OVERLAP_LINES = 1000
UNCOUNTED_EVENTS = 100_000  # rows of system metrics to ask for where the server does not count them
MOST_NEWEST_LINES = 5000  # in one answer for many runs

CONSOLE, EVENTS = "console", "system metrics"  # names of items that may fail, beside `HISTORY`


def ask_streams(job: FetchJob, run: RunRecord, held: HeldHistory, plan: HistoryPlan | None) -> StreamAsk | None:
    """What to ask of a run in the request for many; None when nothing is needed.

    Lines that were sent may be rewritten by later output (W&B API notes, section 6): after a sign of life the newest of
    a running run are read again, and all of one that has ended.
    """
    listed = job.signed_urls.of(run.run_id)
    lines, rows = listed.log_line_count, listed.events_line_count  # None: the server does not count them
    held_lines = 0 if held.last_console_number is None else held.last_console_number + 1
    wanted = job.policy.streams
    partly = job.lacks_part(run.run_id, CONSOLE)  # then all lines are read again
    moved = run.run_id in job.touched or CONSOLE in job.failing(run.run_id) or partly
    has_log = moved if lines is None else lines > 0 and (moved or lines > held_lines)
    has_events = moved if rows is None else rows > held.event_rows or job.lacks_part(run.run_id, EVENTS)
    serves = job.client.knows
    with_log = wanted and has_log and serves("Run.logLines") and job.is_due(run.run_id, CONSOLE)
    with_events = wanted and has_events and serves("Run.events") and job.is_due(run.run_id, EVENTS)
    history_is_due = job.is_due(run.run_id, HISTORY) or HISTORY in listed.failed
    start = plan.rows_from if plan is not None and history_is_due and serves_rows(job) else None
    if not (with_log or with_events or start is not None):
        return None
    return StreamAsk(
        run_id=run.run_id,
        events_samples=(UNCOUNTED_EVENTS if rows is None else rows) if with_events else None,
        with_log=with_log,
        log_last=_newest(run, held_lines, lines) if with_log and lines is not None and not partly else None,
        history_from=start,
        history_to=None if start is None or plan is None else first_page_end(start, plan.rows_to),
    )


def first_page_end(start: int, end: int | None) -> int:
    """The step behind the first page of rows in `[start, end)`; an end of None is not known."""
    return start + HISTORY_PAGE_STEPS if end is None else min(start + HISTORY_PAGE_STEPS, end)


def _newest(run: RunRecord, held: int, listed: int) -> int | None:
    """How many of the newest lines hold everything that is new or may be rewritten; None: all are to be read."""
    wanted = listed - held + OVERLAP_LINES
    known = 0 < held <= listed and run.is_active
    return wanted if known and wanted <= min(listed - 1, MOST_NEWEST_LINES) else None


class TakenConsole(msgspec.Struct, frozen=True, kw_only=True):
    """What the console of a run came to."""

    lines: tuple[ConsoleLine, ...]
    replace_from: int | None  # 0 where all were read; None where only the newest came: what is held before them stays
    is_partial: bool  # lines are missing, by the server's count or because they cannot be read: nothing is replaced
    flaw: str | None  # what the server could not tell of single lines, in its words


async def take_console(job: FetchJob, run: RunRecord, first: LogPage, held: HeldHistory) -> TakenConsole:
    """Console lines, given what came of them in the request for many.

    Raises:
        MirrorError: none could be read, though the server counts some.
    """
    if first.is_tail and first.lines and first.lines[0].number > (held.last_console_number or -1) + 1:
        first = await job.client.log_lines(run.entity, run.project, run.run_id)  # the server cut the newest ones short
    lines, page, unreadable, flaw = list(first.lines), first, first.unreadable, first.flaw
    path = Path(f"console lines of run {run.run_id}")
    while page.has_more and not page.is_tail:
        path.step(page.after, [str(line.number) for line in page.lines])
        try:
            page = await job.client.log_lines(run.entity, run.project, run.run_id, page.after)
        except MirrorError as error:  # what came before is kept
            if not lines or stops_everything(error):
                raise
            flaw, unreadable = flaw or error.message, unreadable + 1
            break
        if not page.lines:
            break
        lines += page.lines
        unreadable += page.unreadable
        flaw = flaw or page.flaw
    job.report.skipped += unreadable
    reached = max((line.number for line in lines), default=-1) + 1
    flaw = flaw or shortage(reached, page.line_count, "lines", active=run.is_active)
    if not lines and flaw is not None:
        raise ServerError(flaw)
    whole = bool(lines) or page.line_count == 0
    whole = whole and not unreadable and not page.is_cut and (page.line_count is None or reached >= page.line_count)
    replace_from = None if first.is_tail else 0
    return TakenConsole(lines=tuple(lines), replace_from=replace_from, is_partial=not whole, flaw=flaw)
