"""Which fields of a run an edit has to see first, by the server's names and by those of a record. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from mirror.records.operations import Edit
from mirror.records.runs import RunRecord

# The server's name of each field that an edit changes, and the field of `RunRecord`, where the names differ.
_SERVER_NAMES = {"display_name": "displayName", "job_type": "jobType"}
FIELD_OF: Mapping[str, str] = {
    "id": "storage_id",
    "displayName": "display_name",
    "jobType": "job_type",
    "config": "config_text",
    "summaryMetrics": "summary_text",
}

WHOLE = frozenset({"config", "summaryMetrics", "tags"})
"""What is written as a whole, with what others put there."""


def needs_of(edit: Edit) -> tuple[str, ...]:
    """The server's names of the fields that an edit touches."""
    fields = [_SERVER_NAMES.get(name, name) for name in edit.fields]
    return (*fields, *(["config"] if edit.config else []), *(["summaryMetrics"] if edit.summary else []))


def flaws_in(run: RunRecord, needs: Iterable[str]) -> dict[str, str]:
    """What is needed of a run and could not be read, by the server's names, with the reasons."""
    fields = {name: FIELD_OF.get(name, name) for name in needs}
    return {name: run.flaws[field] for name, field in fields.items() if field in run.flaws}


def is_empty(held: object) -> bool:
    """Whether nothing would be lost of a document or a list that is held."""
    if not isinstance(held, str):
        return not held
    try:
        return not json.loads(held, strict=False)
    except (ValueError, RecursionError):
        return False
