"""What `wandb-mirror doctor` asks the server: the documents of a pull and a replay, for one project and one run."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal

import msgspec

from mirror.api.client import Client
from mirror.api.rows.listed import ListedContents, RunStreams, StreamAsk
from mirror.api.rows.pages import BadRun, RunsPage
from mirror.cli.clients import open_client
from mirror.cli.setting import Setting
from mirror.cli.terminal.output import size
from mirror.clock import utc_now
from mirror.config import SourceSettings
from mirror.errors import MirrorError, NotFound, NotOffered
from mirror.records.runs import RunRecord
from mirror.texts.amounts import plural

CLOCK_TOLERANCE_S = 60.0
STEPS_LOOKED_AT = 1000  # of a history: one page
BYTES_LOOKED_AT = 1 << 16  # of a file and of an export


Outcome = Literal["ok", "warning", "failed", "skipped"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One finding; a list of them is the JSON contract."""

    name: str
    outcome: Outcome
    detail: str
    hint: str = ""
    exit_code: int = 0  # of the program, when this is the first failure


def failed(name: str, error: MirrorError) -> Check:
    """An error as a finding."""
    return Check(name=name, outcome="failed", detail=error.message, hint=error.hint, exit_code=error.exit_code)


async def examine_server(setting: Setting) -> list[Check]:
    """What only the server can tell, in the order in which a pull needs it."""
    checks: list[Check] = []
    try:
        async with open_client(setting.config, None) as client:  # it changes nothing
            checks += await _greet(client, setting.deployment.host)
            looked_at: tuple[str, str] | None = None
            for source in setting.config.source:
                check, found = await _source(client, source)
                checks.append(check)
                looked_at = looked_at or found
            if looked_at is not None:
                checks += [check async for check in _look(client, *looked_at)]
            checks += _writing(client)
            checks += [Check(name="lacks", outcome="warning", detail=f"this server {lack}") for lack in client.lacks]
    except MirrorError as error:
        checks.append(failed("server", error))
    return checks


async def _greet(client: Client, host: str) -> list[Check]:
    """Who the key is, the clock, and what the server knows."""
    started = time.monotonic()
    try:
        viewer = await client.viewer()
        teams = f", teams {', '.join(viewer.teams)}" if viewer.teams else ""
        known = f"{host} knows {viewer.username}{teams}"
    except NotOffered:
        await client.check()
        known = f"{host} answers; it does not tell whose key it is"
    waited_ms = (time.monotonic() - started) * 1000
    checks = [Check(name="server", outcome="ok", detail=f"{known} ({waited_ms:.0f} ms)"), _clock(client.server_time)]
    await client.learn(utc_now())
    facts = client.facts
    how = "it describes itself" if facts.introspected else "it does not describe itself; learnt from its refusals"
    checks.append(Check(name="schema", outcome="ok", detail=f"{facts.version or 'no version told'}; {how}"))
    features = ", ".join(facts.features) or "none told (an old server)"
    checks.append(Check(name="features", outcome="ok", detail=features))
    return checks


def _clock(server_time: dt.datetime | None) -> Check:
    if server_time is None:
        return Check(name="clock", outcome="skipped", detail="the server does not tell its time")
    ahead = (utc_now() - server_time).total_seconds()
    if abs(ahead) <= CLOCK_TOLERANCE_S:
        return Check(name="clock", outcome="ok", detail="agrees with the server")
    side = "ahead of" if ahead > 0 else "behind"
    hint = "pulls use the server's clock; correct this machine's for everything else"
    return Check(name="clock", outcome="warning", detail=f"{abs(ahead):.0f} s {side} the server", hint=hint)


async def _source(client: Client, source: SourceSettings) -> tuple[Check, tuple[str, str] | None]:
    """Whether a source can be read, and a project of it to look at."""
    entity, project, path = source.entity, source.project, source.path
    try:
        if any(mark in project for mark in "*?["):
            count, first = 0, None
            async for page in client.projects(entity):
                count += len(page)
                first = first or next((record.project for record in page if record.run_count != 0), None)
            if count == 0:
                raise NotFound(
                    f"no project of {entity} can be read", hint="check the entity's name and whose key it is"
                )
            detail = f"{path}: {entity} has {plural(count, 'project')}"
            return Check(name="source", outcome="ok", detail=detail), (entity, first) if first is not None else None
        found = await client.project(entity, project)
        if found is None:
            raise NotFound(f"{path} does not exist, or this key may not read it", hint="check the spelling")
    except MirrorError as error:
        return failed("source", error), None
    count_text = "runs" if found.run_count is None else plural(found.run_count, "run")
    return Check(name="source", outcome="ok", detail=f"{path}: {count_text}"), (entity, project)


async def _look(client: Client, entity: str, project: str) -> AsyncIterator[Check]:
    """What each document of a pull brings, for the newest run of a project."""
    page: RunsPage | None = None

    async def listing() -> str:
        nonlocal page
        page = await client.runs_page(
            entity, project, order="-created_at", first=1, with_counts=True, with_sweeps=True, with_contents=True
        )
        if page is None:
            raise NotFound(f"{entity}/{project} is not there any more")
        sweeps = plural(len(page.sweeps.sweeps), "sweep") if page.sweeps is not None else "no sweeps"
        return f"{plural(len(page.runs), 'run')} of {page.total if page.total is not None else 'some'}, {sweeps}"

    yield await _tried("listing", listing)
    run = page.runs[0] if page is not None and page.runs else None
    if page is None or run is None:
        yield Check(name="contents", outcome="skipped", detail=f"{entity}/{project} shows no run to look at")
        return
    for name, reason in run.flaws.items():
        yield Check(name="listing", outcome="failed", detail=f"{run.path}: {name}: {reason}", exit_code=7)
    contents = page.contents.get(run.run_id)
    if not isinstance(contents, ListedContents):
        reason = contents.reason if isinstance(contents, BadRun) else "nothing came"
        yield Check(name="contents", outcome="failed", detail=f"{run.path}: {reason}", exit_code=7)
        return
    yield _contents(run, contents)
    for part, reason in contents.failed.items():
        yield Check(name="contents", outcome="failed", detail=f"{run.path}: {part}: {reason}", exit_code=7)
    yield await _tried("addresses", lambda: _renewed(client, run))
    yield await _tried("streams", lambda: _streams(client, run, contents))
    yield await _tried("bytes", lambda: _bytes(client, contents))
    yield await _tried("artifacts", lambda: _artifacts(client, contents))
    yield await _tried("run by name", lambda: _by_name(client, run))


def _contents(run: RunRecord, contents: ListedContents) -> Check:
    parts = [
        plural(len(contents.files), "file"),
        plural(len(contents.export_urls), "export"),
        f"{plural(len(contents.live_steps), 'row')} not exported",
        f"{plural(len(contents.logged.artifacts), 'artifact')} logged",
        f"{len(contents.used.artifacts)} used",
    ]
    return Check(name="contents", outcome="ok", detail=f"{run.path}: {', '.join(parts)}")


async def _tried(name: str, action: Callable[[], Awaitable[str]]) -> Check:
    """One question; its error is its finding."""
    try:
        return Check(name=name, outcome="ok", detail=await action())
    except NotOffered as error:
        return Check(name=name, outcome="warning", detail=error.message, hint=error.hint)
    except MirrorError as error:
        return failed(name, error)


async def _renewed(client: Client, run: RunRecord) -> str:
    found = (await client.run_contents(run.entity, run.project, [run.run_id]))[run.run_id]
    if isinstance(found, ListedContents):
        return f"signed again: {plural(len(found.files), 'file')}, {plural(len(found.export_urls), 'export')}"
    raise NotFound(found.reason if found is not None else f"{run.path} is not there any more")


async def _streams(client: Client, run: RunRecord, contents: ListedContents) -> str:
    ask = StreamAsk(
        run_id=run.run_id,
        events_samples=max(1, contents.events_line_count or 1),
        with_log=True,
        history_from=0,
        history_to=STEPS_LOOKED_AT,
    )
    found = (await client.run_streams(run.entity, run.project, [ask]))[run.run_id]
    if not isinstance(found, RunStreams):
        raise NotFound(found.reason if found is not None else f"{run.path} is not there any more")
    if found.failed:
        raise NotFound("; ".join(f"{stream}: {reason}" for stream, reason in found.failed.items()))
    lines = len(found.log.lines) if found.log is not None else 0
    return (
        f"{plural(len(found.history or ()), 'row')} of history by step, {plural(lines, 'console line')},"
        f" {plural(len(found.events or ()), 'row')} of system metrics"
    )


async def _bytes(client: Client, contents: ListedContents) -> str:
    """The beginning of one file and of one export, from wherever they lie."""
    urls = [file.url for file in contents.files if file.url.is_fetchable and file.size][:1]
    urls += contents.export_urls[:1]
    count = 0
    for url in urls:
        taken = 0
        async with client.download(url) as body:
            async for chunk in body:
                taken += len(chunk)
                if taken >= BYTES_LOOKED_AT:
                    break
        count += taken
    return f"{size(count)} of {plural(len(urls), 'file or export', 'files and exports')}"


async def _artifacts(client: Client, contents: ListedContents) -> str:
    refs = [*contents.logged.artifacts, *contents.used.artifacts][:1]
    if not refs:
        return "this run has none"
    (record,) = (await client.artifacts([refs[0].artifact_id])).values()
    if record is None or not hasattr(record, "state"):
        raise NotFound(f"{refs[0].name}: {record.reason if record is not None else 'it is not there any more'}")
    manifest = await client.artifact_manifest(refs[0].artifact_id)
    return f"{refs[0].name} with its manifest ({size(manifest.size or 0)})"


async def _by_name(client: Client, run: RunRecord) -> str:
    """What a replay asks before and after each change."""
    found = await client.run(run.entity, run.project, run.run_id)
    if not isinstance(found, RunRecord):
        raise NotFound(found.reason if found is not None else f"{run.path} is not there any more")
    return f"{run.path} is {found.state}"


def _writing(client: Client) -> list[Check]:
    """Which changes this server takes; nothing is sent."""
    ways = {
        "edits": "upsertBucket",
        "states": "updateRunState",
        "stops": "stopRun",
        "deletions": "deleteRun",
        "uploads": "createRunFiles",
        "deletions of files": "deleteFiles",
        "artifacts logged": "createArtifact",
        "artifacts used": "useArtifact",
    }
    taken = [what for what, mutation in ways.items() if client.knows(f"Mutation.{mutation}")]
    if not taken:
        return [Check(name="writing", outcome="warning", detail="this server takes no change that the mirror queues")]
    return [Check(name="writing", outcome="ok", detail=f"it takes {', '.join(taken)}")]
