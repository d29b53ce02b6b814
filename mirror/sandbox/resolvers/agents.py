"""Agents of sweeps: they ask with a heartbeat, and get runs to do."""

from __future__ import annotations

import secrets
from typing import Any

from mirror.sandbox.schema.context import Context, context, mutation
from mirror.sandbox.state.mongo import field_getter
from mirror.sandbox.state.records import ENDED_STATES, AgentRecord, RunRecord, SweepRecord
from mirror.sandbox.state.sweep_plan import arguments, next_parameters, parse_config
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.filters import ordered
from mirror.wandb_protocol.paging import page
from mirror.wandb_protocol.resolvers import Info, Resolvers, attribute
from mirror.wandb_protocol.wire import parse_object, spell, typed_id

_OPEN = frozenset({"PENDING", "RUNNING"})
_ENDED = frozenset({"FINISHED", "CANCELED", "STOPPED"})


def _create(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    """A first agent sets a sweep running."""
    project = ctx.writable_project(given.get("entityName"), given.get("projectName") or "uncategorized")
    sweep = project.sweeps.get(given["sweep"])
    if sweep is None:
        raise RequestRefused("sweep not found", status=404)
    number, now = ctx.state.number(), ctx.state.now_text()
    agent = AgentRecord(
        id=typed_id("Agent", number),
        name=f"agent{number}",
        host=given["host"],
        sweep=sweep,
        created_at=now,
        heartbeat_at=now,
    )
    ctx.state.agents[agent.id] = agent
    if sweep.state == "PENDING":
        sweep.state = "RUNNING"
    return {"agent": agent}


def _heartbeat(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    """What the agent shall do next: `run`, `stop` of runs that it has, or `exit`; nothing while it is busy."""
    agent = ctx.state.agents.get(given["id"])
    if agent is None:
        raise RequestRefused("agent not found", status=404)
    if not ctx.may_write(agent.sweep.project.entity):
        raise RequestRefused("permission denied", status=403)
    agent.heartbeat_at = ctx.state.now_text()
    running = [name for name, is_running in parse_object(given.get("runState")).items() if is_running]
    return {"agent": agent, "commands": spell(_commands(ctx, agent, running))}


def _commands(ctx: Context, agent: AgentRecord, running: list[str]) -> list[dict[str, Any]]:
    sweep = agent.sweep
    stopped = [run for name in running if (run := sweep.project.runs.get(name)) is not None and _shall_stop(run, sweep)]
    commands = [{"type": "stop", "run_id": run.name} for run in stopped]
    if running:
        return commands
    if sweep.state in _ENDED:
        return [{"type": "exit"}]
    if sweep.state not in _OPEN:
        return []
    run = _next_run(ctx, agent)
    if run is None:
        _finish(ctx, sweep)
        return [{"type": "exit"}]
    config = parse_config(sweep.config_text)
    return [
        {
            "type": "run",
            "run_id": run.name,
            "run_storage_id": run.id,
            "program": config.get("program"),
            "args": {name: item for name, item in run.config.items() if name != "_wandb"},
            "logs": [],
        }
    ]


def _shall_stop(run: RunRecord, sweep: SweepRecord) -> bool:
    return run.stop_requested or sweep.state == "CANCELED"


def _next_run(ctx: Context, agent: AgentRecord) -> RunRecord | None:
    """The oldest run that waits in the queue, or a new one with the next parameters."""
    sweep = agent.sweep
    if sweep.queued:
        run = sweep.queued.pop(0)
    else:
        config = parse_config(sweep.config_text)
        parameters = next_parameters(config, sweep.handed_out, ctx.state.shuffle)
        if parameters is None:
            return None
        run = ctx.state.new_run(sweep.project, secrets.token_hex(4), user=ctx.user)
        run.config_text, run.sweep_name = spell(arguments(parameters)), sweep.name
        sweep.handed_out += 1
    run.state = "running"
    run.agent_id = agent.id
    agent.runs.append(run)
    ctx.state.changed(run)
    return run


def _finish(ctx: Context, sweep: SweepRecord) -> None:
    """A sweep with nothing left to do is finished when its last run is."""
    runs = [run for run in sweep.project.runs.values() if run.sweep_name == sweep.name]
    if all(run.state in ENDED_STATES for run in runs):
        sweep.state, sweep.updated_at = "FINISHED", ctx.state.now_text()


def _agents(sweep: SweepRecord, info: Info) -> dict[str, Any]:
    found = [agent for agent in context(info).state.agents.values() if agent.sweep is sweep]
    return {"edges": [{"cursor": agent.id, "node": agent} for agent in found]}


def _agent(sweep: SweepRecord, info: Info, agentName: str) -> AgentRecord | None:
    held = context(info).state.agents.values()
    return next((agent for agent in held if agent.sweep is sweep and agentName in (agent.name, agent.id)), None)


def _total(agent: AgentRecord, _info: Info) -> int:
    return len(agent.runs)


def _runs(
    agent: AgentRecord,
    info: Info,
    after: str | None = None,
    before: str | None = None,
    first: int | None = None,
    last: int | None = None,
    order: str | None = None,
) -> Any:
    del before, last
    ctx = context(info)
    ctx.run_names.update(run.name for run in agent.runs)
    return page(ordered(agent.runs, order, field_getter), first, after, ctx.state.limits)


RESOLVERS: Resolvers = {
    "Sweep.agents": _agents,
    "Sweep.agent": _agent,
    "Agent.totalRuns": _total,
    "Agent.createdAt": attribute("created_at"),
    "Agent.heartbeatAt": attribute("heartbeat_at"),
    "Agent.runs": _runs,
    "Mutation.createAgent": mutation(_create),
    "Mutation.agentHeartbeat": mutation(_heartbeat),
}
