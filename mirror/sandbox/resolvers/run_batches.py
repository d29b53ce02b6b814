"""Mutations over many runs at once: tags, the trash and the way out of it."""

from __future__ import annotations

from typing import Any

from mirror.sandbox.schema.context import Context, mutation
from mirror.sandbox.state.mongo import field_getter
from mirror.sandbox.state.records import ProjectRecord, RunRecord
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.filters import compile_filters
from mirror.wandb_protocol.resolvers import Resolvers


def _project(ctx: Context, given: dict[str, Any]) -> ProjectRecord:
    project = ctx.readable_project(given.get("entityName"), given.get("projectName"))
    if project is None:
        raise RequestRefused("project not found", status=404)
    if not ctx.may_write(project.entity):
        raise RequestRefused("permission denied", status=403)
    return project


def _by_filters(runs: list[RunRecord], filters: str | None) -> list[RunRecord]:
    keep = compile_filters(filters, field_getter)
    return [run for run in runs if keep is None or keep(run)]


def _delete_runs(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    project = _project(ctx, given)
    for run in _by_filters(list(project.runs.values()), given["filters"]):
        ctx.state.delete_run(project.entity, project.name, run.name)
        if given.get("deleteArtifacts"):
            for artifact in run.logged:
                artifact.state = "DELETED"
    return {"errors": None, "clientMutationId": given.get("clientMutationId")}


def _undelete_runs(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    project = _project(ctx, given)
    trashed = [run for run in ctx.state.trashed_runs() if run.project is project]
    for run in _by_filters(trashed, given["filters"]):
        ctx.state.undelete_run(run)
    return {"clientMutationId": given.get("clientMutationId")}


def _modify_runs(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    if given.get("ids") is not None:
        runs = [ctx.writable_run(storage_id) for storage_id in given["ids"] if storage_id is not None]
    else:
        runs = _by_filters(list(_project(ctx, given).runs.values()), given.get("filters"))
    added = [tag for tag in given.get("addTags") or [] if tag is not None]
    removed = set(given.get("removeTags") or [])
    for run in runs:
        run.tags = [tag for tag in dict.fromkeys([*run.tags, *added]) if tag not in removed]
        ctx.state.changed(run)
        ctx.run_names.add(run.name)
    return {"runs": runs, "clientMutationId": given.get("clientMutationId")}


RESOLVERS: Resolvers = {
    "Mutation.deleteRuns": mutation(_delete_runs),
    "Mutation.undeleteRuns": mutation(_undelete_runs),
    "Mutation.modifyRuns": mutation(_modify_runs),
}
