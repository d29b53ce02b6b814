"""What a connection of runs says beyond its page: counts, keys, and what changed since the caller looked."""

from __future__ import annotations

from typing import Any

from mirror.sandbox.histories.keys import joined_key_table
from mirror.sandbox.schema.context import context
from mirror.sandbox.state.records import RunRecord
from mirror.wandb_protocol.filters import plain_time
from mirror.wandb_protocol.resolvers import Info, Resolvers


def _matching(connection: dict[str, Any]) -> list[RunRecord]:
    return list(connection["matching"])


def _total(connection: dict[str, Any], _info: Info) -> int:
    return len(_matching(connection))


def _about(connection: dict[str, Any], _info: Info) -> dict[str, int]:
    total = len(_matching(connection))
    return {"min": total, "max": total}


def _history_keys(connection: dict[str, Any], _info: Info, format: str | None = None) -> Any:  # noqa: A002 -- the schema's argument
    return joined_key_table(_matching(connection))


def _delta(connection: dict[str, Any], info: Info, currentRuns: list[str], lastUpdated: str) -> list[dict[str, Any]]:
    """Deletions, insertions and updates that turn the caller's list of run ids into this page.

    Indices of deletions count in the caller's list, the others in the page. Times are compared strictly, so that a
    change in the very second of `lastUpdated` is not told again.
    """
    runs = [edge["node"] for edge in connection["edges"]]
    shown, known = {run.name for run in runs}, set(currentRuns)
    since = plain_time(lastUpdated)
    diffs: list[dict[str, Any]] = [
        {"op": "DELETE", "index": i, "run": None} for i, name in enumerate(currentRuns) if name not in shown
    ]
    for i, run in enumerate(runs):
        if run.name not in known:
            diffs.append({"op": "INSERT", "index": i, "run": run})
        elif plain_time(run.updated_at) > since:
            diffs.append({"op": "UPDATE", "index": i, "run": run})
    context(info).run_names.update(diff["run"].name for diff in diffs if diff["run"] is not None)
    return diffs


RESOLVERS: Resolvers = {
    "RunConnection.totalCount": _total,
    "RunConnection.totalCountApprox": _about,
    "RunConnection.historyKeys": _history_keys,
    "RunConnection.delta": _delta,
}
