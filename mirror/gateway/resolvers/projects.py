"""Projects that are mirrored, and entities as their owners."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mirror.errors import NotMirrored
from mirror.gateway.context import RequestContext, context
from mirror.server_facts import read_viewer
from mirror.store.filters.patterns import search
from mirror.store.read.projects import (
    ProjectRow,
    is_mirrored,
    last_active,
    mirrored_projects,
    number_of_runs,
    read_project,
)
from mirror.texts.typed_paths import in_shell
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.filters import compile_filters, named_fields, ordered
from mirror.wandb_protocol.paging import page
from mirror.wandb_protocol.resolvers import Info, Resolvers, attribute, constant
from mirror.wandb_protocol.wire import typed_id


@dataclass(frozen=True)
class ProjectNode:
    """A project that is mirrored."""

    context: RequestContext
    entity: str
    name: str

    @property
    def path(self) -> tuple[str, str]:
        """Entity and name."""
        return self.entity, self.name

    def check(self) -> None:
        """Refuse a project of which no pull brought anything; versions of artifacts lead to such ones.

        Raises:
            NotMirrored: the server would answer null, or the project.
        """
        known = self.context.recall(("is mirrored", *self.path), lambda lake: is_mirrored(lake, *self.path))
        if not known and self.path not in self.context.waiting:
            source = "/".join(self.path)
            raise NotMirrored(
                f"the project {source} is not in this mirror",
                hint=f"`wandb-mirror pull --source {in_shell(*self.path)}` fetches it",
            )

    @property
    def listed(self) -> ProjectRow | None:
        """As the server listed it; None: only runs or versions of it are known."""
        return self.context.recall(("project", self.path), lambda lake: read_project(lake, *self.path))

    @property
    def last_active(self) -> str | None:
        """The last sign of life of any of its runs; when the server says that a project changed, no pull asks."""
        return self.context.recall("last active", last_active, lambda found: 200 * len(found)).get(self.path)

    @property
    def number(self) -> str | None:
        """As runs of it have it."""
        return self.context.recall(("number", self.path), lambda lake: number_of_runs(lake, *self.path))

    @cached_property
    def row(self) -> ProjectRow:
        """As the server listed it.

        Raises:
            NotMirrored: only its runs are known.
        """
        row = self.listed
        if row is None:
            raise NotMirrored(
                f"the project {self.entity}/{self.name} itself is not in this mirror, only runs of it are",
                hint=f"`wandb-mirror pull --source {in_shell(*self.path)}` fetches it",
            )
        return row


NO_NUMBER = "0"  # of a project that no server has yet, as far as is known here
_FIELDS = named_fields(
    {
        "name": lambda node: node.name,
        "createdAt": lambda node: node.listed and node.listed.created_at,
        "created_at": lambda node: node.listed and node.listed.created_at,
        "updatedAt": lambda node: node.last_active,
        "updated_at": lambda node: node.last_active,
        "lastActive": lambda node: node.last_active,
    }
)


def owner_of(ctx: RequestContext, entity: str | None) -> str | None:
    """An entity; the viewer's, where none is named. None: whose key it is is not known."""
    viewer = read_viewer(ctx.mirror.home)
    return entity or (viewer.entity or viewer.username if viewer is not None else None)


def project_node(ctx: RequestContext, entity: str | None, name: str | None) -> ProjectNode:
    """A project.

    Args:
        ctx: of the request.
        entity: its owner; None: the viewer's entity.
        name: its name.

    Raises:
        RequestRefused: no name is given.
        NotMirrored: nothing of it is here, where the server would answer null or the project.
    """
    owner = owner_of(ctx, entity)
    if not owner or not name:
        raise RequestRefused("a project has an entity and a name")
    node = ProjectNode(ctx, owner, name)
    node.check()
    return node


def _project(_root: Any, info: Info, name: str | None = None, entityName: str | None = None) -> ProjectNode:
    return project_node(context(info), entityName, name)


def _projects_page(
    ctx: RequestContext,
    entity: str | None,
    first: int | None,
    after: str | None,
    filters: str | None = None,
    order: str | None = None,
) -> Any:
    """Projects by name, unless an order says otherwise.

    Raises:
        NotMirrored: none of an entity is here, where the server would list them.
    """
    found = ctx.recall(
        ("projects", entity), lambda lake: mirrored_projects(lake, entity), lambda paths: 200 * len(paths)
    )
    if not found and entity is not None:
        hint = f"`wandb-mirror pull --source {in_shell(entity, '*')}` fetches all of its projects"
        raise NotMirrored(f"no project of {entity} is in this mirror", hint=hint)
    keep = compile_filters(filters, _FIELDS, search)
    nodes = [ProjectNode(ctx, *path) for path in found]
    kept = [node for node in nodes if keep is None or keep(node)]
    return page(ordered(kept, order, _FIELDS), first, after, ctx.limits)


def _models(
    _root: Any, info: Info, entityName: str | None = None, after: str | None = None, first: int | None = None
) -> Any:
    ctx = context(info)
    return _projects_page(ctx, owner_of(ctx, entityName), first, after)


def _projects(
    _root: Any,
    info: Info,
    entityName: str | None = None,
    after: str | None = None,
    first: int | None = None,
    order: str | None = None,
    **_: Any,
) -> Any:
    return _projects_page(context(info), entityName, first, after, order=order)


def _entity(_root: Any, info: Info, name: str | None = None) -> dict[str, Any]:
    wanted = owner_of(context(info), name)
    if not wanted:
        raise RequestRefused("no entity is named, and whom the API key belongs to is not known here")
    return {"name": wanted}


def _entity_id(entity: dict[str, Any], _info: Info) -> str:
    """One of our own: no pull asks for it, and a process that trains wants to have one."""
    return typed_id("Entity", str(entity["name"]))


def _entity_name(entity: dict[str, Any], _info: Info) -> str:
    return str(entity["name"])


def _entity_project(entity: dict[str, Any], info: Info, name: str | None = None) -> ProjectNode:
    return project_node(context(info), entity["name"], name)


def _entity_projects(
    entity: dict[str, Any], info: Info, first: int | None = None, after: str | None = None, filters: str | None = None,
    order: str | None = None,
) -> Any:  # fmt: skip
    return _projects_page(context(info), entity["name"], first, after, filters, order)


def _name(project: ProjectNode, _info: Info) -> str:
    return project.name


def _entity_of(project: ProjectNode, _info: Info) -> dict[str, Any]:
    return {"name": project.entity}


def _entity_name_of(project: ProjectNode, _info: Info) -> str:
    return project.entity


def _id(project: ProjectNode, _info: Info) -> Any:
    """The server's; of a project that was never listed, since versions lead to such ones, in the look that ids have."""
    row = project.listed
    return (row and row.storage_id) or typed_id("Project", project.name, project.entity)


def _internal_id(project: ProjectNode, _info: Info) -> Any:
    """The server's; of a project of which nothing is known no number at all, though the schema wants one."""
    row = project.listed
    return (row and row.internal_id) or project.number or NO_NUMBER


def _created_at(project: ProjectNode, _info: Info) -> Any:
    return project.row.created_at


def _read_only(project: ProjectNode, _info: Info) -> bool:
    return project.context.read_only


RESOLVERS: Resolvers = {
    "Query.project": _project,
    "Query.model": _project,
    "Query.models": _models,
    "Query.projects": _projects,
    "Query.entity": _entity,
    "Entity.id": _entity_id,
    "Entity.name": _entity_name,
    "Entity.project": _entity_project,
    "Entity.projects": _entity_projects,
    "Project.id": _id,
    "Project.internalId": _internal_id,
    "Project.name": _name,
    "Project.entityName": _entity_name_of,
    "Project.entity": _entity_of,
    "Project.createdAt": _created_at,
    "Project.lastActive": attribute("last_active"),
    "Project.readOnly": _read_only,
    # The SDK asks for these of every project: no pull does, and null says so.
    "Project.user": constant(None),
    "Project.isBenchmark": constant(False),
}
