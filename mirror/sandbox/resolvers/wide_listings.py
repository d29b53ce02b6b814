"""Listings over more than one project: projects, entities, and what a user has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mirror.sandbox.resolvers.entities import entity_value
from mirror.sandbox.schema.context import Context, context
from mirror.sandbox.state.records import ProjectRecord, UserRecord
from mirror.wandb_protocol.paging import page
from mirror.wandb_protocol.resolvers import Info, Resolvers


def _readable(ctx: Context) -> list[ProjectRecord]:
    return [project for project in ctx.state.projects.values() if ctx.may_read(project)]


def _ordered(projects: Iterable[ProjectRecord], order: str | None) -> list[ProjectRecord]:
    """Newest first unless the order says otherwise; names and times of creation are all that is sorted by."""
    text = order or "-created_at"
    by_name = text.lstrip("+-") == "name"
    return sorted(
        projects,
        key=lambda project: (project.name, project.number) if by_name else (project.created_at, project.number),
        reverse=not text.startswith("+"),
    )


def _projects(
    _root: Any,
    info: Info,
    entityName: str | None = None,
    order: str | None = None,
    after: str | None = None,
    first: int | None = None,
    **_backwards: Any,
) -> Any:
    ctx = context(info)
    projects = [project for project in _readable(ctx) if entityName in (None, project.entity)]
    return page(_ordered(projects, order), first, after, ctx.state.limits)


def _entities(_root: Any, info: Info, after: str | None = None, first: int | None = None, **_rest: Any) -> Any:
    ctx = context(info)
    names = {project.entity for project in _readable(ctx)} | (ctx.user.entities if ctx.user else set())
    return page([entity_value(name) for name in sorted(names)], first, after, ctx.state.limits)


def _user_projects(
    user: UserRecord,
    info: Info,
    order: str | None = None,
    after: str | None = None,
    first: int | None = None,
    **_rest: Any,
) -> Any:
    ctx = context(info)
    projects = [project for project in _readable(ctx) if user.belongs_to(project.entity)]
    return page(_ordered(projects, order), first, after, ctx.state.limits)


def _user_runs(user: UserRecord, info: Info, after: str | None = None, first: int | None = None, **_rest: Any) -> Any:
    ctx = context(info)
    runs = [run for project in _readable(ctx) for run in project.runs.values() if run.user is user]
    runs.sort(key=lambda run: (run.created_at, run.number), reverse=True)
    shown = page(runs, first, after, ctx.state.limits)
    ctx.run_names.update(edge["node"].name for edge in shown["edges"])
    return shown


RESOLVERS: Resolvers = {
    "Query.projects": _projects,
    "Query.entities": _entities,
    "User.projects": _user_projects,
    "User.runs": _user_runs,
}
