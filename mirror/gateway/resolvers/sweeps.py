"""Sweeps of a project, and their runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from mirror.errors import NotMirrored
from mirror.gateway.resolvers.projects import ProjectNode
from mirror.gateway.resolvers.run_listings import runs_of, runs_page
from mirror.gateway.runs import RunNode
from mirror.run.sdk.absent import SweepNotMirrored
from mirror.run.sweeps import Sweeps
from mirror.store.filters.patterns import search
from mirror.store.read.sweeps import SweepRow, list_sweep_ids, read_sweeps
from mirror.texts.typed_paths import in_shell
from mirror.wandb_protocol.filters import compile_filters, named_fields
from mirror.wandb_protocol.paging import Window, page
from mirror.wandb_protocol.resolvers import Info, Resolver, Resolvers

_FIELDS = named_fields(
    {
        "name": lambda node: node.row.sweep_id,
        "id": lambda node: node.row.storage_id,
        "displayName": lambda node: node.row.display_name,
        "display_name": lambda node: node.row.display_name,
        "state": lambda node: node.row.state,
        "method": lambda node: node.row.method,
        "description": lambda node: node.row.description,
        "createdAt": lambda node: node.row.created_at,
        "created_at": lambda node: node.row.created_at,
        "updatedAt": lambda node: node.row.updated_at,
        "updated_at": lambda node: node.row.updated_at,
    }
)


@dataclass(frozen=True)
class SweepNode:
    """One sweep."""

    project: ProjectNode
    row: SweepRow


def _nodes(project: ProjectNode) -> list[SweepNode]:
    """The listed sweeps of a project, oldest first.

    Raises:
        NotMirrored: there may be some, and none was fetched.
    """
    ctx = project.context

    def read(lake: Any) -> list[SweepRow]:
        ids = list_sweep_ids(lake, *project.path)
        rows = read_sweeps(lake, *project.path, ids)
        return [rows[sweep_id] for sweep_id in ids if sweep_id in rows]

    found = ctx.recall(("sweeps", project.path), read, lambda rows: 100 + sum(1000 + len(r.config or "") for r in rows))
    if not found:
        len(Sweeps(ctx.mirror, *project.path))  # tells why, where none were fetched
    return [SweepNode(project, row) for row in found]


def _sweeps(
    project: ProjectNode, _info: Info, filters: str | None = None, after: str | None = None, first: int | None = None
) -> Any:
    keep = compile_filters(filters, _FIELDS, search)
    kept = [node for node in _nodes(project) if keep is None or keep(node)]
    return page(kept, first, after, project.context.limits)


def _total(project: ProjectNode, _info: Info) -> int:
    return len(_nodes(project))


def _sweep(project: ProjectNode, _info: Info, sweepName: str) -> SweepNode:
    ctx = project.context
    rows = ctx.recall(("sweep", project.path, sweepName), lambda lake: read_sweeps(lake, *project.path, [sweepName]))
    if sweepName not in rows:
        source = "/".join(project.path)
        raise SweepNotMirrored(
            f"the sweep {source}/{sweepName} is not in this mirror",
            hint=f"`wandb-mirror pull --source {in_shell(*project.path)}` fetches its sweeps",
        )
    return SweepNode(project, rows[sweepName])


def _of_run(run: RunNode, info: Info) -> SweepNode | None:
    name = run.light.sweep
    return None if name is None else _sweep(ProjectNode(run.batch.context, *run.batch.project), info, name)


def _runs(sweep: SweepNode, info: Info, after: str | None = None, first: int | None = None) -> Any:
    listing = runs_of(sweep.project, json.dumps({"sweep": sweep.row.sweep_id}), None)
    return runs_page(sweep.project, info, listing, Window(first=first, after=after))


def _field(name: str) -> Resolver:
    def read(sweep: SweepNode, _info: Info) -> Any:
        return getattr(sweep.row, name)

    return read


def _run_count(sweep: SweepNode, _info: Info) -> int:
    if sweep.row.run_count is None:
        raise NotMirrored(f"how many runs the sweep {sweep.row.sweep_id} has is not known here")
    return sweep.row.run_count


def _text(name: str) -> Resolver:
    """A field that the schema wants to be a text, and that may be unknown here."""

    def read(sweep: SweepNode, _info: Info) -> str:
        return getattr(sweep.row, name) or ""

    return read


RESOLVERS: Resolvers = {
    "Project.sweeps": _sweeps,
    "Project.sweep": _sweep,
    "Project.totalSweeps": _total,
    "Run.sweep": _of_run,
    "Sweep.id": _field("storage_id"),
    "Sweep.name": _field("sweep_id"),
    "Sweep.displayName": _field("display_name"),
    "Sweep.method": _text("method"),
    "Sweep.state": _text("state"),
    "Sweep.description": _field("description"),
    "Sweep.config": _text("config"),
    "Sweep.bestLoss": _field("best_loss"),
    "Sweep.createdAt": _field("created_at"),
    "Sweep.updatedAt": _field("updated_at"),
    "Sweep.runCount": _run_count,
    "Sweep.runCountExpected": _field("run_count_expected"),
    "Sweep.project": lambda sweep, _info: sweep.project,
    "Sweep.runs": _runs,
}
