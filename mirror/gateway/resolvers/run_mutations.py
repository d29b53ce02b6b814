"""Changes of runs: each becomes the operation in the outbox that `mirror.Run` queues for the same wish."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mirror.gateway.context import RequestContext
from mirror.gateway.listings import listing_of
from mirror.gateway.mutations import changed_run, check_count, mutation, run_node, runs_at, runs_named
from mirror.gateway.resolvers.projects import owner_of, project_node
from mirror.gateway.run_changes import editable, queue_wish, wish_of
from mirror.gateway.runs import RunBatch, RunNode
from mirror.gateway.training import is_training
from mirror.records.addresses import RunPath
from mirror.records.operations import Create
from mirror.texts.naming import run_id_fault
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.resolvers import Resolvers

_CREATED = ("running", "pending")


def _upsert_bucket(ctx: RequestContext, given: dict[str, Any]) -> dict[str, Any]:
    """Change a run by its opaque id, or make or change one by its path."""
    (known,) = runs_named(ctx, [given["id"]]) if given.get("id") else (None,)
    path = _named_path(ctx, given) if known is None else known.path
    # A process tells of the SDK in its config; of a run whose process has ended, a client sends that back.
    if is_training(given) or ('"_wandb":' in (given.get("config") or "") and ctx.trainings.recording(path)):
        return _train(ctx, path, given)
    wish = wish_of(given)
    inserted = False
    if known is not None:
        node = known
    else:
        found = run_node(ctx, path)
        if found is None:
            inserted = True
            found = _create(ctx, path, given.get("state"))
        node = found
    if not inserted and given.get("state") not in (None, node.light.state):
        raise RequestRefused("upsertBucket sets no state of a run that is there: updateRunState does", status=400)
    queue_wish(ctx.mirror, ctx.seen, node, wish)
    ctx.renew()
    return {"bucket": changed_run(ctx, path), "inserted": inserted}


def _train(ctx: RequestContext, path: RunPath, given: dict[str, Any]) -> dict[str, Any]:
    """Begin a run whose process trains, or change what it says of itself."""
    before = run_node(ctx, path)

    def is_shown() -> bool:
        ctx.renew()
        return run_node(ctx, path) is not None

    ctx.trainings.record(path, given, 0 if before is None else before.held.history_line_count or 0, is_shown)
    ctx.renew()
    return {"bucket": changed_run(ctx, path), "inserted": before is None}


def _named_path(ctx: RequestContext, given: dict[str, Any]) -> RunPath:
    owner = owner_of(ctx, given.get("entityName")) or ctx.mirror.sole_entity
    if not owner:
        raise RequestRefused("the run names no entity: set WANDB_ENTITY, or give wandb.init() one", status=400)
    if not given.get("name"):
        raise RequestRefused("a run is named by its id, or by entity, project and name", status=400)
    return RunPath(owner, given.get("modelName") or "uncategorized", given["name"])


def _create(ctx: RequestContext, path: RunPath, state: str | None) -> RunNode:
    if state not in (None, *_CREATED):
        raise RequestRefused(f"a run is created running or pending, not {state!r}", status=400)
    if (fault := run_id_fault(path.run_id)) is not None:
        raise RequestRefused(fault, status=400)
    ctx.mirror.enqueue(path, None, Create(state="pending" if state == "pending" else "running"))
    ctx.renew()
    return changed_run(ctx, path)


def _update_run_state(ctx: RequestContext, given: dict[str, Any]) -> dict[str, Any]:
    (node,) = runs_named(ctx, [given["id"]])
    return {"success": editable(ctx.mirror, node).update_state(given["state"])}


def _stop_run(ctx: RequestContext, given: dict[str, Any]) -> dict[str, Any]:
    (node,) = runs_named(ctx, [given["id"]])
    editable(ctx.mirror, node).stop()
    return {"success": True}


def _delete_run(ctx: RequestContext, given: dict[str, Any]) -> dict[str, Any]:
    _delete(ctx, runs_named(ctx, [given["id"]]), delete_artifacts=bool(given.get("deleteArtifacts")))
    return {}


def _delete_runs(ctx: RequestContext, given: dict[str, Any]) -> dict[str, Any]:
    nodes = _filtered(ctx, given["entityName"], given["projectName"], given["filters"])
    _delete(ctx, nodes, delete_artifacts=bool(given.get("deleteArtifacts")))
    return {"errors": None}


def _delete(ctx: RequestContext, nodes: Sequence[RunNode], *, delete_artifacts: bool) -> None:
    for node in nodes:
        if not node.held.gone:  # W&B's answer for one that is deleted already is no error
            editable(ctx.mirror, node).delete(delete_artifacts=delete_artifacts)


def _modify_runs(ctx: RequestContext, given: dict[str, Any]) -> dict[str, Any]:
    nodes: Sequence[RunNode]
    if given.get("ids") is not None:
        nodes = runs_named(ctx, [storage_id for storage_id in given["ids"] if storage_id is not None])
    else:
        nodes = _filtered(ctx, given.get("entityName"), given.get("projectName"), given.get("filters"))
    added = [tag for tag in given.get("addTags") or () if tag is not None]
    removed = set(given.get("removeTags") or ())
    for node in nodes:
        tags = [tag for tag in dict.fromkeys([*node.light.tags, *added]) if tag not in removed]
        run = editable(ctx.mirror, node)
        run.tags = tags
        edit = run._edit(fields=True)
        if not edit.is_empty:
            run._queue(edit)
    ctx.renew()
    return {"runs": runs_at(ctx, [node.path for node in nodes])}


def _filtered(ctx: RequestContext, entity: str | None, name: str | None, filters: str | None) -> Sequence[RunNode]:
    project = project_node(ctx, entity, name)
    run_ids = listing_of(ctx, project.path, filters, None).run_ids
    check_count(len(run_ids))
    return RunBatch(ctx, project.path, run_ids).nodes


RESOLVERS: Resolvers = {
    "Mutation.upsertBucket": mutation(_upsert_bucket),
    "Mutation.updateRunState": mutation(_update_run_state),
    "Mutation.stopRun": mutation(_stop_run),
    "Mutation.deleteRun": mutation(_delete_run),
    "Mutation.deleteRuns": mutation(_delete_runs),
    "Mutation.modifyRuns": mutation(_modify_runs),
}
