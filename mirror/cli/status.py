"""`wandb-mirror status`: how far each project is mirrored, from the mirror alone."""

from __future__ import annotations

import datetime as dt
from typing import Any

import click
import msgspec

from mirror.cli.daemon_status import print_daemon
from mirror.cli.outbox_status import OutboxStatus, outbox_status, print_outbox
from mirror.cli.output import UTF8, ago, plural, print_json, size, with_zone, write
from mirror.cli.run_paths import parse_run_path
from mirror.cli.run_status import describe, show_run
from mirror.cli.setting import Setting, find_setting, setting_options
from mirror.cli.statuses import exit_statuses
from mirror.cli.tables import print_table
from mirror.daemon.status_file import DaemonStatus
from mirror.daemon.status_file import read_status as read_daemon
from mirror.errors import EXIT_PARTIAL, NotMirrored
from mirror.store import connect
from mirror.store.disk import DiskUse, disk_use
from mirror.store.engine import store_errors
from mirror.store.lake import lake_deployment
from mirror.store.overview import FailureOverview, ProjectOverview, failure_overviews, project_overviews
from mirror.store.writer_lock import Holder, current_holder

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

    @property
    def needs_person(self) -> bool:
        """Whether something goes on only when a person decides."""
        return bool(self.quarantined) or self.outbox.needs_person


@click.command("status", epilog=exit_statuses(5, 9))
@setting_options
@click.argument("run", type=UTF8, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")
def command(home: str | None, config: str | None, run: str | None, as_json: bool) -> int:
    """Say how far each project is mirrored, and what waits to be delivered. Asks the mirror alone, never the network.

    With RUN (ENTITY/PROJECT/RUN_ID, or its web address): what of that run is held, what is missing and why, and what
    is asked of it. Ends with status 9 when something waits for a person: conflicts, refusals, what was given up.
    """
    setting = find_setting(home, config)
    if run is not None:
        key, run_id = parse_run_path(run, setting.config.source)
        return show_run(setting.home, key, run_id, as_json=as_json)
    status = read_status(setting)
    if as_json:
        print_json(status_json(status))
    else:
        _print(status)
    return EXIT_PARTIAL if status.needs_person else 0


def read_status(setting: Setting) -> Status:
    """Collect the figures.

    Raises:
        NotMirrored: the home was never set up.
    """
    home = setting.home
    projects: list[ProjectOverview] = []
    failures: list[FailureOverview] = []
    deployment = None
    with store_errors(home):
        used = disk_use(home)
    if home.catalog.exists():
        engine = connect(home)
        with store_errors(home):
            projects, failures = project_overviews(engine), failure_overviews(engine)
            deployment = lake_deployment(engine)
        engine.close()
    elif not setting.config_path.exists():
        raise NotMirrored(
            f"{home.root} is not a mirror yet", hint="run `wandb-mirror init --source ENTITY/PROJECT` first"
        )
    return Status(
        home=str(home.root),
        deployment=deployment,
        base_url=setting.config.server.base_url,
        sources=[source.path for source in setting.config.source],
        projects=projects,
        failures=failures,
        runs=sum(project.runs for project in projects),
        lake_bytes=used.lake,
        files=sum(project.files for project in projects),
        file_bytes=sum(project.file_bytes for project in projects),
        quarantined=sum(project.quarantined for project in projects),
        disk=used,
        writer=current_holder(home),
        outbox=outbox_status(home),
        daemon=read_daemon(home),
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


def _print(status: Status) -> None:
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    write(f"home    {status.home}")
    write(f"disk    {disk_line(status.disk)}")
    write(f"server  {status.base_url}")
    if status.writer is not None:
        write(f"writing PID {status.writer.pid} ({status.writer.command}) since {status.writer.since}")
    if status.daemon is not None:
        print_daemon(status.daemon, now)
    print_outbox(status.outbox, now, delivered_by_itself=status.daemon is not None)
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
    if status.quarantined:
        write(f"{plural(status.quarantined, 'item')} given up; `wandb-mirror pull --retry-quarantined` tries again")
