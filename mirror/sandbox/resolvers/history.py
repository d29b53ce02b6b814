"""History, events and exports of a run."""

from __future__ import annotations

import json
from typing import Any

from mirror.sandbox.histories.keys import key_table
from mirror.sandbox.histories.rows import in_steps, live_rows, sample, sampled_by_spec
from mirror.sandbox.schema.context import context
from mirror.sandbox.state.records import RunRecord
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.resolvers import Info, Resolvers
from mirror.wandb_protocol.wire import finite, spell


def _require_history(run: RunRecord) -> None:
    """What a server says of a run whose rows its history service cannot find."""
    if run.history_is_lost:
        path = f"{run.project.entity}/{run.project.name}/{run.name}"
        raise RequestRefused(f"run not found for history loading: {path}", status=500)


def _history(
    run: RunRecord,
    info: Info,
    minStep: int | None = None,
    maxStep: int | None = None,
    samples: int | None = None,
    maxKeyLimit: int | None = None,
) -> list[str]:
    """Rows of the steps asked for; with `maxKeyLimit` each is cut to so many keys, `_step` always among them."""
    _require_history(run)
    rows = in_steps(run.history, minStep, maxStep)
    ranged = minStep is not None or maxStep is not None
    if ranged and not context(info).state.history_includes_exported:
        rows = [row for row in rows if row["_step"] not in run.exported]
    chosen = sample(rows, 500 if samples is None else samples)
    if maxKeyLimit is not None:
        chosen = [{"_step": row["_step"], **dict(list(row.items())[:maxKeyLimit])} for row in chosen]
    return [spell(row, run.nonfinite) for row in chosen]


def _events(run: RunRecord, _info: Info, samples: int | None = None) -> list[str]:
    return [spell(row, run.nonfinite) for row in sample(run.events, 500 if samples is None else samples)]


def _sampled_history(run: RunRecord, _info: Info, specs: list[str], packVersion: int | None = None) -> list[Any]:
    """Rows by spec. How `packVersion` packs them is not known: rows always come plain."""
    _require_history(run)
    answers = []
    for text in specs:
        try:
            spec = json.loads(text)
        except ValueError:
            raise RequestRefused("invalid spec: not JSON") from None
        answers.append(sampled_by_spec(run, spec))
    return answers


def _parquet_history(run: RunRecord, info: Info, liveKeys: list[str]) -> dict[str, Any]:
    state = context(info).state
    _require_history(run)
    state.settle_export(run)
    urls = [state.storage.url(part.object_key) for part in run.parts]
    state.shuffle.shuffle(urls)  # W&B keeps no order here from call to call
    return {"parquetUrls": urls, "liveData": live_rows(run, liveKeys, state.live_numbers)}


def _history_keys(run: RunRecord, _info: Info, format: str | None = None) -> Any:  # noqa: A002 -- the schema's argument
    return finite(key_table(run))


def _history_count(run: RunRecord, _info: Info) -> int:
    return len(run.history)


def _event_count(run: RunRecord, _info: Info) -> int:
    return len(run.events)


def _history_tail(run: RunRecord, _info: Info) -> str:
    return spell([spell(row, run.nonfinite) for row in run.history[-1:]])


def _events_tail(run: RunRecord, _info: Info) -> str:
    return spell([spell(row, run.nonfinite) for row in run.events[-1:]])


RESOLVERS: Resolvers = {
    "Run.history": _history,
    "Run.events": _events,
    "Run.sampledHistory": _sampled_history,
    "Run.parquetHistory": _parquet_history,
    "Run.historyKeys": _history_keys,
    "Run.historyLineCount": _history_count,
    "Run.eventsLineCount": _event_count,
    "Run.historyTail": _history_tail,
    "Run.eventsTail": _events_tail,
}
