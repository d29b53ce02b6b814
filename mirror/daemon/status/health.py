"""Whether a mirror is healthy, which is: whether a person need do nothing. A pure judgement of values.

`status` and its exit status, `/healthz` and `/metrics` all tell this one. What settles itself is no finding while it is
young: offline is a state, an error of a pull is tried again, an operation waits for its turn. It becomes one when a
source has been due, or an operation has waited, for longer than `[health]` allows.

Without a daemon nobody promised a pace. A source is then late when its last pull failed, or when the configuration says
within how many hours a timer is to pull; that no daemon runs is no finding, unless one ended that nobody stopped. What
a pull left behind, or a pull that was stopped before its end, then waits for the next one, which a person has to start.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal, get_args

import msgspec

from mirror.config import HealthSettings
from mirror.daemon.status.status_file import DaemonStatus, SourceStatus
from mirror.texts.amounts import span

STILL_S = 300.0  # a worker that got nowhere for so long: no answer, no bytes, no commit
SILENT_S = 60.0  # a daemon that said nothing for so long hangs, or cannot write

FindingName = Literal[
    "key_refused",
    "config_refused",
    "daemon_ended",
    "daemon_silent",
    "worker_stuck",
    "worker_still",
    "worker_restarting",
    "watch_failed",
    "lake_away",
    "gateway_down",
    "source_late",
    "backlog_old",
    "conflicts",
    "refused",
    "set_aside",
    "pull_unfinished",
    "left_behind",
    "quarantined",
    "disk_nearly_full",
    "maintenance_failed",
]
FINDING_NAMES: tuple[FindingName, ...] = get_args(FindingName)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that waits for a person; there is at most one of each name."""

    name: FindingName
    sentence: str  # what is so
    hint: str  # what to type


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is judged. Times are UTC without a zone."""

    now: dt.datetime
    daemon: DaemonStatus | None  # that runs
    ended: DaemonStatus | None  # the last word of one that ended though nobody stopped it
    sources: list[SourceStatus]
    conflict: int  # operations
    dead: int  # operations that the server refused
    aside: int  # files in the outbox that are no readable entries
    oldest_at: dt.datetime | None  # of the operations that are to be delivered
    quarantined: int  # items given up
    disk_free: int | None  # bytes; None: not known
    left_behind: int = 0  # items that the next pull tries again; a daemon does by itself
    unfinished: int = 0  # projects, 1 at least, of which a pull was stopped before its end, and none goes on now


def daemon_vitals(status: DaemonStatus, now: dt.datetime) -> Vitals:
    """What a daemon knows of itself and of its home."""
    return Vitals(
        now=now,
        daemon=status,
        ended=None,
        sources=status.sources,
        conflict=status.outbox.conflict,
        dead=status.outbox.dead,
        aside=status.outbox.aside,
        oldest_at=status.outbox.oldest_at,
        quarantined=status.quarantined,
        disk_free=status.disk_free,
    )


def judge(vitals: Vitals, settings: HealthSettings) -> list[Finding]:
    """What waits for a person, the cause before what follows from it; nothing when all is well."""
    found = [*_of_daemon(vitals), *_of_age(vitals, settings), *_of_outbox(vitals), *_of_home(vitals, settings)]
    return sorted(found, key=lambda finding: FINDING_NAMES.index(finding.name))


def is_late(source: SourceStatus, now: dt.datetime, settings: HealthSettings) -> bool:
    """Whether a good pull of a source has been due for too long; not while one is under way, which may take days."""
    if source.pulling:
        return False
    return source.due_at is not None and now - source.due_at > dt.timedelta(hours=settings.late_after_hours)


def _of_daemon(vitals: Vitals) -> list[Finding]:
    if vitals.daemon is None:
        return [] if vitals.ended is None else [_ended(vitals.ended, vitals.now)]
    daemon, found = vitals.daemon, []
    if daemon.state == "key_refused":
        found.append(
            Finding(
                name="key_refused",
                sentence=f"the server refuses the API key: {daemon.offline_reason}",
                hint=f"`wandb login`, then `kill -HUP {daemon.pid}`; a restart if the key comes from WANDB_API_KEY",
            )
        )
    if daemon.config_error is not None:
        found.append(
            Finding(
                name="config_refused",
                sentence=f"the edited configuration is not in use: {daemon.config_error}",
                hint="correct the file; it is taken as soon as it is right",
            )
        )
    if (silent_s := (vitals.now - daemon.updated_at).total_seconds()) > SILENT_S:
        found.append(
            Finding(
                name="daemon_silent",
                sentence=f"the daemon, PID {daemon.pid}, has said nothing for {span(silent_s)}",
                hint="look at its log and at the disk, then restart it: it goes on where it was",
            )
        )
    if daemon.state == "lake_away":
        found.append(lake_away(daemon.lease or ""))
    if daemon.gateway_error is not None:
        found.append(
            Finding(
                name="gateway_down",
                sentence=f"scripts are not answered at `[serve] listen`: {daemon.gateway_error}",
                hint="it is tried again; `wandb-mirror serve` tells the same at a terminal",
            )
        )
    return [*found, *_of_workers(daemon), *_of_watches(daemon)]


def lake_away(why: str) -> Finding:
    """A shared lake that does not answer."""
    return Finding(
        name="lake_away",
        sentence=f"the shared lake cannot be reached: {why}",
        hint="`wandb-mirror doctor` asks database and bucket; it is tried again, and what is queued here stays",
    )


def _ended(last: DaemonStatus, now: dt.datetime) -> Finding:
    ago = span((now - last.updated_at).total_seconds())
    return Finding(
        name="daemon_ended",
        sentence=f"the daemon, PID {last.pid}, ended though nobody stopped it; it last said something {ago} ago",
        hint="its log says why; `wandb-mirror daemon` goes on. If none is wanted any more, remove status.json",
    )


def _of_workers(daemon: DaemonStatus) -> list[Finding]:
    stuck = [worker.name for worker in daemon.workers if worker.state == "stuck"]
    crashed = [worker for worker in daemon.workers if worker.state == "restarting"]
    found = []
    if stuck:
        found.append(
            Finding(
                name="worker_stuck",
                sentence=f"nothing moves in the worker {' and '.join(stuck)}",
                hint="restart the daemon: it goes on where it was; its log says what it did last",
            )
        )
    still = [worker for worker in daemon.workers if worker.state == "busy" and worker.still_s > STILL_S]
    if still:
        one = still[0]
        more = f"; and {len(still) - 1} more" if len(still) > 1 else ""
        since = f" since {one.since:%H:%M} UTC" if one.since is not None else ""
        found.append(
            Finding(
                name="worker_still",
                sentence=f"{one.name}, {one.doing or 'at work'}{since}, got nowhere for {span(one.still_s)}{more}",
                hint="`wandb-mirror doctor` says how the server answers; what stays so is ended after"
                " `stuck_after_minutes`, and goes on where it was",
            )
        )
    if crashed:
        why = "; ".join(f"{worker.name}: {worker.last_error}" for worker in crashed)
        found.append(
            Finding(
                name="worker_restarting",
                sentence=f"a worker crashed and is started again: {why}",
                hint="`wandb-mirror doctor` looks at the home and the server; the log has the cause",
            )
        )
    return found


def _of_watches(daemon: DaemonStatus) -> list[Finding]:
    failed = [watch for watch in daemon.watches if watch.last_error is not None]
    if not failed:
        return []
    more = f"; and of {len(failed) - 1} more" if len(failed) > 1 else ""
    return [
        Finding(
            name="watch_failed",
            sentence=f"nothing of the watch folder {failed[0].folder} can be queued: {failed[0].last_error}{more}",
            hint="make the folder readable, or correct `[[source.watch]]`; it is tried again",
        )
    ]


def _of_age(vitals: Vitals, settings: HealthSettings) -> list[Finding]:
    found = []
    late = [source for source in vitals.sources if is_late(source, vitals.now, settings)]
    if late:
        more = f"; also late: {len(late) - 1} more" if len(late) > 1 else ""
        found.append(
            Finding(
                name="source_late",
                sentence=f"{_lateness(late[0], vitals)}{more}",
                hint="`wandb-mirror doctor` says whether the server and the key are good",
            )
        )
    if vitals.oldest_at is not None:
        age = vitals.now - vitals.oldest_at
        if age > dt.timedelta(hours=settings.backlog_after_hours):
            hint = (
                "`wandb-mirror doctor` says whether the server can be reached; `wandb-mirror outbox` lists what waits"
            )
            found.append(
                Finding(
                    name="backlog_old",
                    sentence=f"what was asked {span(age.total_seconds())} ago is not delivered yet",
                    hint=hint if vitals.daemon is not None else "`wandb-mirror replay` delivers what waits",
                )
            )
    return found


def _lateness(source: SourceStatus, vitals: Vitals) -> str:
    lag_s = source.lag_s(vitals.now)
    good = f"the last good pull of {source.path} was {span(lag_s)} ago" if lag_s is not None else ""
    daemon = vitals.daemon
    why = source.last_error or (daemon.offline_reason if daemon is not None else None)
    return f"{good or f'{source.path} was never pulled well'}{f' ({why})' if why else ''}"


def _of_outbox(vitals: Vitals) -> list[Finding]:
    found = []
    if vitals.conflict:
        found.append(
            Finding(
                name="conflicts",
                sentence=f"operations in conflict, since somebody else changed the same: {vitals.conflict}",
                hint="`wandb-mirror outbox diff` shows both sides, `wandb-mirror outbox resolve` decides",
            )
        )
    if vitals.dead:
        found.append(
            Finding(
                name="refused",
                sentence=f"operations that the server refused: {vitals.dead}",
                hint="`wandb-mirror outbox list --state dead` says why; then `outbox retry` or `outbox drop`",
            )
        )
    if vitals.aside:
        found.append(
            Finding(
                name="set_aside",
                sentence=f"files in outbox/aside, torn or written by a newer wandb-mirror: {vitals.aside}",
                hint="upgrade wandb-mirror and put them back, or remove them",
            )
        )
    return found


def _of_home(vitals: Vitals, settings: HealthSettings) -> list[Finding]:
    found = []
    if vitals.unfinished and vitals.daemon is None:
        found.append(
            Finding(
                name="pull_unfinished",
                sentence="a pull was stopped before its end",
                hint="`wandb-mirror pull` goes on where it stopped",
            )
        )
    if vitals.left_behind and vitals.daemon is None:
        found.append(
            Finding(
                name="left_behind",
                sentence=f"items that a pull left behind: {vitals.left_behind}",
                hint="`wandb-mirror pull` tries again what is due; below is why, and when",
            )
        )
    if vitals.quarantined:
        found.append(
            Finding(
                name="quarantined",
                sentence=f"items given up after many attempts: {vitals.quarantined}",
                hint="`wandb-mirror pull --retry-quarantined` tries again",
            )
        )
    if vitals.disk_free is not None and vitals.disk_free < settings.disk_free_min_gb * 1e9:
        found.append(
            Finding(
                name="disk_nearly_full",
                sentence=f"the disk of the home has {vitals.disk_free / 1e9:.2f} GB left",
                hint="make room; `wandb-mirror maintain --dry-run` says what the mirror itself can do without",
            )
        )
    if vitals.daemon is not None and vitals.daemon.maintenance_error is not None:
        found.append(
            Finding(
                name="maintenance_failed",
                sentence=f"maintenance failed the last time: {vitals.daemon.maintenance_error}",
                hint="`wandb-mirror doctor` checks the home; it is tried again",
            )
        )
    return found
