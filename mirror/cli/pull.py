"""`wandb-mirror pull`: bring the mirror up to date."""

from __future__ import annotations

from typing import Any

import anyio
import click

from mirror.cli.output import UTF8, on_terminal, plural, print_json, say, size
from mirror.cli.progress import Bars, Lines
from mirror.cli.run_paths import parse_run_path
from mirror.cli.setting import SOURCE_HINT, Setting, find_setting, open_client, setting_options
from mirror.cli.statuses import ASKS_SERVER, exit_statuses
from mirror.config import SourceSettings, check_source
from mirror.errors import EXIT_PARTIAL, ConfigError, MirrorError
from mirror.pull import ProjectReport, PullReport, PullRequest, Silent, Watcher, pull
from mirror.store import Lake


@click.command("pull", epilog=exit_statuses(*ASKS_SERVER, 9))
@setting_options
@click.argument("runs", nargs=-1, type=UTF8, metavar="[RUN]...")
@click.option(
    "--source",
    "sources",
    multiple=True,
    type=UTF8,
    metavar="ENTITY/PROJECT",
    help="Only this one, configured or not.",
)
@click.option("--reconcile", is_flag=True, help="Compare every run now, to see edits and deletions of ended ones.")
@click.option("--accept-missing", is_flag=True, help="Agree that many runs were deleted upstream: mark them as gone.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON (docs/json.md).")
def command(
    home: str | None,
    config: str | None,
    runs: tuple[str, ...],
    sources: tuple[str, ...],
    reconcile: bool,
    accept_missing: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Bring the mirror up to date with W&B.

    Without RUN, every configured source is pulled: what is new or moved since the last pull, and now and then
    everything. With RUN (ENTITY/PROJECT/RUN_ID), only those runs are read again.
    """
    setting = find_setting(home, config)
    chosen = _sources(setting, sources)
    request = PullRequest(
        sources=chosen,
        runs=tuple(parse_run_path(path, chosen) for path in runs),
        force_walk=reconcile or accept_missing,
        accept_missing=accept_missing,
    )
    if quiet or as_json:
        report = anyio.run(_pull, setting, request, Silent())
    else:
        with Bars() if on_terminal() else Lines() as watcher:
            report = anyio.run(_pull, setting, request, watcher)
    if as_json:
        print_json(report_json(report))
    return conclude(report, quiet=quiet or as_json)


def _sources(setting: Setting, paths: tuple[str, ...]) -> tuple[SourceSettings, ...]:
    if not paths:
        if not setting.config.source:
            raise ConfigError(
                f"no source is configured in {setting.config_path}",
                hint="run `wandb-mirror init --source ENTITY/PROJECT` first",
            )
        return setting.config.source
    for path in paths:
        try:
            check_source(path)
        except ValueError as error:
            raise ConfigError(str(error), hint=SOURCE_HINT) from error
    return tuple(SourceSettings(path=path) for path in paths)


async def _pull(setting: Setting, request: PullRequest, watcher: Watcher) -> PullReport:
    deployment = setting.deployment
    async with open_client(setting.config) as client:
        lake = Lake(setting.home, deployment=deployment.id, known_as=deployment.names, settings=setting.config.store)
        with lake:
            return await pull(client, lake, setting.config, request, watcher=watcher)


def conclude(report: PullReport, *, quiet: bool) -> int:
    """Say what a pull came to, and choose the exit code.

    Raises:
        MirrorError: no project could be pulled; the first reason stands for all.
    """
    if report.errors and len(report.errors) == len(report.projects):
        raise report.errors[0]
    for project in report.projects:
        for failure in project.failed[:10]:
            say(f"left behind: {project.key}/{failure.run_id}: {failure.reason}")
        if project.error is not None:
            say(f"error: {project.key}: {project.error.message}")
            if project.error.hint:
                say(f"hint: {project.error.hint}")
    if not quiet:
        retried = f" ({plural(report.retries, 'retry', 'retries')})" if report.retries else ""
        say(
            f"{plural(len(report.projects), 'project')}, {plural(report.requests, 'request')}"
            f"{retried}, {size(report.bytes_down)} down, {report.seconds:.1f} s"
        )
    return EXIT_PARTIAL if report.errors or report.failures else 0


def report_json(report: PullReport) -> dict[str, Any]:
    """The report as the documented contract."""
    return {
        "projects": [_project_json(project) for project in report.projects],
        "requests": report.requests,
        "retries": report.retries,
        "bytes_down": report.bytes_down,
        "seconds": round(report.seconds, 3),
    }


def _project_json(project: ProjectReport) -> dict[str, Any]:
    return {
        "entity": project.key.entity,
        "project": project.key.project,
        "kind": project.kind,
        "listed": project.listed,
        "written": project.written,
        "unchanged": project.unchanged,
        "gone": project.gone,
        "upstream": project.upstream,
        "failed": [{"run_id": failure.run_id, "reason": failure.reason} for failure in project.failed],
        "error": _error_json(project.error),
    }


def _error_json(error: MirrorError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {"kind": type(error).__name__, "message": error.message, "hint": error.hint, "exit_code": error.exit_code}
