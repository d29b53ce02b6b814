"""A run's fields and documents in the server's own form, as the SDK keeps them."""

from __future__ import annotations

import json
from typing import Any

from mirror.store.read.runs import LightRun


def wire_fields(run: LightRun) -> dict[str, Any]:
    """A run's light fields under the server's names."""
    return {
        "id": run.storage_id,
        "tags": list(run.tags),
        "name": run.run_id,
        "displayName": run.display_name,
        "sweepName": run.sweep,
        "state": run.state,
        "group": run.group,
        "jobType": run.job_type,
        "commit": run.commit,
        "readOnly": run.read_only,
        "createdAt": run.created_at,
        "heartbeatAt": run.heartbeat_at,
        "description": run.description,
        "notes": run.notes,
        "historyLineCount": run.history_line_count,
        "user": None if run.user is None else {"name": run.user_name, "username": run.user},
        "projectId": run.project_internal_id,
    }


def as_dict(text: str | None) -> dict[str, Any]:
    """A document as the SDK parses it; one that is not an object counts as empty.

    Raises:
        ValueError, RecursionError: the text is not JSON.
    """
    value = None if text is None else json.loads(text, strict=False)
    return value if isinstance(value, dict) else {}


def is_pair(item: Any) -> bool:
    return isinstance(item, dict) and "value" in item
