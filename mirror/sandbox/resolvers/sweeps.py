"""Sweeps and their agents."""

from __future__ import annotations

import math
from typing import Any

from ..context import Context, Info, Resolvers, attribute, constant, context, mutation
from ..history import lookup
from ..mongo import compile_filters
from ..paging import page
from ..records import ProjectRecord, RunRecord, SweepRecord
from ..wire import SandboxError, spell, typed_id


def _sweeps(
    project: ProjectRecord, info: Info, filters: str | None = None, after: str | None = None, first: int | None = None
) -> Any:
    compile_filters(filters)  # a bad filter is an error; the sandbox lists every sweep otherwise
    return page(list(project.sweeps.values()), first, after, context(info).state.limits)


def _sweep(project: ProjectRecord, _info: Info, sweepName: str) -> SweepRecord | None:
    return project.sweeps.get(sweepName)


def _total(project: ProjectRecord, _info: Info) -> int:
    return len(project.sweeps)


def _runs_of(sweep: SweepRecord) -> list[RunRecord]:
    return [run for run in sweep.project.runs.values() if run.sweep_name == sweep.name]


def _runs(sweep: SweepRecord, info: Info, after: str | None = None, first: int | None = None) -> Any:
    ctx = context(info)
    runs = _runs_of(sweep)
    ctx.run_names.update(run.name for run in runs)
    return page(runs, first, after, ctx.state.limits)


def _run_count(sweep: SweepRecord, _info: Info) -> int:
    return len(_runs_of(sweep))


def _best_loss(sweep: SweepRecord, _info: Info) -> float | None:
    """Smallest finite summary value of `loss`; the sandbox does not read the sweep's YAML."""
    values = [lookup(run.summary, "loss") for run in _runs_of(sweep)]
    losses = [float(v) for v in values if isinstance(v, int | float) and math.isfinite(v)]
    return min(losses, default=None)


def _upsert(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    state = ctx.state
    held = state.sweeps_by_id.get(given.get("id") or "")
    if held is None:
        if given.get("id"):
            raise SandboxError("sweep not found", status=404)
        name = given.get("projectName") or "uncategorized"
        if not state.sweeps_make_projects and ctx.readable_project(given.get("entityName"), name) is None:
            raise SandboxError("project not found", status=404)
        project = ctx.writable_project(given.get("entityName"), name)
        held = state.add_sweep(project.entity, project.name, f"sw{state.number():06d}")
    elif not ctx.may_write(held.project.entity):
        raise SandboxError("permission denied", status=403)
    for field, attribute_name in _EDITABLE.items():
        if given.get(field) is not None:
            setattr(held, attribute_name, given[field])
    held.updated_at = state.now_text()
    return {"sweep": held, "configValidationWarnings": []}


_EDITABLE = {"config": "config_text", "description": "description", "displayName": "display_name", "state": "state"}


def _create_agent(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    project = ctx.writable_project(given.get("entityName"), given.get("projectName") or "uncategorized")
    if given["sweep"] not in project.sweeps:
        raise SandboxError("sweep not found", status=404)
    number = ctx.state.number()
    agent = {
        "id": typed_id("Agent", number),
        "name": f"agent{number}",
        "host": given["host"],
        "state": "RUNNING",
        "totalRuns": 0,
        "createdAt": ctx.state.now_text(),
        "heartbeatAt": ctx.state.now_text(),
        "sweep": project.sweeps[given["sweep"]],
    }
    ctx.state.agents[str(agent["id"])] = agent
    return {"agent": agent}


def _agent_heartbeat(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    agent = ctx.state.agents.get(given["id"])
    if agent is None:
        raise SandboxError("agent not found", status=404)
    agent["heartbeatAt"] = ctx.state.now_text()
    return {"agent": agent, "commands": spell([])}


def _agents(sweep: SweepRecord, info: Info) -> dict[str, Any]:
    found = [agent for agent in context(info).state.agents.values() if agent["sweep"] is sweep]
    return {"edges": [{"cursor": agent["id"], "node": agent} for agent in found]}


def _agent(sweep: SweepRecord, info: Info, agentName: str) -> Any:
    held = context(info).state.agents.values()
    return next(
        (agent for agent in held if agent["sweep"] is sweep and agentName in (agent["name"], agent["id"])), None
    )


def _agent_runs(_agent: Any, info: Info, **_arguments: Any) -> Any:
    return page([], None, None, context(info).state.limits)


def _enqueue(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    sweep = ctx.state.sweeps_by_id.get(given["id"])
    if sweep is None:
        raise SandboxError("sweep not found", status=404)
    project = ctx.writable_project(sweep.project.entity, sweep.project.name)
    run = ctx.state.new_run(project, f"q{ctx.state.number():07d}", user=ctx.user)
    run.state, run.sweep_name = "pending", sweep.name
    run.display_name = given.get("displayName") or run.name
    run.config_text = given["config"]
    return {"id": run.id, "runQueueItemId": typed_id("RunQueueItem", run.number)}


RESOLVERS: Resolvers = {
    "Project.sweeps": _sweeps,
    "Project.sweep": _sweep,
    "Project.totalSweeps": _total,
    "Sweep.id": attribute("id"),
    "Sweep.name": attribute("name"),
    "Sweep.displayName": attribute("display_name"),
    "Sweep.method": attribute("method"),
    "Sweep.state": attribute("state"),
    "Sweep.description": attribute("description"),
    "Sweep.config": attribute("config_text"),
    "Sweep.bestLoss": _best_loss,
    "Sweep.createdAt": attribute("created_at"),
    "Sweep.updatedAt": attribute("updated_at"),
    "Sweep.heartbeatAt": attribute("updated_at"),
    "Sweep.runCount": _run_count,
    "Sweep.runCountExpected": attribute("run_count_expected"),
    "Sweep.earlyStopJobRunning": constant(False),
    "Sweep.controller": constant(None),
    "Sweep.controllerRunName": constant(None),
    "Sweep.scheduler": constant(None),
    "Sweep.project": attribute("project"),
    "Sweep.runs": _runs,
    "Sweep.agents": _agents,
    "Sweep.agent": _agent,
    "Agent.runs": _agent_runs,
    "Mutation.upsertSweep": mutation(_upsert),
    "Mutation.createAgent": mutation(_create_agent),
    "Mutation.agentHeartbeat": mutation(_agent_heartbeat),
    "Mutation.enqueueSweepRun": mutation(_enqueue),
}
