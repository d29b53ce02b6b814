"""The fields of runs that filters and orders name (W&B API notes, section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mirror.sandbox.histories.keys import key_table
from mirror.sandbox.histories.rows import lookup
from mirror.sandbox.state.records import RunRecord
from mirror.wandb_protocol.filters import Getter
from mirror.wandb_protocol.listing_arguments import invalid_filters

_FIELDS: dict[str, Getter] = {
    "createdAt": lambda run: run.created_at,
    "created_at": lambda run: run.created_at,
    "heartbeatAt": lambda run: run.heartbeat_at,
    "heartbeat_at": lambda run: run.heartbeat_at,
    "updatedAt": lambda run: run.updated_at,
    "updated_at": lambda run: run.updated_at,
    "displayName": lambda run: run.display_name,
    "display_name": lambda run: run.display_name,
    "duration": lambda run: run.summary.get("_runtime"),
    "group": lambda run: run.group,
    "host": lambda run: run.host,
    "jobType": lambda run: run.job_type,
    "job_type": lambda run: run.job_type,
    "name": lambda run: run.name,
    "state": lambda run: run.state,
    "tags": lambda run: run.tags or None,
    "username": lambda run: run.user.username if run.user else None,
    "user": lambda run: run.user.username if run.user else None,
    "sweep": lambda run: run.sweep_name,
    "notes": lambda run: run.notes,
}


def field_getter(key: str) -> Getter:
    """How to read a filter or order field from a run.

    Raises:
        RequestRefused: there is no such field.
    """
    if key in _FIELDS:
        return _FIELDS[key]
    root, _, rest = key.partition(".")
    if root == "config" and rest:
        return lambda run: _config_value(run, rest)
    if root in ("summary_metrics", "summaryMetrics") and rest:
        return lambda run: lookup(run.summary, rest)
    if key.startswith("keys_info.keys."):
        name = key.removeprefix("keys_info.keys.")
        return lambda run: (key_table(run) or {"keys": {}})["keys"].get(name)
    raise invalid_filters(f"unknown column {key}")


def _config_value(run: RunRecord, path: str) -> Any:
    plain = {
        key: item["value"] if isinstance(item, dict) and "value" in item else item for key, item in run.config.items()
    }
    found = lookup(plain, path)
    # Some callers spell the envelope out: config.lr.value, config.optimizer.value.lr.
    if found is None and path.endswith(".value"):
        found = lookup(plain, path.removesuffix(".value"))
    key, envelope, inner = path.partition(".value.")
    held = plain.get(key)
    return lookup(held, inner) if found is None and envelope and isinstance(held, Mapping) else found
