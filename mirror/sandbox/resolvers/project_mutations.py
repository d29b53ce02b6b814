"""Writing projects, registries among them: made, edited, renamed, deleted."""

from __future__ import annotations

from typing import Any

from mirror.sandbox.schema.context import Context, mutation
from mirror.sandbox.state.records import ProjectRecord
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.resolvers import Resolvers

REGISTRY_PREFIX = "wandb-registry-"
"""How W&B knows a registry: a project of an organization's entity whose name begins so."""


def _upsert(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    """Change the project of that name, or make it."""
    if not given.get("name"):
        raise RequestRefused("upsertModel needs a name")
    owner = given.get("entityName") or (ctx.user.entity if ctx.user else "")
    inserted = ctx.state.find_project(owner, given["name"]) is None
    project = ctx.writable_project(owner, given["name"])
    if given.get("description") is not None:
        project.description = given["description"]
    if given.get("access") is not None:
        project.access = given["access"]
        project.private = given["access"] in ("PRIVATE", "RESTRICTED")
    if project.name.startswith(REGISTRY_PREFIX):
        _upsert_registry(ctx, project, given, inserted=inserted)
    return {"project": project, "model": project, "inserted": inserted}


def _upsert_registry(ctx: Context, project: ProjectRecord, given: dict[str, Any], *, inserted: bool) -> None:
    names = [kind["name"] for kind in given.get("artifactTypes") or []]
    for name in names:
        project.artifact_types.setdefault(name, ctx.state.now_text())
    allow_all = given.get("allowAllArtifactTypesInRegistry")
    if allow_all:
        project.allowed_types = None
    elif allow_all is not None or project.allowed_types is not None:
        project.allowed_types = {*(project.allowed_types or ()), *project.artifact_types}
    if inserted and ctx.user is not None:
        project.members[ctx.user.username] = "admin"


def _rename(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    owner, old, new = given["entityName"], given["oldProjectName"], given["newProjectName"]
    project = ctx.state.find_project(owner, old)
    if project is None:
        raise RequestRefused("project not found", status=404)
    if not ctx.may_write(owner):
        raise RequestRefused("permission denied", status=403)
    if ctx.state.find_project(owner, new) is not None:
        raise RequestRefused("resource already exists", status=409)
    del ctx.state.projects[owner, old]
    project.name = new
    ctx.state.projects[owner, new] = project
    return {"project": project, "inserted": False}


def _delete(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    project = next((held for held in ctx.state.projects.values() if held.id == given["id"]), None)
    if project is None:
        raise RequestRefused("project not found", status=404)
    if not ctx.may_write(project.entity):
        raise RequestRefused("permission denied", status=403)
    for run in list(project.runs):
        ctx.state.delete_run(project.entity, project.name, run)
    for collection in list(project.collections.values()):
        ctx.state.delete_collection(collection)
    del ctx.state.projects[project.entity, project.name]
    return {"success": True}


RESOLVERS: Resolvers = {
    "Mutation.upsertModel": mutation(_upsert),
    "Mutation.renameProject": mutation(_rename),
    "Mutation.deleteModel": mutation(_delete),
}
