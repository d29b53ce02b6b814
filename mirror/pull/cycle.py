"""One pull over all sources: which projects there are, a pass over each, side by side, and one report."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from fnmatch import fnmatchcase

import anyio
import anyio.to_thread
import msgspec

from mirror.api.client import Client
from mirror.clock import utc_now
from mirror.config import Config, SourceSettings, source_of
from mirror.errors import AuthError, MirrorError, NotFound, StoreError, Unreachable
from mirror.pull import plan
from mirror.pull.context import PullContext
from mirror.pull.listing.budget import PageSize
from mirror.pull.listing.walk import Listing, ahead, list_runs
from mirror.pull.project_pass import ProjectPass
from mirror.pull.report import ProjectReport, PullReport, PullWatcher, SilentPull
from mirror.pull.take import PageTaker
from mirror.records.addresses import ProjectKey, RunPath
from mirror.store.engine.lake import Lake
from mirror.store.objects.objects import Objects
from mirror.store.read.failures import left_behind
from mirror.store.write.fresh_rows import FreshRows

PASSES_AT_ONCE = 4
GLOB_MARKS = frozenset("*?[")


class PullRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a person or the clock asked for."""

    sources: tuple[SourceSettings, ...]
    due: frozenset[str] = frozenset()  # with paths here, only these sources are pulled; the others keep what is theirs
    runs: tuple[RunPath, ...] = ()  # with runs here, only these are read
    force_walk: bool = False  # compare every run, whatever the schedule says
    accept_missing: bool = False  # mark runs as gone, however many the server confirms
    retry_quarantined: bool = False  # try again what was given up after many attempts
    dry_run: bool = False  # say what would be fetched, and change nothing


async def pull(
    client: Client,
    lake: Lake,
    config: Config,
    request: PullRequest,
    *,
    watcher: PullWatcher | None = None,
    now: Callable[[], dt.datetime] = utc_now,
    storing: anyio.CapacityLimiter | None = None,
    objects: Objects | None = None,
    fresh: FreshRows | None = None,
) -> PullReport:
    """Bring the lake up to date with the server.

    One project that fails does not stop the others; its error is in the report and in `sources`.

    Args:
        client: entered by the caller.
        lake: opened for writing by the caller.
        config: how to walk.
        request: what to pull.
        watcher: told about the progress.
        now: the clock, UTC.
        storing: lets one commit in at a time, where others write the lake as well; None: one of its own.
        fresh: what replays of this process write meanwhile; None: there are none.
        objects: of the lake's home and recovered, where pulls go beside one another; None: its own.

    Raises:
        StoreError: the lake or the disk failed; the lake stays at its last commit.
        AuthError: the server refused the key before anything was listed.
    """
    started, before = time.monotonic(), client.spent
    client.set_ceiling(config.pull.requests_per_second)
    if objects is None:
        objects = Objects(lake.home)
        if not request.dry_run:
            await anyio.to_thread.run_sync(objects.recover)
    context = PullContext(
        client=client,
        lake=lake,
        objects=objects,
        settings=config.pull,
        reserve_bytes=config.health.disk_free_min_gb * 1e9,
        watcher=watcher or SilentPull(),
        now=now,
        accept_missing=request.accept_missing,
        retry_quarantined=request.retry_quarantined,
        dry_run=request.dry_run,
        writers=storing or anyio.CapacityLimiter(1),
        fresh=fresh or FreshRows(),
    )
    report = PullReport()
    with contextlib.suppress(MirrorError):  # what keeps the server from telling, the passes meet as well
        await client.learn_if_due(now(), ask_again=request.force_walk or request.retry_quarantined)
    if request.runs:
        await _pull_named(context, request, report)
    else:
        await _pull_sources(context, request, report)
    with contextlib.suppress(MirrorError):  # a pass may have seen that the server was upgraded
        await client.learn_if_due(now())
    spent = client.spent
    report.requests = spent.graphql_requests - before.graphql_requests
    report.retries = spent.retries - before.retries
    report.transfers = spent.transfer_requests - before.transfer_requests
    report.bytes_down = spent.bytes_down - before.bytes_down
    report.seconds = time.monotonic() - started
    return report


async def _pull_sources(context: PullContext, request: PullRequest, report: PullReport) -> None:
    keys = await _wanted(context, request, report)
    turns = anyio.Semaphore(PASSES_AT_ONCE)
    fatal: list[MirrorError] = []

    async def one(key: ProjectKey, policy: SourceSettings) -> None:
        async with turns:
            project = ProjectReport(key=key)
            report.projects.append(project)
            if fatal:  # the server is away or the disk is full: the others would only find the same
                project.error = fatal[0]
                return
            context.watcher.pass_started(project)
            try:
                await ProjectPass(context, project, policy).run(force_walk=request.force_walk)
            except MirrorError as error:
                project.error = error
                if await _is_fatal(context, error):
                    fatal.append(error)
            context.watcher.pass_ended(project)  # not of a pass that was interrupted: it has not ended

    async with anyio.create_task_group() as group:
        for key, policy in keys.items():
            group.start_soon(one, key, policy)
    report.projects.sort(key=lambda project: project.key)
    if not context.dry_run and not fatal:
        left = await context.stored(left_behind, context.lake)
        for project in report.projects:
            project.left_behind = left.get(project.key, 0)
    for reason in fatal:
        if isinstance(reason, StoreError):
            raise reason


async def _wanted(context: PullContext, request: PullRequest, report: PullReport) -> dict[ProjectKey, SourceSettings]:
    """The projects to pull, each with the source that decides what of it is wanted: the first one that names it."""
    keys: dict[ProjectKey, SourceSettings] = {}
    for source in request.sources:
        if request.due and source.path not in request.due:
            continue
        try:
            async for key in expand(context, source):
                if not request.due or policy_of(key, request.sources).path in request.due:
                    keys.setdefault(key, source)
        except MirrorError as error:
            if await _is_fatal(context, error):
                raise
            report.projects.append(ProjectReport(key=ProjectKey(source.entity, source.project), error=error))
    return keys


async def expand(context: PullContext, source: SourceSettings) -> AsyncGenerator[ProjectKey, None]:
    """The projects that a source names now. One that a glob no longer matches keeps what was mirrored of it.

    Raises:
        NotFound: a glob that matches no project.
        MirrorError: the listing of projects ended early; those that came were given.
    """
    if not GLOB_MARKS & set(source.project):
        yield ProjectKey(source.entity, source.project)
        return
    is_empty = True
    async for page in context.client.projects(source.entity):
        for name in sorted({record.project for record in page if fnmatchcase(record.project, source.project)}):
            is_empty = False
            yield ProjectKey(source.entity, name)
    if is_empty:
        raise NotFound(
            f"no project matches {source.path}",
            hint=f"check the entity's name, and that this API key may read projects of {source.entity!r}",
        )


async def _pull_named(context: PullContext, request: PullRequest, report: PullReport) -> None:
    by_key: dict[ProjectKey, list[str]] = {}
    for run in request.runs:
        by_key.setdefault(run.key, []).append(run.run_id)
    for key, run_ids in sorted(by_key.items()):
        project = ProjectReport(key=key, kind="named")
        report.projects.append(project)
        context.watcher.pass_started(project)
        try:
            await _take_named(context, project, policy_of(key, request.sources), list(dict.fromkeys(run_ids)))
        except MirrorError as error:
            project.error = error
            if await _is_fatal(context, error):
                raise
        finally:
            context.watcher.pass_ended(project)


async def _take_named(
    context: PullContext, report: ProjectReport, policy: SourceSettings, run_ids: Sequence[str]
) -> None:
    """Read some runs again.

    Raises:
        NotFound: the server lacks one of them; the others are taken.
    """
    pages = PageTaker(context, policy, report, context.now())
    found: set[str] = set()
    async with pages.committer.at_work():
        for chunk in plan.in_chunks(run_ids):
            listing = Listing(
                key=report.key,
                filters=plan.names_filter(chunk),
                size=PageSize.starting(context.settings.page_size_start, context.settings.page_size_max),
                target_s=context.settings.page_seconds_target,
                with_extras=False,
            )
            async with ahead(list_runs(context.client, listing)) as listed_pages:
                async for listed in listed_pages:
                    await pages.take(listed, expected=len(run_ids))
                    found.update(run.run_id for run in (listed.page.runs if listed.page else ()))
                    found.update(failure.run_id for failure in listed.failed)
    for run_id in run_ids:
        if run_id not in found:
            raise NotFound(
                f"run {report.key}/{run_id} does not exist, or this API key may not read it",
                hint="a run is ENTITY/PROJECT/RUN_ID; the id is the last part of its page's address",
            )


def policy_of(key: ProjectKey, sources: Sequence[SourceSettings]) -> SourceSettings:
    """What of a project's runs is wanted: the first source that names it decides, else the defaults."""
    return source_of(sources, key.entity, key.project) or SourceSettings(path=str(key))


async def _is_fatal(context: PullContext, error: MirrorError) -> bool:
    """Whether every other project would meet the same."""
    if isinstance(error, AuthError):  # either the key is refused, or it may not read this one thing
        return await _key_is_refused(context.client)
    return isinstance(error, StoreError) or (isinstance(error, Unreachable) and not error.answered)


async def _key_is_refused(client: Client) -> bool:
    try:
        await client.check()
    except AuthError:
        return True
    except MirrorError:
        return False
    return False
