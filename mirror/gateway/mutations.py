"""What every change has in common: one input, refused as a whole where none is taken, and an answer that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from mirror.errors import NotMirrored
from mirror.gateway.context import RequestContext, context
from mirror.gateway.runs import RunBatch, RunNode
from mirror.gateway.training import READ_ONLY
from mirror.records.addresses import RunPath
from mirror.store.read.runs import runs_by_storage_id
from mirror.texts.typed_paths import in_shell
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.resolvers import Info, Resolver
from mirror.wandb_protocol.wire import typed_id, typed_parts

QUEUED_RUN = "QueuedRun"
MOST_RUNS = 10_000  # that one change may be of

Change = Callable[[RequestContext, dict[str, Any]], dict[str, Any]]


def mutation(change: Change) -> Resolver:
    """A resolver of a change; what its answer tells is read after it."""

    def resolve(_root: Any, info: Info, input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002 - the schema's name
        ctx = context(info)
        if ctx.read_only:
            raise RequestRefused(READ_ONLY, status=403)
        ctx.renew()  # what an earlier change of the same document did
        return {"clientMutationId": input.get("clientMutationId"), **change(ctx, input)}

    return resolve


def storage_id_of(run: RunNode) -> str:
    """W&B's opaque id; one of our own for a run that the server does not know yet."""
    entity, project, run_id = run.path
    return run.held.storage_id or typed_id(QUEUED_RUN, run_id, project, entity)


def run_node(ctx: RequestContext, path: RunPath) -> RunNode | None:
    """A run, as it is now; None for one that is not here."""
    nodes = RunBatch(ctx, (path.entity, path.project), [path.run_id]).nodes
    return nodes[0] if nodes else None


def changed_run(ctx: RequestContext, path: RunPath) -> RunNode:
    """A run that is here, after a change.

    Raises:
        NotMirrored: it is not here.
    """
    node = run_node(ctx, path)
    if node is None:
        raise NotMirrored(
            f"the run {path} is not in this mirror", hint=f"`wandb-mirror pull {in_shell(*path)}` fetches it"
        )
    return node


def runs_named(ctx: RequestContext, storage_ids: list[str]) -> list[RunNode]:
    """The runs that opaque ids name.

    Raises:
        NotMirrored: one is not here.
        RequestRefused: they are too many.
    """
    check_count(len(storage_ids))
    held = runs_by_storage_id(ctx.lake, storage_ids)
    paths = [held.get(storage_id) or _queued_path(storage_id) for storage_id in dict.fromkeys(storage_ids)]
    nodes = runs_at(ctx, [path for path in paths if path is not None])
    if len(nodes) < len(paths):
        raise NotMirrored(
            "no run of this mirror has this id"
            if len(paths) == 1
            else "not all of these ids are of runs of this mirror",
            hint="`wandb-mirror pull` fetches what is not here",
        )
    return nodes


def runs_at(ctx: RequestContext, paths: Iterable[RunPath]) -> list[RunNode]:
    """The runs at these paths, those of each project read together; those that are not here are left out."""
    projects: dict[tuple[str, str], dict[str, None]] = {}
    for path in paths:
        projects.setdefault((path.entity, path.project), {})[path.run_id] = None
    return [node for project, run_ids in projects.items() for node in RunBatch(ctx, project, list(run_ids)).nodes]


def check_count(count: int) -> None:
    """Refuse a change of more runs than one may be of.

    Raises:
        RequestRefused: they are too many.
    """
    if count > MOST_RUNS:
        raise RequestRefused(f"one change may be of {MOST_RUNS} runs, not of {count}", status=413)


def _queued_path(storage_id: str) -> RunPath | None:
    parts = typed_parts(storage_id, QUEUED_RUN)
    if parts is None or len(parts) < 3:
        return None
    *run_id, project, entity = parts
    return RunPath(entity, project, ":".join(run_id))
