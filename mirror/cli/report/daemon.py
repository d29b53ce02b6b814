"""What the daemon says about itself: a part of `wandb-mirror status`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from mirror.cli.terminal.output import ago, size
from mirror.daemon.status.status_file import DaemonStatus, JobStatus, OfflineStatus, WatchStatus, WorkerStatus
from mirror.texts.amounts import plural, span
from mirror.texts.visible import visible

SHOWN = 10  # jobs
NOTABLE_S = 30.0  # without anything that came


def daemon_lines(status: DaemonStatus, now: dt.datetime) -> list[str]:
    """The lines of `status` about a daemon that runs."""
    lines = [f"daemon  PID {status.pid}, {status.state}, started {ago(status.since, now)}"]
    if status.lease is not None:
        lines.append(f"lease   {visible(status.lease)}")
    lines += [f"at work {_work(worker, now)}" for worker in status.workers if worker.doing is not None]
    if status.offline_since is not None:
        what = "the key is refused" if status.state == "key_refused" else "offline"
        lines.append(f"{what} since {ago(status.offline_since, now)}: {status.offline_reason}")
    if status.jobs:
        lines.append(f"jobs    {_jobs(status.jobs, now)}")
    lines += [f"spent   {describe_spent(status)}", *(_watch_line(watch, now) for watch in status.watches)]
    return [*lines, *_offline_lines(status.offline, now)]


def _offline_lines(offline: OfflineStatus, now: dt.datetime) -> list[str]:
    """The runs that train without a server: how many are followed, and what is not taken in."""
    if not (offline.following or offline.added or offline.folders or offline.last_error):
        return []
    parts = [f"{plural(offline.following, 'run')} followed, {offline.added} added"]
    if offline.last is not None and offline.last_at is not None:
        parts.append(f"the last rows of {visible(offline.last)} {ago(offline.last_at, now)}")
    if offline.last_error is not None:
        parts.append(f"error: {visible(offline.last_error)}")
    lines = [f"offline {'; '.join(parts)}"]
    for folder in offline.folders:
        told = [plural(folder.runs, "run")]
        if folder.left_out:
            told.append(f"{folder.left_out} left out, such as {visible(folder.left_out_reason or '')}")
        if folder.last_error is not None:
            told.append(f"error: {visible(folder.last_error)}")
        lines.append(f"        {visible(folder.folder)}: {'; '.join(told)}")
    return lines


def _work(worker: WorkerStatus, now: dt.datetime) -> str:
    """What a worker does, since when, and whether it gets on with it."""
    still = f", nothing came for {span(worker.still_s)}" if worker.still_s > NOTABLE_S else ""
    since = f", begun {ago(worker.since, now)}" if worker.since is not None else ""
    return f"{worker.name}: {worker.doing}{since}{still}"


def _jobs(jobs: Sequence[JobStatus], now: dt.datetime) -> str:
    """What comes next; of many, the first few."""
    more = [f"{len(jobs) - SHOWN:,} more"] if len(jobs) > SHOWN else []
    return ", ".join([*(_job(job, now) for job in jobs[:SHOWN]), *more])


def _job(job: JobStatus, now: dt.datetime) -> str:
    if job.next_at is None:
        return f"{job.name} {job.state}"
    return f"{job.name} in {span((job.next_at - now).total_seconds())}"


def _watch_line(watch: WatchStatus, now: dt.datetime) -> str:
    """One watch folder: what went out of it, and what does not."""
    parts = [f"{plural(watch.queued, 'file')} queued"]
    if watch.last_queued is not None and watch.last_queued_at is not None:
        parts[0] += f", the last {watch.last_queued!r} {ago(watch.last_queued_at, now)}"
    if watch.changing:
        parts.append(f"{watch.changing} changing")
    if watch.left_out:
        parts.append(f"{watch.left_out} left out, such as {watch.left_out_reason}")
    if watch.last_error is not None:
        parts.append(f"error: {watch.last_error}")
    return f"watch   {watch.folder} to {watch.path}: {'; '.join(parts)}"


def describe_spent(status: DaemonStatus) -> str:
    """What the daemon has asked of the server since it began."""
    asked = f"{plural(status.requests, 'request')} ({plural(status.retries, 'retry', 'retries')})"
    moved = f"{plural(status.transfers, 'transfer')}, {size(status.bytes_down)} down, {size(status.bytes_up)} up"
    return f"{asked}, {moved}; {plural(status.pulls_good + status.pulls_failed, 'pull')} so far"
