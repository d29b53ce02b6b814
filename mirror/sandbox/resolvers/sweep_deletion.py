"""Deleting a sweep, with or without its runs."""

from __future__ import annotations

from typing import Any

from mirror.sandbox.schema.context import Context, mutation
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.resolvers import Resolvers


def _delete_sweep(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    state = ctx.state
    sweep = state.sweeps_by_id.get(given["id"])
    if sweep is None:
        raise RequestRefused("sweep not found", status=404)
    project = sweep.project
    if not ctx.may_write(project.entity):
        raise RequestRefused("permission denied", status=403)
    runs = [run for run in project.runs.values() if run.sweep_name == sweep.name]
    agents = [key for key, agent in state.agents.items() if agent.sweep is sweep]
    if given["deleteRuns"]:
        for run in runs:
            state.delete_run(project.entity, project.name, run.name)
    for key in agents:
        del state.agents[key]
    del project.sweeps[sweep.name]
    del state.sweeps_by_id[sweep.id]
    return {
        "affectedRuns": len(runs),
        "affectedAgents": len(agents),
        "clientMutationId": given.get("clientMutationId"),
    }


RESOLVERS: Resolvers = {"Mutation.deleteSweep": mutation(_delete_sweep)}
