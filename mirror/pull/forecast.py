"""What a pull would fetch, without fetching it: the same plans, added up."""

from __future__ import annotations

from collections.abc import Sequence

from mirror.pull.contents_pass import HeldContents, plan_of
from mirror.pull.contents_plan import HISTORY_PAGE_STEPS, plan_files
from mirror.pull.errand import Errand
from mirror.pull.run_streams import ask_streams
from mirror.records.runs import RunRecord


def forecast(errand: Errand, runs: Sequence[RunRecord], held: HeldContents) -> None:
    """Count into the errand's report what `gather` would fetch of these runs.

    The size of a history export is not known before it is asked for, so bytes are those of files alone.
    """
    report, asks = errand.report, 0
    for run in runs:
        listed = errand.signatures.of(run.run_id)
        files = plan_files(listed.files, held.files.get(run.run_id, {}), errand.policy, whole=not listed.has_more_files)
        due = [file for file in files.fetch if errand.is_due(run.run_id, f"file {file.name}")]
        report.files += len(due)
        report.bytes_fetched += sum(file.size or 0 for file in due)
        plan = plan_of(errand, run, held)
        ask = ask_streams(errand, run, held.histories[run.run_id], plan)
        asks += ask is not None
        if plan is not None:
            report.parts += len(listed.export_urls) if plan.exports else 0
            rows = plan.rows_to - plan.rows_from if plan.rows_from is not None else 0
            report.rows += rows
            report.requests_ahead += max(0, -(-rows // HISTORY_PAGE_STEPS) - 1)
    report.requests_ahead += -(-asks // 20)
