"""Sweeps: listed, made and edited."""

from __future__ import annotations

import math
from typing import Any

from mirror.sandbox.histories.rows import lookup
from mirror.sandbox.schema.context import Context, context, mutation
from mirror.sandbox.state.mongo import field_getter
from mirror.sandbox.state.records import ProjectRecord, RunRecord, SweepRecord
from mirror.sandbox.state.sweep_plan import expected_runs, goal, parse_config
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.filters import compile_filters, named_fields
from mirror.wandb_protocol.paging import page
from mirror.wandb_protocol.resolvers import Info, Resolvers, attribute, constant
from mirror.wandb_protocol.wire import typed_id

_FIELDS = named_fields(
    {
        "name": lambda sweep: sweep.name,
        "id": lambda sweep: sweep.id,
        "displayName": lambda sweep: sweep.display_name,
        "display_name": lambda sweep: sweep.display_name,
        "state": lambda sweep: sweep.state,
        "method": lambda sweep: sweep.method,
        "description": lambda sweep: sweep.description,
        "createdAt": lambda sweep: sweep.created_at,
        "created_at": lambda sweep: sweep.created_at,
        "updatedAt": lambda sweep: sweep.updated_at,
        "updated_at": lambda sweep: sweep.updated_at,
        "username": lambda sweep: sweep.user.username if sweep.user else None,
    }
)


def _sweeps(
    project: ProjectRecord, info: Info, filters: str | None = None, after: str | None = None, first: int | None = None
) -> Any:
    keep = compile_filters(filters, _FIELDS)
    kept = [sweep for sweep in project.sweeps.values() if keep is None or keep(sweep)]
    return page(kept, first, after, context(info).state.limits)


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


def _prior_runs(sweep: SweepRecord, info: Info, after: str | None = None, first: int | None = None) -> Any:
    found = [sweep.project.runs[name] for name in sweep.prior_runs if name in sweep.project.runs]
    return page(found, first, after, context(info).state.limits)


def _best_loss(sweep: SweepRecord, _info: Info) -> float | None:
    """The best finite summary value of the sweep's metric."""
    name, best = goal(parse_config(sweep.config_text))
    values = [lookup(run.summary, name) for run in _runs_of(sweep)]
    finite = [float(v) for v in values if isinstance(v, int | float) and math.isfinite(v)]
    found: float | None = best(finite, default=None)
    return found


def _upsert(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    state = ctx.state
    held = state.sweeps_by_id.get(given.get("id") or "")
    if held is None:
        if given.get("id"):
            raise RequestRefused("sweep not found", status=404)
        name = given.get("projectName") or "uncategorized"
        if not state.sweeps_make_projects and ctx.readable_project(given.get("entityName"), name) is None:
            raise RequestRefused("project not found", status=404)
        project = ctx.writable_project(given.get("entityName"), name)
        held = state.add_sweep(project.entity, project.name, f"sw{state.number():06d}", state="PENDING")
        held.user = ctx.user
    elif not ctx.may_write(held.project.entity):
        raise RequestRefused("permission denied", status=403)
    for field, attribute_name in _EDITABLE.items():
        if given.get(field) is not None:
            setattr(held, attribute_name, given[field])
    if given.get("config") is not None:
        config = parse_config(given["config"])
        held.method = str(config.get("method") or held.method)
        held.run_count_expected = expected_runs(config)
    if given.get("priorRunsFilters"):
        keep = compile_filters(given["priorRunsFilters"], field_getter)
        held.prior_runs = [run.name for run in held.project.runs.values() if keep is None or keep(run)]
    held.updated_at = state.now_text()
    return {"sweep": held, "configValidationWarnings": []}


_EDITABLE = {"config": "config_text", "description": "description", "displayName": "display_name", "state": "state"}


def _enqueue(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    sweep = ctx.state.sweeps_by_id.get(given["id"])
    if sweep is None:
        raise RequestRefused("sweep not found", status=404)
    project = ctx.writable_project(sweep.project.entity, sweep.project.name)
    run = ctx.state.new_run(project, f"q{ctx.state.number():07d}", user=ctx.user)
    run.state, run.sweep_name = "pending", sweep.name
    run.display_name = given.get("displayName") or run.name
    run.config_text = given["config"]
    sweep.queued.append(run)
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
    "Sweep.priorRuns": _prior_runs,
    "Sweep.earlyStopJobRunning": constant(False),
    "Sweep.controller": constant(None),
    "Sweep.controllerRunName": constant(None),
    "Sweep.scheduler": constant(None),
    "Sweep.project": attribute("project"),
    "Sweep.runs": _runs,
    "Mutation.upsertSweep": mutation(_upsert),
    "Mutation.enqueueSweepRun": mutation(_enqueue),
}
