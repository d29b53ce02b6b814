"""Runs of a project: listings with filters, order and pages, and one run by its id."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any, NoReturn

from mirror.errors import RunNotFoundError
from mirror.gateway.listings import Listing, listing_of
from mirror.gateway.resolvers.projects import ProjectNode
from mirror.gateway.run_rows import rows_of_page
from mirror.gateway.runs import RunBatch, RunNode
from mirror.records.addresses import RunPath
from mirror.store.read.projects import held_and_upstream
from mirror.store.read.runs import DocumentName
from mirror.texts.typed_paths import in_shell
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.listing_arguments import filters_object
from mirror.wandb_protocol.paging import Window, connection
from mirror.wandb_protocol.resolvers import Info, Resolvers
from mirror.wandb_protocol.selections import selected_fields
from mirror.wandb_protocol.wire import seconds_since_epoch

_DOCUMENTS: dict[str, DocumentName] = {
    "config": "config",
    "wandbConfig": "config",
    "summaryMetrics": "summary",
    "systemMetrics": "system_metrics",
    "historyKeys": "history_keys",
}


def documents_asked(info: Info) -> set[DocumentName]:
    """The documents that are asked of runs below a field: they are read with the rows, and no others."""
    names = {field.name.value for field in selected_fields(info)}
    return {document for name, document in _DOCUMENTS.items() if name in names}


def runs_of(project: ProjectNode, filters: str | None, order: str | None) -> Listing:
    """The runs of a project that filters keep, in order; that others are not here is told beside the answer."""
    ctx = project.context
    found = listing_of(ctx, project.path, filters, order)
    held, upstream = ctx.recall(("counts", project.path), lambda lake: held_and_upstream(lake, *project.path))
    if held and (upstream is None or held < upstream):
        ctx.partial[project.path] = held, upstream
    if not found.run_ids:
        project.check()
    return found


def _run_count(project: ProjectNode, _info: Info, filters: str | None = None) -> int:
    return len(runs_of(project, filters, None).run_ids)


def _total_runs(project: ProjectNode, _info: Info) -> int:
    return len(runs_of(project, None, None).run_ids)


def _run_active_count(project: ProjectNode, _info: Info, filters: str | None = None) -> int:
    """Running runs that match."""
    tree = filters_object(filters)
    running = {"state": "running"}
    wanted = running if tree is None else {"$and": [tree, running]}
    return len(runs_of(project, json.dumps(wanted), None).run_ids)


def _runs(
    project: ProjectNode,
    info: Info,
    filters: str | None = None,
    order: str | None = None,
    names: list[str | None] | None = None,
    after: str | None = None,
    first: int | None = None,
    before: str | None = None,
    last: int | None = None,
    **_table: Any,  # groups and fields, which shape the web pages' tables: every field is there anyway
) -> dict[str, Any]:
    listing = runs_of(project, filters, order)
    if names is not None:
        wanted = {name for name in names if name is not None}
        listing = Listing([run_id for run_id in listing.run_ids if run_id in wanted], None)
    return runs_page(project, info, listing, Window(first=first, after=after, last=last, before=before))


def runs_page(project: ProjectNode, info: Info, listing: Listing, window: Window) -> dict[str, Any]:
    """A page of runs as a connection: one query of the lake, whatever is asked of them.

    Args:
        project: whose runs.
        info: of the field that is a connection of runs.
        listing: all of them.
        window: which are asked for.
    """
    ctx, documents = project.context, sorted(documents_asked(info))
    start, stop = window.of(*listing.bounds(window), ctx.limits)
    rows, stop = rows_of_page(ctx, project.path, listing, (start, stop), documents)
    batch = RunBatch(ctx, project.path, listing.run_ids[start:stop], documents, rows)
    total = len(listing.run_ids)
    edges = [{"cursor": listing.cursor(listing.places[node.held.run_id]), "node": node} for node in batch.nodes]
    return connection(
        edges,
        more=stop < total,
        earlier=start > 0,
        totalCount=total,
        totalCountApprox={"min": total, "max": total},
    )


def _run(project: ProjectNode, info: Info, name: str, desc: str | None = None) -> RunNode:
    del desc
    nodes = RunBatch(project.context, project.path, [name], documents_asked(info)).nodes
    if not nodes:
        path = f"{project.entity}/{project.name}/{name}"
        raise RunNotFoundError(
            f"the run {path} is not in this mirror",
            hint=f"`wandb-mirror pull {in_shell(*project.path, name)}` fetches it",
        )
    return nodes[0]


def _bucket(project: ProjectNode, info: Info, name: str, missingOk: bool = False) -> RunNode | None:
    if missingOk:  # which is asked by a process that is about to train
        project.context.trainings.bring_up(RunPath(*project.path, name))
        project.context.renew()
    try:
        return _run(project, info, name)
    except RunNotFoundError:
        if missingOk:
            return None
        raise


def _history_keys(_connection: dict[str, Any], _info: Info, **_format: Any) -> NoReturn:
    raise RequestRefused("the keys of many runs together are not told here: ask for historyKeys of each run")


def _delta(connection: dict[str, Any], _info: Info, currentRuns: list[str], lastUpdated: str) -> list[dict[str, Any]]:
    """Deletions, insertions and updates that turn the caller's list of run ids into this page.

    Indices of deletions count in the caller's list, the others in the page.
    """
    nodes: Sequence[RunNode] = [edge["node"] for edge in connection["edges"]]
    shown, known = {node.held.run_id for node in nodes}, set(currentRuns)
    since = seconds_since_epoch(lastUpdated)
    diffs: list[dict[str, Any]] = [
        {"op": "DELETE", "index": place, "run": None} for place, name in enumerate(currentRuns) if name not in shown
    ]
    for place, node in enumerate(nodes):
        if node.held.run_id not in known:
            diffs.append({"op": "INSERT", "index": place, "run": node})
        elif since is None or _changed_at(node) > since:
            diffs.append({"op": "UPDATE", "index": place, "run": node})
    return diffs


def _changed_at(node: RunNode) -> float:
    """Seconds since the epoch of the last change: the server's, or one that is queued."""
    texts = [node.later.updated_at, node.held.heartbeat_at, node.held.created_at]
    moments = [seconds_since_epoch(text) for text in texts if text]
    queued = [item.entry.created_at.astimezone(dt.UTC).timestamp() for item in node.pending]
    return max([*(moment for moment in moments if moment is not None), *queued], default=0.0)


RESOLVERS: Resolvers = {
    "Project.runs": _runs,
    "Project.run": _run,
    "Project.bucket": _bucket,
    "Project.runCount": _run_count,
    "Project.totalRuns": _total_runs,
    "Project.runActiveCount": _run_active_count,
    "RunConnection.delta": _delta,
    "RunConnection.historyKeys": _history_keys,
}
