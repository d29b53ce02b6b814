"""What a project counts over its runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from mirror.sandbox.resolvers.runs import storage_bytes
from mirror.sandbox.schema.context import context
from mirror.sandbox.state.mongo import field_getter
from mirror.sandbox.state.records import ENDED_STATES, ProjectRecord, RunRecord
from mirror.wandb_protocol.resolvers import Info, Resolvers
from mirror.wandb_protocol.wire import spell


def _matching(project: ProjectRecord, info: Info, filters: str | None) -> list[RunRecord]:
    return context(info).state.listings.get(project, filters, "+created_at").runs


def _updated_at(project: ProjectRecord, _info: Info) -> str:
    return max([project.created_at, *(run.updated_at for run in project.runs.values())])


def _last_active(project: ProjectRecord, _info: Info) -> str | None:
    return max((run.heartbeat_at for run in project.runs.values() if run.heartbeat_at is not None), default=None)


def _total_runs(project: ProjectRecord, _info: Info) -> int:
    return len(project.runs)


def _active_count(project: ProjectRecord, info: Info, filters: str | None = None) -> int:
    return sum(run.state not in ENDED_STATES for run in _matching(project, info, filters))


def _storage_bytes(project: ProjectRecord, info: Info) -> int:
    return sum(storage_bytes(run, info) for run in project.runs.values())


def _tag_counts(project: ProjectRecord, info: Info, filters: str | None = None) -> list[dict[str, Any]]:
    counts = Counter(tag for run in _matching(project, info, filters) for tag in run.tags)
    return [{"name": name, "count": count} for name, count in counts.most_common()]


def _value_counts(
    project: ProjectRecord, info: Info, filters: str | None = None, keyPath: str | None = None
) -> str | None:
    if keyPath is None:
        return None
    return spell(dict(_spelled_values(_matching(project, info, filters), keyPath).most_common()))


def _key_suggestions(
    project: ProjectRecord, info: Info, keyPath: str, filters: str | None = None
) -> list[dict[str, Any]]:
    counts = _spelled_values(_matching(project, info, filters), keyPath)
    return [{"value": value, "displayValue": value, "count": count} for value, count in counts.most_common()]


def _spelled_values(runs: Iterable[RunRecord], key_path: str) -> Counter[str]:
    """How often each value occurs, by its JSON text. Runs without a value are left out."""
    get = field_getter(key_path)
    return Counter(spell(value) for value in map(get, runs) if value is not None)


RESOLVERS: Resolvers = {
    "Project.updatedAt": _updated_at,
    "Project.lastActive": _last_active,
    "Project.totalRuns": _total_runs,
    "Project.runActiveCount": _active_count,
    "Project.storageBytes": _storage_bytes,
    "Project.tagCounts": _tag_counts,
    "Project.valueCounts": _value_counts,
    "Project.runKeySuggestions": _key_suggestions,
}
