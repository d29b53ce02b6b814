"""History, system metrics and exports of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mirror.gateway.history_rows import RunRows
from mirror.gateway.runs import RunNode
from mirror.run.history.held import system_metrics_not_mirrored
from mirror.store.read.run_counts import count_events
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.resolvers import Info, Resolvers
from mirror.wandb_protocol.wire import finite, spell

DEFAULT_SAMPLES = 500
_FURTHEST = 2**62  # no run has a step beyond, and one more than it is a 64-bit number


def _history(
    run: RunNode,
    _info: Info,
    minStep: int | None = None,
    maxStep: int | None = None,
    samples: int | None = None,
    maxKeyLimit: int | None = None,
) -> list[str]:
    """Rows of the steps asked for; with `maxKeyLimit` each is cut to so many keys, `_step` always among them."""
    first, last = _whole("minStep", minStep), _whole("maxStep", maxStep)
    rows = RunRows(run).in_steps(first, last, DEFAULT_SAMPLES if samples is None else samples)
    return rows if maxKeyLimit is None else [_cut(text, maxKeyLimit) for text in rows]


def _cut(text: str, most: int) -> str:
    row = json.loads(text)
    return spell({"_step": row["_step"], **dict(list(row.items())[:most])})


def _sampled_history(run: RunNode, _info: Info, specs: list[str], packVersion: int | None = None) -> list[Any]:
    """Rows by spec. How `packVersion` packs them is not known: rows always come plain."""
    rows = RunRows(run)
    return [_by_spec(rows, text) for text in specs]


def _by_spec(rows: RunRows, text: str) -> list[Any]:
    try:
        spec = json.loads(text)
    except ValueError:
        raise RequestRefused("invalid spec: not JSON", status=400) from None
    except RecursionError:
        raise RequestRefused("invalid spec: it nests too deeply", status=400) from None
    if not isinstance(spec, dict):
        raise RequestRefused("invalid spec: expected an object", status=400)
    keys = [str(key) for key in spec.get("keys") or []]
    first, last, samples = (_whole(name, spec.get(name)) for name in ("minStep", "maxStep", "samples"))
    return [finite(row) for row in rows.by_spec(keys, first, last, samples or DEFAULT_SAMPLES)]


def _whole(name: str, value: Any) -> int | None:
    """A whole number, within those that a step can be; None where none is given. Int64 takes any JSON.

    Raises:
        RequestRefused: it is none.
    """
    if value is None:
        return None
    try:
        return max(-_FURTHEST, min(int(value), _FURTHEST))
    except (TypeError, ValueError, OverflowError):
        raise RequestRefused(f"invalid {name}: {str(value)[:100]!r}", status=400) from None


def _parquet_history(run: RunNode, _info: Info, liveKeys: list[str]) -> dict[str, Any]:
    rows, addresses = RunRows(run), run.batch.context.addresses
    objects = run.batch.context.mirror.objects
    urls = []
    for number, digest in enumerate(rows.stored.exports):
        objects.path(digest)  # one that is missing is told here: clients say nothing of an address that fails
        urls.append(addresses.of_object(digest, f"{number}.parquet"))
    return {"parquetUrls": urls, "liveData": _live(rows.tail_rows(), liveKeys)}


def _live(rows: Iterator[Mapping[str, Any]], keys: Sequence[str]) -> list[dict[str, Any]]:
    """Rows that no export holds, reduced to dotted keys; numbers come as floats."""
    wanted = frozenset(keys)
    reduced = ({key: _live_value(value) for key, value in _flattened(row) if key in wanted} for row in rows)
    return [row for row in reduced if row]


def _live_value(value: Any) -> Any:
    return finite(float(value) if isinstance(value, int) and not isinstance(value, bool) else value)


def _flattened(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in row.items():
        if isinstance(value, dict) and value and "_type" not in value:
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _history_keys(run: RunNode, _info: Info, format: str | None = None) -> Any:  # noqa: A002 -- the schema's argument
    text = run.document("history_keys")
    return None if text is None else finite(json.loads(text))


def _events(run: RunNode, _info: Info, samples: int | None = None) -> list[str]:
    from mirror.store.metrics.system_rows import sample_system_metrics

    wanted = DEFAULT_SAMPLES if samples is None else samples
    ctx = run.batch.context
    rows = ctx.recall(
        ("events", run.path, wanted),
        lambda _lake: sample_system_metrics(ctx.mirror.reader, run.path, wanted),
        lambda events: sum(50 + 100 * len(event) for event in events),
    )
    if not rows and wanted > 0 and (error := system_metrics_not_mirrored(run.facts)) is not None:
        raise error
    return [spell(row) for row in rows]


def _events_tail(run: RunNode, info: Info) -> str:
    return spell(_events(run, info, samples=2)[-1:])


def _event_count(run: RunNode, _info: Info) -> int:
    count = run.batch.recall("event counts", count_events).get(run.held.run_id, 0)
    is_judged = not count and run.held.run_id in run.batch.incomplete
    if is_judged and (error := system_metrics_not_mirrored(run.facts)) is not None:
        raise error
    return count


def _history_tail(run: RunNode, _info: Info) -> str:
    return spell(RunRows(run).last())


RESOLVERS: Resolvers = {
    "Run.history": _history,
    "Run.sampledHistory": _sampled_history,
    "Run.parquetHistory": _parquet_history,
    "Run.historyKeys": _history_keys,
    "Run.historyTail": _history_tail,
    "Run.events": _events,
    "Run.eventsTail": _events_tail,
    "Run.eventsLineCount": _event_count,
}
