"""What the daemon says about itself: a part of `wandb-mirror status`."""

from __future__ import annotations

import datetime as dt

from mirror.cli.output import ago, plural, write
from mirror.daemon.status_file import DaemonStatus


def print_daemon(status: DaemonStatus, now: dt.datetime) -> None:
    """The lines of `status` about a daemon that runs."""
    busy = [worker.name for worker in status.workers if worker.state == "busy"]
    doing = f", at work: {', '.join(busy)}" if busy else ""
    cost = f"{plural(status.requests, 'request')} so far"
    write(f"daemon  PID {status.pid}, {status.state}, started {ago(status.since, now)}{doing}; {cost}")
    if status.offline_since is not None:
        write(f"offline since {ago(status.offline_since, now)}: {status.offline_reason}")
    if status.config_error is not None:
        write(f"error: the edited configuration is not in use: {status.config_error}")
    for worker in status.workers:
        if worker.state in ("restarting", "stuck"):
            write(f"error: the worker {worker.name} is {worker.state}: {worker.last_error or 'nothing moves'}")
    for source in status.sources:
        if source.last_error is not None:
            good = ago(source.last_good_at, now) if source.last_good_at is not None else "never"
            write(f"error: {source.path}: {source.last_error}; last good pull {good}")
