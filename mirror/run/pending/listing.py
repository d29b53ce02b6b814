"""Which runs a listing shows: those of the lake, as what is queued will make them, and those still to be made."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from mirror.records.operations import Create, Delete
from mirror.run.pending.local import LocalMirror, Pending
from mirror.run.pending.overlay import created_run, overlaid, overlaid_config, overlaid_summary
from mirror.store.filters.run_listing import list_run_ids
from mirror.store.read.queued_runs import Overlaid
from mirror.store.read.runs import LightRun, read_documents, read_light_runs
from mirror.texts.values import dump_strict, parse_lenient, unwrap_config


def listed_ids(
    local: LocalMirror,
    project: tuple[str, str],
    *,
    filters: Mapping[str, Any],
    order: str,
    with_gone: bool,
) -> list[str]:
    """Ids of the runs of a project that a filter keeps, in order.

    Raises:
        ConfigError: an unknown operator or field, named; an operand of a wrong form.
    """
    waiting = local.waiting().get(project, {})  # before the lake: see `LocalMirror.pending`
    shown = queued_runs(local, project, waiting) if waiting else ()
    return list_run_ids(local.reader, project, filters=filters, order=order, with_gone=with_gone, overlay=shown)


def runs_to_be_made(waiting: Mapping[str, Sequence[Pending]]) -> dict[str, LightRun]:
    """The runs that the server does not know yet, by id, as they were asked for."""
    return {
        run_id: created_run(item.entry)
        for run_id, items in waiting.items()
        for item in items
        if isinstance(item.operation, Create) and item.is_shown
    }


def queued_runs(
    local: LocalMirror, project: tuple[str, str], waiting: Mapping[str, Sequence[Pending]]
) -> list[Overlaid]:
    """The runs of a project that operations wait for, as they will be."""
    held = {run.run_id: run for run in read_light_runs(local.reader, project, list(waiting))}
    documents = read_documents(local.reader, project, list(held))
    shown: list[Overlaid] = []
    for run_id, run in {**runs_to_be_made(waiting), **held}.items():
        operations = [item.operation for item in waiting[run_id]]
        texts = documents.get(run_id)
        config = overlaid_config(_as_dict(texts.config if texts else None), operations)
        now = overlaid(run, operations)
        shown.append(
            Overlaid(
                entity=project[0], project=project[1], run_id=run_id, state=now.state, display_name=now.display_name,
                tags=now.tags, group=now.group, job_type=now.job_type, notes=now.notes, description=now.description,
                config=dump_strict(unwrap_config(config)),
                summary=dump_strict(overlaid_summary(_as_dict(texts.summary if texts else None), operations)),
                created_at=None if run_id in held else _utc(waiting[run_id][0].entry.created_at),
                gone_at=_deleted_at(waiting[run_id]),
            )
        )  # fmt: skip
    return shown


def _deleted_at(items: Sequence[Pending]) -> str | None:
    """When the deletion of a run was queued, with which it leaves listings; None where it was not."""
    deletions = (item for item in items if item.is_shown and isinstance(item.operation, Delete))
    return next((_utc(item.entry.created_at) for item in deletions), None)


def _as_dict(text: str | None) -> dict[str, Any]:
    value = parse_lenient(text)
    return value if isinstance(value, dict) else {}


def _utc(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat()
