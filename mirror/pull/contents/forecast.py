"""What a pull would fetch, without fetching it: the same plans, added up."""

from __future__ import annotations

from collections.abc import Sequence

from mirror.api.rows.listed import ListedContents
from mirror.pull.contents.artifacts import count_artifacts
from mirror.pull.contents.batch import HeldContents, plan_of
from mirror.pull.contents.fetch_job import FetchJob
from mirror.pull.contents.plan import HISTORY_PAGE_STEPS, HistoryPlan, plan_files
from mirror.pull.contents.streams import ask_streams
from mirror.records.runs import RunRecord

ASKS_PER_REQUEST = 20  # runs whose streams come in one request
FILES_PER_PAGE = 500
ARTIFACTS_PER_PAGE = 100


def forecast(job: FetchJob, runs: Sequence[RunRecord], held: HeldContents) -> None:
    """Count into the job's report what `gather` would fetch of these runs.

    Three things are not known before they are asked for, and not counted: the size of a history export, that of an
    artifact, and what stands on further pages of files and artifacts; the report says of how many runs there are such.
    """
    report, asks = job.report, 0
    for run in runs:
        listed = job.signed_urls.of(run.run_id)
        files = plan_files(listed.files, held.files.get(run.run_id, {}), job.policy, whole=not listed.has_more_files)
        due = [file for file in files.fetch if job.is_due(run.run_id, f"file {file.name}")]
        report.files += len(due)
        report.bytes_fetched += sum(file.size or 0 for file in due)
        versions = count_artifacts(job, listed, held.artifacts)
        report.artifacts += versions
        report.requests_ahead += versions + (versions > 0)  # their records together, and the address of each manifest
        report.requests_ahead += _further_pages(listed)
        report.cut_short += listed.has_more_files or listed.logged.has_more or listed.used.has_more
        plan = plan_of(job, run, held)
        ask = ask_streams(job, run, held.histories[run.run_id], plan)
        asks += ask is not None
        if plan is not None:
            report.parts += len(listed.export_urls) if plan.exports else 0
            rows = _rows_ahead(plan, run)
            report.rows += rows
            report.requests_ahead += max(0, -(-rows // HISTORY_PAGE_STEPS) - 1)
    report.requests_ahead += -(-asks // ASKS_PER_REQUEST)


def _rows_ahead(plan: HistoryPlan, run: RunRecord) -> int:
    """How many rows would be read, at the most; by the server's count where it does not tell the last step."""
    if plan.rows_from is None:
        return 0
    return (run.history_line_count or 0) if plan.rows_to is None else plan.rows_to - plan.rows_from


def _further_pages(listed: ListedContents) -> int:
    """Requests for the lists that go on, by the server's counts."""
    pages = _pages(listed.file_count, len(listed.files), FILES_PER_PAGE) if listed.has_more_files else 0
    for page in (listed.logged, listed.used):
        pages += _pages(page.total, len(page.artifacts), ARTIFACTS_PER_PAGE) if page.has_more else 0
    return pages


def _pages(total: int | None, known: int, each: int) -> int:
    return max(1, -(-((total or 0) - known) // each))
