"""How a whole mirror is: what `status`, its `--json` and `--watch` tell, collected once."""

from __future__ import annotations

import datetime as dt
import shutil
from typing import Any

import msgspec

from mirror.cli.report.daemon import daemon_lines
from mirror.cli.report.health import SourceLag, finding_lines, lag_of, source_lines, source_statuses
from mirror.cli.report.outbox import OutboxStatus, outbox_lines, outbox_status
from mirror.cli.setting import Setting
from mirror.cli.terminal.output import size, with_zone
from mirror.cli.terminal.times import reclocked
from mirror.clock import utc_now
from mirror.cluster.place import has_lake, place_of
from mirror.daemon.status.health import Finding, Vitals, judge, lake_away
from mirror.daemon.status.status_file import DaemonStatus, read_ended
from mirror.daemon.status.status_file import read_daemon_status as read_daemon
from mirror.errors import LakeAway, NotMirrored
from mirror.records.capabilities import Lack, lacks
from mirror.server_facts import read_server_facts
from mirror.store.engine.connection import store_errors
from mirror.store.engine.meta import lake_deployment
from mirror.store.engine.reader import Reader
from mirror.store.engine.writer_lock import Holder, current_holder
from mirror.store.objects.disk import DiskUse, disk_use
from mirror.store.read.failures import FailureOverview, failure_overviews
from mirror.store.read.overview import ProjectOverview, project_overviews
from mirror.store_settings import StoreSettings
from mirror.texts.visible import visible


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the command tells; also its JSON contract."""

    home: str
    deployment: str | None  # the server that was mirrored; None before the first pull
    base_url: str  # the configured one
    sources: list[str]  # configured, globs as written
    projects: list[ProjectOverview]
    failures: list[FailureOverview]
    runs: int
    lake_bytes: int
    files: int  # run files held
    file_bytes: int
    quarantined: int  # items given up until a person asks for them
    disk: DiskUse
    writer: Holder | None  # the process that writes now
    outbox: OutboxStatus
    daemon: DaemonStatus | None  # what the daemon says; None when none runs
    healthy: bool  # a person need do nothing
    findings: list[Finding]  # what a person should look at
    lags: list[SourceLag]  # how far behind each configured source is
    disk_free: int | None  # bytes left on the disk of the home
    lacks: list[Lack]  # what this server cannot do, as far as was learnt
    shared_lake: str | None  # where the files of a lake lie that a group shares; None: it is the home's own
    lease: str | None  # who has the lease of such a lake, or ended without giving it back


class LakeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What the lake says."""

    projects: list[ProjectOverview] = []
    failures: list[FailureOverview] = []
    deployment: str | None = None
    away: str | None = None  # why a shared lake says nothing


def read_held(setting: Setting) -> LakeFigures:
    """Ask the lake.

    Raises:
        NotMirrored: the home was never set up.
        StoreError: the lake cannot be read.
    """
    home = setting.home
    if has_lake(home):
        try:
            with Reader(home) as reader, reader.snapshot() as lake:
                return LakeFigures(
                    projects=project_overviews(lake),
                    failures=failure_overviews(lake),
                    deployment=lake_deployment(lake),
                )
        except NotMirrored:  # the first pull did not come to its first commit
            pass
        except LakeAway as error:  # what this machine knows by itself is told all the same
            return LakeFigures(away=error.message)
    if not setting.config_path.exists():
        raise NotMirrored(
            f"{home.root} is not a mirror yet", hint="run `wandb-mirror init --source ENTITY/PROJECT` first"
        )
    return LakeFigures()


def read_status(setting: Setting, *, held: LakeFigures | None = None, used: DiskUse | None = None) -> Status:
    """Collect the figures.

    Args:
        setting: of which mirror.
        held: what the lake said before; None asks it now.
        used: disk use that was counted before; None counts it now.

    Raises:
        NotMirrored: the home was never set up.
        StoreError: something of it cannot be read.
    """
    home, now = setting.home, utc_now().replace(tzinfo=None)
    held = held or read_held(setting)
    with store_errors(home):
        used = used or disk_use(home)
        free = shutil.disk_usage(home.root).free if home.root.exists() else None
    projects = held.projects
    daemon, outbox, writer = read_daemon(home), outbox_status(home), current_holder(home)
    sources = source_statuses(setting.config, projects, daemon)
    vitals = Vitals(
        now=now,
        daemon=daemon,
        ended=read_ended(home),
        sources=sources,
        conflict=outbox.conflict,
        dead=outbox.dead,
        aside=outbox.aside,
        oldest_at=outbox.oldest_at,
        quarantined=sum(project.quarantined for project in projects),
        disk_free=free,
        left_behind=sum(project.failures - project.quarantined for project in projects),
        unfinished=0 if writer is not None else sum(one.walk_under_way for one in projects) or home.pull_begun.exists(),
    )
    findings = judge(vitals, setting.config.health)
    if held.away is not None and not any(finding.name == "lake_away" for finding in findings):
        findings = [lake_away(held.away), *findings]
    facts = read_server_facts(home, setting.deployment.id)
    return Status(
        home=str(home.root),
        deployment=held.deployment,
        base_url=setting.config.server.base_url,
        sources=[source.path for source in setting.config.source],
        projects=projects,
        failures=held.failures,
        runs=sum(project.runs for project in projects),
        lake_bytes=used.lake,
        files=sum(project.files for project in projects),
        file_bytes=sum(project.file_bytes for project in projects),
        quarantined=vitals.quarantined,
        disk=used,
        writer=writer,
        outbox=outbox,
        daemon=daemon,
        healthy=not findings,
        findings=findings,
        lags=[lag_of(source, now, setting.config.health) for source in sources],
        disk_free=free,
        lacks=list(lacks(facts)) if facts is not None else [],
        shared_lake=place.data if (place := place_of(home)) is not None else None,
        lease=None if place is None else held.away or _lease(place),
    )


def _lease(place: StoreSettings) -> str | None:
    from mirror.cluster.lease import holder_of_lease  # brings what only a shared lake needs
    from mirror.cluster.postgres import connected

    try:
        with connected(place) as database:
            holder = holder_of_lease(database)
    except LakeAway as error:
        return error.message
    return None if holder is None else str(holder)


def status_json(status: Status) -> Any:
    """The documented contract: times are ISO 8601 in UTC with a `Z`."""
    return with_zone(msgspec.to_builtins(status, builtin_types=(dt.datetime,)))


def disk_line(disk: DiskUse) -> str:
    """Disk use by kind, for a person."""
    about = "about " if disk.objects_estimated else ""
    kinds = [f"tables {size(disk.lake)}", f"files and exports {about}{size(disk.objects)}"]
    kinds += [f"downloads under way {size(disk.partial)}"] if disk.partial else []
    kinds += [f"outbox {size(disk.outbox)}"] if disk.outbox else []
    return ", ".join(kinds)


def free_line(free: int | None) -> str:
    """What is left, behind that."""
    return "" if free is None else f"; {size(free)} free"


def head_lines(status: Status, now: dt.datetime) -> list[str]:
    """Everything but the projects, what matters most in front."""
    lines = [f"home    {status.home}", *finding_lines(status.findings)]
    lines += [f"disk    {disk_line(status.disk)}{free_line(status.disk_free)}", f"server  {status.base_url}"]
    lines += [f"        {lack}" for lack in status.lacks]
    if status.shared_lake is not None:
        lines.append(f"lake    {status.shared_lake}, written by {visible(status.lease or 'nobody')}")
    if status.writer is not None:
        lines.append(
            f"writing PID {status.writer.pid} ({status.writer.command}) since {reclocked(status.writer.since)}"
        )
    if status.daemon is not None:
        lines += daemon_lines(status.daemon, now)
    lines += source_lines(status.lags, now)
    return [*lines, *outbox_lines(status.outbox, now, delivered_by_itself=status.daemon is not None)]
