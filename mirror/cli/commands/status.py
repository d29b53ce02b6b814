"""`wandb-mirror status`: how far each project is mirrored, from the mirror alone."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
from typing import Any

import click
import msgspec

from mirror.api import Lack, lacks
from mirror.cli.report.daemon import daemon_lines
from mirror.cli.report.health import SourceLag, finding_lines, lag_of, source_lines, source_statuses
from mirror.cli.report.outbox import OutboxStatus, outbox_lines, outbox_status
from mirror.cli.report.run import describe, show_run
from mirror.cli.run_paths import parse_run_path
from mirror.cli.setting import Setting, find_setting, setting_options
from mirror.cli.terminal.output import UTF8, ago, plural, print_json, size, with_zone, write
from mirror.cli.terminal.statuses import exit_statuses
from mirror.cli.terminal.tables import print_table
from mirror.clock import utc_now
from mirror.daemon.status.health import Finding, Vitals, judge
from mirror.daemon.status.status_file import DaemonStatus, read_ended
from mirror.daemon.status.status_file import read_status as read_daemon
from mirror.errors import EXIT_PARTIAL, NotMirrored
from mirror.server_facts import read_server_facts
from mirror.store import connect
from mirror.store.engine.connection import store_errors
from mirror.store.engine.lake import lake_deployment
from mirror.store.engine.writer_lock import Holder, current_holder
from mirror.store.objects.disk import DiskUse, disk_use
from mirror.store.read.overview import FailureOverview, ProjectOverview, failure_overviews, project_overviews

SHOWN = 10  # failures that are listed one by one


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


@click.command("status", epilog=exit_statuses(5, 9))
@setting_options
@click.argument("run", type=UTF8, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")
@click.option("--watch", "watching", is_flag=True, help="Stay and show it live, until Ctrl-C.")
def command(home: str | None, config: str | None, run: str | None, as_json: bool, watching: bool) -> int:
    """Say how far each project is mirrored, and what waits to be delivered. Asks the mirror alone, never the network.

    With RUN (ENTITY/PROJECT/RUN_ID, or its web address): what of that run is held, what is missing and why, and what
    is asked of it. Ends with status 9 when something waits for a person: conflicts, refusals, what was given up, a
    source or an operation that is late, a daemon that ended or is stuck; docs/metrics.md lists all.
    """
    if watching and (as_json or run is not None):
        raise click.UsageError("--watch shows the whole mirror on a terminal: it goes with neither RUN nor --json")
    setting = find_setting(home, config)
    if watching:
        from mirror.cli.report.watch import watch  # pulls in what draws

        return watch(setting)
    if run is not None:
        return show_run(setting.home, parse_run_path(run, setting.config.source), as_json=as_json)
    status = read_status(setting)
    if as_json:
        print_json(status_json(status))
    else:
        _print(status)
    return 0 if status.healthy else EXIT_PARTIAL


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What the lake says."""

    projects: list[ProjectOverview] = []
    failures: list[FailureOverview] = []
    deployment: str | None = None


def read_held(setting: Setting) -> Held:
    """Ask the lake.

    Raises:
        NotMirrored: the home was never set up.
        StoreError: the lake cannot be read.
    """
    home = setting.home
    if home.catalog.exists():
        with (
            contextlib.suppress(NotMirrored),  # the first pull did not come to its first commit
            contextlib.closing(connect(home)) as engine,
            store_errors(home),
        ):
            return Held(
                projects=project_overviews(engine),
                failures=failure_overviews(engine),
                deployment=lake_deployment(engine),
            )
    if not setting.config_path.exists():
        raise NotMirrored(
            f"{home.root} is not a mirror yet", hint="run `wandb-mirror init --source ENTITY/PROJECT` first"
        )
    return Held()


def read_status(setting: Setting, *, held: Held | None = None, used: DiskUse | None = None) -> Status:
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
    daemon, outbox = read_daemon(home), outbox_status(home)
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
    )
    findings = judge(vitals, setting.config.health)
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
        writer=current_holder(home),
        outbox=outbox,
        daemon=daemon,
        healthy=not findings,
        findings=findings,
        lags=[lag_of(source, now, setting.config.health) for source in sources],
        disk_free=free,
        lacks=list(lacks(facts)) if facts is not None else [],
    )


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
    lines += [f"        has no {lack.capability}: {lack.without}" for lack in status.lacks]
    if status.writer is not None:
        lines.append(f"writing PID {status.writer.pid} ({status.writer.command}) since {status.writer.since}")
    if status.daemon is not None:
        lines += daemon_lines(status.daemon, now)
    lines += source_lines(status.lags, now)
    return [*lines, *outbox_lines(status.outbox, now, delivered_by_itself=status.daemon is not None)]


def _print(status: Status) -> None:
    now = utc_now().replace(tzinfo=None)
    for line in head_lines(status, now):
        write(line)
    if not status.projects:
        write(f"nothing pulled yet; configured: {', '.join(status.sources) or 'no source'}")
        write("next: wandb-mirror pull")
        return
    rows = [
        [
            f"{project.entity}/{project.project}",
            project.runs,
            project.active,
            project.gone,
            project.files,
            size(project.file_bytes),
            project.incomplete,
            project.failures,
            ago(project.last_pass_at, now),
            ago(project.last_walk_at, now) + (" (under way)" if project.walk_under_way else ""),
        ]
        for project in status.projects
    ]
    heads = ["project", "runs", "active", "gone", "files", "bytes", "incomplete", "failed", "last pull", "all compared"]
    print_table(heads, rows)
    write(f"{plural(status.runs, 'run')} and {plural(status.files, 'file')} ({size(status.file_bytes)}) mirrored")
    for project in status.projects:
        if project.last_error:
            write(
                f"error: {project.entity}/{project.project}: {project.last_error} ({ago(project.last_error_at, now)})"
            )
    for failure in status.failures[:SHOWN]:
        write(f"left behind: {failure.path}{f' ({failure.item})' if failure.item else ''}: {describe(failure, now)}")
    left = sum(project.failures for project in status.projects)
    if left > SHOWN:
        write(f"{left - SHOWN:,} more: the view `failures` has all")
