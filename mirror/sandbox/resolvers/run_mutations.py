"""Writing runs (W&B API notes, section 9)."""

from __future__ import annotations

from typing import Any

from mirror.sandbox.schema.context import Context, mutation
from mirror.sandbox.state.records import RunRecord
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.resolvers import Resolvers

_TRANSITIONS = {
    "pending": frozenset({"running", "failed", "crashed", "preempted"}),
    "failed": frozenset({"pending", "running"}),
}

# Input fields of upsertBucket and the record's attribute each one sets. A null or missing field leaves it alone.
_EDITS = {
    "displayName": "display_name",
    "description": "description",
    "notes": "notes",
    "tags": "tags",
    "groupName": "group",
    "jobType": "job_type",
    "config": "config_text",
    "summaryMetrics": "summary_text",
    "sweep": "sweep_name",
    "commit": "commit",
    "host": "host",
    "jobProgram": "program",
    "jobRepo": "github",
    "state": "state",
}

_FIRST = ("azure", "bright", "calm", "dry", "eager", "fine")  # of names that are made up


def _upsert_bucket(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    """Change a run by storage id, or create or change one by its path."""
    inserted = False
    if given.get("id"):
        run = ctx.writable_run(given["id"])
    else:
        project = ctx.writable_project(given.get("entityName"), given.get("modelName") or "uncategorized")
        name = given.get("name") or f"r{ctx.state.number():07d}"
        held = project.runs.get(name)
        inserted = held is None
        run = held or ctx.state.new_run(project, name, user=ctx.user)
        ctx.run_names.add(run.name)
    if inserted:
        run.display_name = f"{_FIRST[len(project.runs) % len(_FIRST)]}-sand-{len(project.runs)}"  # W&B makes one up
    edited = False
    for field, attribute in _EDITS.items():
        if given.get(field) is not None:
            value = given[field]
            setattr(run, attribute, [tag for tag in value if tag is not None] if field == "tags" else value)
            edited = True
    if edited or inserted:
        ctx.state.changed(run)
    return {"bucket": run, "inserted": inserted, "clientMutationId": given.get("clientMutationId")}


def _update_run_state(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    if "UPDATE_RUN_STATE" not in ctx.state.features:
        raise RequestRefused("updateRunState is not available on this server")
    run = ctx.writable_run(given["id"])
    wanted = given["state"]
    if run.sweep_name:
        raise RequestRefused("cannot update the state of a run that belongs to a sweep")
    if run.state not in _TRANSITIONS.get(wanted, frozenset()):
        raise RequestRefused(f"invalid state transition from {run.state} to {wanted}")
    run.state = wanted
    ctx.state.changed(run)
    return {"success": True}


def _stop_run(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    run: RunRecord = ctx.writable_run(given["id"])
    run.stop_requested = True
    ctx.state.changed(run)
    return {"success": True}


def _delete_run(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    trashed = ctx.state.trashed_run(given["id"])
    if trashed is not None and ctx.may_write(trashed.project.entity):
        return {"clientMutationId": given.get("clientMutationId")}  # deleted already: no error
    run = ctx.writable_run(given["id"])
    ctx.state.delete_run(run.project.entity, run.project.name, run.name)
    if given.get("deleteArtifacts"):
        for artifact in run.logged:
            ctx.state.delete_artifact(artifact)
    return {"clientMutationId": given.get("clientMutationId")}


def _alert(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    project = ctx.state.find_project(given["entityName"], given["projectName"])
    if project is None or given["runName"] not in project.runs:
        raise RequestRefused("run not found", status=404)
    told = ("title", "text", "severity", "waitDuration")
    project.runs[given["runName"]].alerts.append({name: given.get(name) for name in told})
    return {"success": True}


def _rewind(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    """Cut a run's history off after a step; the run goes on from there."""
    project = ctx.readable_project(given.get("entityName"), given.get("projectName"))
    held = project.runs.get(given["runName"]) if project is not None else None
    if held is None:
        raise RequestRefused("run not found", status=404)
    if given["metricName"] != "_step":
        raise RequestRefused(f"cannot rewind by {given['metricName']}", status=400)
    run = ctx.writable_run(held.id)
    ctx.state.rewind_run(run, int(given["metricValue"]))
    return {"rewoundRun": run}


RESOLVERS: Resolvers = {
    "Mutation.upsertBucket": mutation(_upsert_bucket),
    "Mutation.updateRunState": mutation(_update_run_state),
    "Mutation.stopRun": mutation(_stop_run),
    "Mutation.deleteRun": mutation(_delete_run),
    "Mutation.rewindRun": mutation(_rewind),
    "Mutation.notifyScriptableRunAlert": mutation(_alert),
}
