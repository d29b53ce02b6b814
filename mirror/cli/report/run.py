"""`wandb-mirror status RUN`: what of one run is held, and what is missing and why."""

from __future__ import annotations

import datetime as dt

import msgspec

from mirror.cli.delivery.entries import entry_json
from mirror.cli.report.outbox import open_outbox, print_pending
from mirror.cli.run_paths import not_mirrored
from mirror.cli.terminal.output import ago, print_json, size, with_zone, write
from mirror.cli.terminal.times import clock_text
from mirror.clock import utc_now
from mirror.cluster.place import has_lake
from mirror.daemon.status.status_file import read_daemon_status
from mirror.errors import EXIT_PARTIAL
from mirror.layout import Home
from mirror.records.addresses import RunPath
from mirror.records.operations import Create
from mirror.store.engine.reader import Reader
from mirror.store.read.failures import FailureOverview
from mirror.store.read.run_overview import FilesOverview, HistoryOverview, RunOverview, run_overview
from mirror.texts.amounts import plural


def show_run(home: Home, path: RunPath, *, as_json: bool) -> int:
    """Print everything that is known of how far a run is mirrored, and what is asked of it and not delivered.

    Returns:
        The exit status.

    Raises:
        NotMirrored: it is not held.
    """
    pending = open_outbox(home).of_run(path)  # before the lake: what leaves it is there
    is_queued = any(isinstance(entry.operation, Create) for _, entry in pending)
    run = None
    if has_lake(home) or not is_queued:
        with Reader(home) as lake:
            run = run_overview(lake, path)
    if run is None and not is_queued:
        raise not_mirrored(path, home)
    now = utc_now().replace(tzinfo=None)
    if as_json:
        held = path._asdict() if run is None else with_zone(msgspec.to_builtins(run, builtin_types=(dt.datetime,)))
        print_json({**held, "pending": [entry_json(placed) for placed in pending]})
    else:
        if run is None:
            write(f"run             {path}, not made yet")
        else:
            _print(run, now)
        print_pending(pending, now)
    tries_again = read_daemon_status(home) is not None  # what was not given up
    left = run is not None and any(failure.quarantined or not tries_again for failure in run.failures)
    return EXIT_PARTIAL if left or any(state in ("conflict", "dead") for state, _ in pending) else 0


def describe_failure(failure: FailureOverview, now: dt.datetime) -> str:
    """Why something failed, how often, and when it is tried again."""
    if failure.quarantined:
        then = "given up"
    elif failure.next_at <= now:
        then = "tried again with the next pull"
    else:
        then = f"tried again after {clock_text(failure.next_at, timespec='minutes')}"
    return f"{failure.reason} ({plural(failure.attempts, 'attempt')}, {then})"


def _print(run: RunOverview, now: dt.datetime) -> None:
    gone = ", deleted upstream" if run.gone_at is not None else ""
    write(f"run             {run.entity}/{run.project}/{run.run_id} ({run.display_name or 'no name'})")
    write(f"state           {run.state}{gone}; last change here {ago(run.synced_at, now)}")
    write(f"history         {_history(run)}")
    if run.history is not None and not run.history.complete:
        write(f"                not complete: {run.history.reason}")
    write(f"files           {_files(run.files)}")
    for file in run.files.not_held:
        length = f" ({size(file.size)})" if file.size is not None else ""
        write(f"                {file.status.replace('_', ' ')}: {file.name}{length}: {file.reason}")
    write(f"system metrics  {plural(run.system_metric_rows, 'instant')}")
    write(f"console         {plural(run.console_lines, 'line')}")
    write(f"artifacts       {len(run.artifacts)}")
    for artifact in run.artifacts:
        aliases = f" [{', '.join(artifact.aliases)}]" if artifact.aliases else ""
        held = f"{artifact.files_held} of {plural(artifact.file_count or 0, 'file')} held"
        write(f"                {artifact.direction} {artifact.name}{aliases}, {artifact.type}, {held}")
    for failure in run.failures:
        write(f"failed          {failure.item or 'the run itself'}: {describe_failure(failure, now)}")
    if any(failure.quarantined for failure in run.failures):
        write("                `wandb-mirror pull --retry-quarantined` tries again what was given up")


def _history(run: RunOverview) -> str:
    if run.history is None:
        return "nothing logged" if not run.history_line_count else "not mirrored"
    history: HistoryOverview = run.history
    whole = "complete" if history.complete else "NOT COMPLETE"
    counted = "" if history.history_line_count is None else f" of {history.history_line_count:,} logged"
    last = "" if history.last_step_held is None else f" up to step {history.last_step_held:,}"
    upstream = "" if history.last_step in (None, history.last_step_held) else f" (upstream {history.last_step:,})"
    shared = f", {history.shared_rows:,} merged by step" if history.shared_rows else ""
    parts = f"{plural(history.parts, 'export')} ({size(history.export_bytes)})"
    keys = plural(run.metric_keys, "key")
    return (
        f"{whole}: {plural(history.rows_held, 'row')}{counted}{shared}{last}{upstream}, {keys}; {parts},"
        f" {plural(history.tail_rows, 'row')} not exported yet"
    )


def _files(files: FilesOverview) -> str:
    parts = [f"{files.held:,} held ({size(files.held_bytes)})"]
    parts += [f"{count:,} {what}" for count, what in (
        (files.left_out, "left out"), (files.failed, "failed"), (files.gone, "gone upstream")
    ) if count]  # fmt: skip
    return ", ".join(parts)
