"""Projects and the run listings in them."""

from __future__ import annotations

from typing import Any

from mirror.sandbox.resolvers.entities import entity_value
from mirror.sandbox.schema.context import context
from mirror.sandbox.state.records import ProjectRecord, RunRecord
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.paging import Window, page
from mirror.wandb_protocol.resolvers import Info, Resolvers, attribute, constant


def _project(_root: Any, info: Info, name: str | None = None, entityName: str | None = None) -> ProjectRecord | None:
    return context(info).readable_project(entityName, name)


def _models(
    _root: Any, info: Info, entityName: str | None = None, after: str | None = None, first: int | None = None
) -> Any:
    ctx = context(info)
    owner = entityName or (ctx.user.entity if ctx.user else None)
    found = [p for (entity, _), p in ctx.state.projects.items() if entity == owner and ctx.may_read(p)]
    return page(found, first, after, ctx.state.limits)


def _run_count(project: ProjectRecord, info: Info, filters: str | None = None) -> int:
    return len(context(info).state.listings.get(project, filters, "+created_at").runs)


def _runs(
    project: ProjectRecord,
    info: Info,
    filters: str | None = None,
    order: str | None = None,
    names: list[str | None] | None = None,
    after: str | None = None,
    first: int | None = None,
    before: str | None = None,
    last: int | None = None,
    **_table: Any,  # groups and fields, which shape the web pages' tables: every field is there anyway
) -> dict[str, Any]:
    ctx = context(info)
    listing = ctx.state.listings.get(project, filters, order or "+created_at")
    if names is not None:
        listing = listing.only({name for name in names if name is not None})
    window = Window(first=first, after=after, last=last, before=before)
    shown, runs = ctx.state.listings.page(listing, window, ctx.state.limits)
    ctx.run_names.update(run.name for run in runs)
    return shown


def _run(project: ProjectRecord, info: Info, name: str, desc: str | None = None) -> RunRecord | None:
    del desc
    run = project.runs.get(name)
    if run is not None:
        context(info).run_names.add(name)
    return run


def _bucket(project: ProjectRecord, info: Info, name: str, missingOk: bool = False) -> RunRecord | None:
    run = _run(project, info, name)
    if run is None and not missingOk:
        raise RequestRefused("run not found", status=404)
    return run


def _access(project: ProjectRecord, _info: Info) -> str:
    return project.access or ("PRIVATE" if project.private else "USER_READ")


def _read_only(project: ProjectRecord, info: Info) -> bool:
    return not context(info).may_write(project.entity)


def _entity(project: ProjectRecord, _info: Info) -> dict[str, Any]:
    return entity_value(project.entity)


def _internal_id(project: ProjectRecord, _info: Info) -> str:
    return str(project.number)


RESOLVERS: Resolvers = {
    "Query.project": _project,
    "Query.model": _project,
    "Query.models": _models,
    "Project.id": attribute("id"),
    "Project.internalId": _internal_id,
    "Project.name": attribute("name"),
    "Project.entityName": attribute("entity"),
    "Project.entity": _entity,
    "Project.description": attribute("description"),
    "Project.access": _access,
    "Project.views": constant(None),
    "Project.createdAt": attribute("created_at"),
    "Project.isBenchmark": constant(False),
    "Project.readOnly": _read_only,
    "Project.user": attribute("user"),
    "Project.runCount": _run_count,
    "Project.runs": _runs,
    "Project.run": _run,
    "Project.bucket": _bucket,
}
