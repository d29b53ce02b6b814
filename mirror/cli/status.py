"""`wandb-mirror status`: how far each project is mirrored, from the mirror alone."""

from __future__ import annotations

import datetime as dt
from typing import Any

import click
import msgspec

from mirror.cli.output import ago, plural, print_json, size, write
from mirror.cli.setting import Setting, find_setting, setting_options
from mirror.cli.statuses import exit_statuses
from mirror.cli.tables import print_table
from mirror.errors import NotMirrored
from mirror.store import connect
from mirror.store.engine import store_errors
from mirror.store.lake import lake_deployment
from mirror.store.overview import (
    FailureOverview,
    ProjectOverview,
    disk_use,
    failure_overviews,
    project_overviews,
)
from mirror.store.writer_lock import Holder, current_holder


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
    writer: Holder | None  # the process that writes now


@click.command("status", epilog=exit_statuses(5))
@setting_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")
def command(home: str | None, config: str | None, as_json: bool) -> None:
    """Say how far each project is mirrored. Asks the mirror alone, never the network."""
    status = read_status(find_setting(home, config))
    if as_json:
        print_json(status_json(status))
    else:
        _print(status)


def read_status(setting: Setting) -> Status:
    """Collect the figures.

    Raises:
        NotMirrored: the home was never set up.
    """
    home = setting.home
    projects: list[ProjectOverview] = []
    failures: list[FailureOverview] = []
    deployment, used = None, 0
    if home.catalog.exists():
        engine = connect(home)
        with store_errors(home):
            projects, failures = project_overviews(engine), failure_overviews(engine)
            deployment, used = lake_deployment(engine), disk_use(home)
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
        lake_bytes=used,
        writer=current_holder(home),
    )


def status_json(status: Status) -> Any:
    """The documented contract: times are ISO 8601 in UTC with a `Z`."""
    return _with_zone(msgspec.to_builtins(status, builtin_types=(dt.datetime,)))


def _with_zone(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.isoformat(timespec="seconds") + "Z"
    if isinstance(value, dict):
        return {key: _with_zone(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_zone(item) for item in value]
    return value


def _print(status: Status) -> None:
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    write(f"home    {status.home} ({size(status.lake_bytes)})")
    write(f"server  {status.base_url}")
    if status.writer is not None:
        write(f"writing PID {status.writer.pid} ({status.writer.command}) since {status.writer.since}")
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
            project.failures,
            ago(project.last_pass_at, now),
            ago(project.last_walk_at, now) + (" (under way)" if project.walk_under_way else ""),
        ]
        for project in status.projects
    ]
    print_table(["project", "runs", "active", "gone", "failed", "last pull", "all compared"], rows)
    write(plural(status.runs, "run") + " mirrored")
    for project in status.projects:
        if project.last_error:
            write(
                f"error: {project.entity}/{project.project}: {project.last_error} ({ago(project.last_error_at, now)})"
            )
    for failure in status.failures[:10]:
        write(f"left behind: {failure.path}: {failure.reason} ({plural(failure.attempts, 'attempt')})")
