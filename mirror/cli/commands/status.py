"""`wandb-mirror status`: how far each project is mirrored, from the mirror alone."""

from __future__ import annotations

import click

from mirror.cli.report.run import describe_failure, show_run
from mirror.cli.report.status import Status, head_lines, read_status, status_json
from mirror.cli.run_paths import find_run
from mirror.cli.setting import find_setting, setting_options
from mirror.cli.terminal.output import UTF8, ago, print_json, size, write
from mirror.cli.terminal.statuses import exit_statuses
from mirror.cli.terminal.tables import print_table
from mirror.cli.terminal.times import utc_option
from mirror.clock import utc_now
from mirror.errors import EXIT_PARTIAL
from mirror.texts.amounts import plural

SHOWN = 10  # failures that are listed one by one


@click.command("status", epilog=exit_statuses(5, 9))
@setting_options
@click.argument("run", type=UTF8, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")
@click.option("--watch", "watching", is_flag=True, help="Stay and show it live, until Ctrl-C.")
@utc_option
def command(home: str | None, config: str | None, run: str | None, as_json: bool, watching: bool) -> int:
    """Say how far each project is mirrored, and what waits to be delivered. Asks the mirror alone, never the network.

    With RUN (its path, web address, id or name): what of that run is held, what is missing and why, and what
    is asked of it. Ends with status 9 when something waits for a person: conflicts, refusals, what was given up, a
    source or an operation that is late, a daemon that ended or is stuck; docs/metrics.md lists all.
    """
    if watching and (as_json or run is not None):
        raise click.UsageError("--watch shows the whole mirror on a terminal: it goes with neither RUN nor --json")
    setting = find_setting(home, config)
    if watching:
        from mirror.cli.report.watch import watch_status  # pulls in what draws

        return watch_status(setting)
    if run is not None:
        return show_run(setting.home, find_run(run, setting), as_json=as_json)
    status = read_status(setting)
    if as_json:
        print_json(status_json(status))
    else:
        _print(status)
    return 0 if status.healthy else EXIT_PARTIAL


def _print(status: Status) -> None:
    now = utc_now().replace(tzinfo=None)
    for line in head_lines(status, now):
        write(line)
    if not status.projects and any(finding.name == "lake_away" for finding in status.findings):
        return  # nobody knows what was pulled
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
        what = f"{failure.path} ({failure.item})" if failure.item else failure.path
        write(f"left behind: {what}: {describe_failure(failure, now)}")
    left = sum(project.failures for project in status.projects)
    if left > SHOWN:
        write(f"{left - SHOWN:,} more: the view `failures` has all")
