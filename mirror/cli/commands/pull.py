"""`wandb-mirror pull`: bring the mirror up to date."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import click

from mirror.cli.by_daemon import pull_by_daemon
from mirror.cli.clients import open_client
from mirror.cli.filter_text import EXAMPLE
from mirror.cli.lake import lake_to_write
from mirror.cli.names import warn_of_states
from mirror.cli.run_paths import find_run, parse_run_path
from mirror.cli.setting import SOURCE_HINT, Setting, find_setting, setting_options
from mirror.cli.terminal.output import UTF8, on_terminal, print_json, say, size, write
from mirror.cli.terminal.progress import Bars, Lines
from mirror.cli.terminal.stalled import unless_stalled
from mirror.cli.terminal.statuses import ASKS_SERVER, exit_statuses
from mirror.cli.terminal.tables import print_table
from mirror.cluster.place import has_lake
from mirror.config import Narrowing, SourceSettings, check_source, settings_of
from mirror.errors import EXIT_PARTIAL, ConfigError, MirrorError
from mirror.layout import Home
from mirror.narrowed import filter_of
from mirror.pull import ProjectReport, PullReport, PullRequest, PullWatcher, SilentPull, pull
from mirror.pull.begun import until_ended
from mirror.store.filters.mongo import compile_filter
from mirror.texts.amounts import plural

SHOWN = 10  # failures that are said one by one


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
@click.option("--filter", "filters", type=UTF8, metavar="JSON", help="Only runs that W&B's filter keeps.")
@click.option("--state", "states", multiple=True, help="Only runs in this state; may be given again.")
@click.option("--tag", "tags", type=UTF8, multiple=True, help="Only runs with this tag; given again, with all of them.")
@click.option("--since", metavar="DAY", help="Only runs made since 2026-01-31, or within 90d.")
@click.option("--reconcile", is_flag=True, help="Compare every run now, to see edits and deletions of ended ones.")
@click.option("--accept-missing", is_flag=True, help="Agree that many runs were deleted upstream: mark them as gone.")
@click.option("--retry-quarantined", is_flag=True, help="Try again what was given up after many attempts.")
@click.option("--dry-run", is_flag=True, help="Say what would be fetched, with requests and bytes; change nothing.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON (docs/json.md).")
def command(
    home: str | None,
    config: str | None,
    runs: tuple[str, ...],
    sources: tuple[str, ...],
    filters: str | None,
    states: tuple[str, ...],
    tags: tuple[str, ...],
    since: str | None,
    reconcile: bool,
    accept_missing: bool,
    retry_quarantined: bool,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Bring the mirror up to date with W&B: runs with their histories, files and artifacts.

    Without RUN, every configured source is pulled: what is new or moved since the last pull, and now and then
    everything; with --filter, --state, --tag or --since only some runs, and the next pull without takes the others.
    With RUN (ENTITY/PROJECT/RUN_ID, or the id or display name of one mirrored run), only those runs are read again.
    Where a daemon runs, it does this.
    """
    setting = find_setting(home, config)
    if "" in (filters, since, *states, *tags):  # a variable of a shell that is not set is no wish for all runs
        raise click.UsageError("--filter, --state, --tag and --since want a value")
    narrowing = Narrowing(filter=filters or "", states=states, tags=tags, since=since or "")
    if runs and narrowing != Narrowing():
        raise click.UsageError("--filter, --state, --tag and --since choose among all runs: they go without RUN")
    chosen = _narrowed(_sources(setting, sources), narrowing)
    if not runs:
        warn_of_states((state for source in chosen for state in source.states), setting.home)
    request = PullRequest(
        sources=chosen,
        runs=tuple(parse_run_path(text, chosen) if sources else find_run(text, setting, whole=True) for text in runs),
        force_walk=reconcile or accept_missing,
        accept_missing=accept_missing,
        retry_quarantined=retry_quarantined,
        dry_run=dry_run,
    )

    def done(watcher: PullWatcher) -> PullReport:
        asked = pull_by_daemon(setting.home, request, sources, narrowing, watcher)
        return anyio.run(_pull, setting, request, watcher) if asked is None else asked

    if dry_run:
        return _show_plan(done(SilentPull()), as_json=as_json)
    if quiet or as_json:
        report = done(SilentPull())
    else:
        with Bars() if on_terminal() else Lines() as watcher:
            report = done(watcher)
    if as_json:
        print_json(pull_json(report))
    return conclude_pull(report, quiet=quiet or as_json)


def _narrowed(sources: tuple[SourceSettings, ...], narrowing: Narrowing) -> tuple[SourceSettings, ...]:
    """The sources, narrowed.

    Raises:
        ConfigError: by what no server can take, which is not left to its words.
    """
    try:
        found = narrowing.of(sources)
    except ValueError as error:
        raise ConfigError(str(error), hint=EXAMPLE) from error
    for source in found:
        if source.filter:
            compile_filter(filter_of(source.filter))
    return found


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
    return tuple(settings_of(setting.config.source, path) for path in paths)


async def _pull(setting: Setting, request: PullRequest, watcher: PullWatcher) -> PullReport:
    async with open_client(setting.config, setting.home, keeps=not request.dry_run) as client:
        with _home_of(setting, request) as home, lake_to_write(setting, home) as lake:
            counted = _Counted(watcher)

            async def work() -> PullReport:
                is_whole = not (request.dry_run or request.runs) and request.sources == setting.config.source
                with until_ended(home) if is_whole else contextlib.nullcontext():
                    return await pull(client, lake, setting.config, request, watcher=counted)

            limit_s = setting.config.daemon.stuck_after_minutes * 60
            return await unless_stalled("pull", work, lambda: (client.spent, counted.state), limit_s=limit_s)


class _Counted:
    """A watcher that passes all on, and remembers enough to tell whether something moves."""

    def __init__(self, inner: PullWatcher) -> None:
        self._inner = inner
        self._steps = 0
        self._reports: list[ProjectReport] = []

    @property
    def state(self) -> object:
        """Changes whenever a pull gets on."""
        return self._steps, sum(report.settled + report.bytes_fetched for report in self._reports)

    def pass_started(self, report: ProjectReport) -> None:
        """A pass begins."""
        self._steps += 1
        self._reports.append(report)
        self._inner.pass_started(report)

    def page_done(self, report: ProjectReport, expected: int | None) -> None:
        """A page is committed."""
        self._steps += 1
        self._inner.page_done(report, expected)

    def pass_ended(self, report: ProjectReport) -> None:
        """A pass ended."""
        self._steps += 1
        self._inner.pass_ended(report)


@contextlib.contextmanager
def _home_of(setting: Setting, request: PullRequest) -> Iterator[Home]:
    """The home; an empty one that is removed again, where a dry run finds nothing to compare with."""
    if not request.dry_run or has_lake(setting.home):
        yield setting.home
        return
    with tempfile.TemporaryDirectory(prefix="wandb-mirror-dry-run-") as folder:
        yield Home(Path(folder))


def _show_plan(report: PullReport, *, as_json: bool) -> int:
    """Print what a pull would do."""
    if as_json:
        print_json(pull_json(report))
        return conclude_pull(report, quiet=True)
    names = ["project", "runs new", "changed", "gone", "files", "bytes of files", "exports", "rows", "artifacts"]
    rows = [
        [
            str(project.key),
            project.new,
            project.written - project.new,
            project.gone,
            project.files,
            size(project.bytes_fetched),
            project.parts,
            project.rows,
            project.artifacts,
        ]
        for project in report.projects
        if project.error is None
    ]
    if rows:
        print_table(names, rows)
    code = conclude_pull(report, quiet=True)
    ahead = sum(project.requests_ahead for project in report.projects)
    downloads = sum(project.files + project.parts + project.artifacts for project in report.projects)
    cut_short = sum(project.cut_short for project in report.projects)
    if any(project.artifacts for project in report.projects):
        write("of an artifact its manifest is counted; its files, where artifacts_include wants them, come on top")
    if cut_short:
        write(f"of {plural(cut_short, 'run')} with long lists of files or artifacts only the first page is counted")
    write(
        f"a pull would take about {plural(report.requests + ahead, 'request')} and {plural(downloads, 'download')};"
        f" this look took {plural(report.requests, 'request')} and changed nothing"
    )
    return code


def conclude_pull(report: PullReport, *, quiet: bool) -> int:
    """Say what a pull came to, and choose the exit code.

    Raises:
        MirrorError: no project could be pulled; the first reason stands for all.
    """
    if report.errors and len(report.errors) == len(report.projects):
        raise report.errors[0]
    for project in report.projects:
        for failure in project.failed[:SHOWN]:
            what = f" ({failure.item})" if failure.item else ""
            say(f"left behind: {project.key}/{failure.run_id}{what}: {failure.reason}")
        if len(project.failed) > SHOWN:
            say(f"{len(project.failed) - SHOWN:,} more of {project.key}: the view `failures` has all")
        if (earlier := project.left_behind - len(project.failed)) > 0:
            say(f"left behind earlier: {plural(earlier, 'item')} of {project.key}: `wandb-mirror status` says why")
        if project.skipped:
            what = plural(project.skipped, "place", "places")
            say(f"skipped: {what} in listings of {project.key} where the server put nothing that can be read")
        if project.beyond:
            say(
                f"the server did not narrow {project.key}: {plural(project.beyond, 'run')} beyond what the source asks"
                f" {'was' if project.beyond == 1 else 'were'} mirrored"
            )
        if project.error is not None:
            say(f"error: {project.key}: {project.error.message}")
            if project.error.hint:
                say(f"hint: {project.error.hint}")
    if not quiet:
        retried = f" ({plural(report.retries, 'retry', 'retries')})" if report.retries else ""
        taken = [
            plural(count, one)
            for count, one in (
                (report.transfers, "download"),
                (sum(project.files for project in report.projects), "file"),
                (sum(project.parts for project in report.projects), "export"),
            )
            if count
        ]
        say(
            ", ".join(
                [
                    plural(len(report.projects), "project"),
                    f"{plural(report.requests, 'request')}{retried}",
                    *taken,
                    f"{size(report.bytes_down)} down",
                    f"{report.seconds:.1f} s",
                ]
            )
        )
    return 0 if report.is_whole else EXIT_PARTIAL


def pull_json(report: PullReport) -> dict[str, Any]:
    """The report as the documented contract."""
    return {
        "projects": [_project_json(project) for project in report.projects],
        "requests": report.requests,
        "retries": report.retries,
        "transfers": report.transfers,
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
        "new": project.new,
        "unchanged": project.unchanged,
        "gone": project.gone,
        "upstream": project.upstream,
        "skipped": project.skipped,
        "files": project.files,
        "parts": project.parts,
        "rows": project.rows,
        "artifacts": project.artifacts,
        "bytes_fetched": project.bytes_fetched,
        "requests_ahead": project.requests_ahead,
        "cut_short": project.cut_short,
        "failed": [
            {"run_id": failure.run_id, "item": failure.item, "reason": failure.reason} for failure in project.failed
        ],
        "beyond": project.beyond,
        "left_behind": project.left_behind,
        "error": _error_json(project.error),
    }


def _error_json(error: MirrorError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {"kind": type(error).__name__, "message": error.message, "hint": error.hint, "exit_code": error.exit_code}
