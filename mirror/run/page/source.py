"""What the page of a run says, gathered from the run, the outbox and the lake."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import groupby
from typing import Any

from mirror.records.addresses import RunPath
from mirror.records.operations import (
    Create,
    Delete,
    DeleteFile,
    Edit,
    EditArtifact,
    LogArtifact,
    Operation,
    Stop,
    SyncRun,
    UpdateState,
    UploadFile,
    UseArtifact,
)
from mirror.records.step_metrics import step_metrics_of
from mirror.run.facts import RunFacts
from mirror.run.page.html import ChartGroup, Notice, RunPage
from mirror.run.pending.local import Pending
from mirror.store.metrics.series import KeySpan, key_spans, metric_series, spans_over
from mirror.store.read.run_overview import RunGaps, run_gaps
from mirror.texts.amounts import plural
from mirror.texts.ordering import shallow_first
from mirror.texts.typed_paths import in_shell

CHARTS_MOST = 24
_OWN_METRICS = frozenset({"_step", "_timestamp", "_runtime"})
_STATES = {"claimed": "on its way", "conflict": "in conflict", "dead": "refused"}


def run_page(run: RunFacts, keys: Sequence[str] = ()) -> RunPage:
    """The page of a run as it is now, with what is queued for it.

    Args:
        run: whose.
        keys: of the metrics that are drawn, globs allowed; none: the first `CHARTS_MOST`, those of the summary and
            shallow ones before others.

    Raises:
        NotMirrored, StoreError: the lake cannot be read.
    """
    local, path = run._local, run._run_path
    waiting = run.pending  # before the lake: see `LocalMirror.pending`
    spans = [span for span in key_spans(local.reader, path) if is_shown(span.key)]
    gaps = run_gaps(local.reader, path)
    summary = {key: value for key, value in run._known_summary().items() if key != "_wandb"}
    drawn = _drawn(spans, keys, summary)
    chosen = in_groups(drawn)
    along = spans_over(local.reader, path, [span for _, span in chosen], step_metrics_of(run._known_documents().config))
    series = metric_series(local.reader, path, along)
    notes = run._attrs.get("notes") or ""
    description = run._attrs.get("description") or ""
    return RunPage(
        name=run.name or run.id,
        path=path,
        url=run.url,
        state=run.state,
        facts=tuple(facts_of(run, spans)),
        tags=tuple(str(tag) for tag in run._attrs.get("tags") or ()),
        notes="\n\n".join(dict.fromkeys(part for part in (notes, description) if part)),
        notices=tuple(notices_of(run, waiting, gaps)),
        groups=tuple(
            ChartGroup(title=title, series=tuple(item for _, item in members))
            for title, members in groupby(
                zip((title for title, _ in chosen), series, strict=True), key=lambda item: item[0]
            )
        ),
        rest=tuple(span for span in spans if span not in drawn),
        config=run._known_document("config") or {},
        summary=summary,
        synced=f"{gaps.synced_at:%Y-%m-%d %H:%M} UTC" if gaps.synced_at is not None else None,
    )


def _drawn(spans: Sequence[KeySpan], keys: Sequence[str], summary: Mapping[str, Any]) -> list[KeySpan]:
    """The metrics of which charts are drawn."""
    if keys:
        return [span for span in spans if any(fnmatchcase(span.key, key) for key in keys)]
    return sorted(spans, key=lambda span: (span.key not in summary, *shallow_first(span.key)))[:CHARTS_MOST]


def group_of(key: str) -> str:
    """W&B's group of a metric: what stands before the first slash of its name; empty without one."""
    before, slash, _ = key.partition("/")
    return before if slash else ""


def in_groups(spans: Sequence[KeySpan]) -> list[tuple[str, KeySpan]]:
    """Metrics with the titles of their groups, group by group: the untitled one first, that of the system last.

    A metric that is alone in its group goes to the untitled one; its name says all that a title would.
    """
    sizes = Counter(group_of(span.key) for span in spans)
    titled = [(group if sizes[group] > 1 else "", span) for span in spans for group in [group_of(span.key)]]

    def place(item: tuple[str, KeySpan]) -> tuple[int, str, str, str]:
        group, span = item
        rank = 2 if group == "system" else 1 if group else 0
        return rank, group.casefold(), group, span.key

    return sorted(titled, key=place)


def duration_in_words(seconds: float) -> str:
    """A length of time, in its two largest units."""
    whole = round(seconds)
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    first = next((place for place, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count:,} {unit}" for count, unit in parts[first : first + 2] if count) or "0 s"


def asked(operation: Operation) -> str:
    """What a person asked for, in a few words."""
    match operation:
        case Edit():
            names = [name.replace("_", " ") for name in operation.fields]
            names += [f"config {key}" for key in operation.config] + [f"summary {key}" for key in operation.summary]
            return f"change {', '.join(names)}"
        case UpdateState():
            return f"set the state to {operation.state}"
        case UploadFile():
            return f"upload {operation.name} ({plural(operation.size, 'byte')})"
        case DeleteFile():
            return f"delete the file {operation.name}"
        case Create():
            return "create the run"
        case Stop():
            return "stop the run"
        case Delete():
            return f"delete the run{' with its artifacts' if operation.delete_artifacts else ''}"
        case LogArtifact():
            return f"log the artifact {operation.name}"
        case UseArtifact():
            return f"use the artifact {operation.name}"
        case SyncRun():
            return "bring the run upstream"
        case EditArtifact():
            return f"change aliases and tags of the artifact {operation.name}"


def is_shown(key: str) -> bool:
    """Whether a metric is the run's, and not W&B's own."""
    return key not in _OWN_METRICS and not key.startswith("_wandb")


def facts_of(run: RunFacts, spans: Sequence[KeySpan]) -> Iterator[tuple[str, str]]:
    """What is said of a run at a glance: labels and texts, in the order in which they are read."""
    if run.user is not None:
        yield "User", run.user.name or run.user.username or ""
    created, heartbeat = (_moment(run._attrs.get(name)) for name in ("createdAt", "heartbeatAt"))
    if run._attrs.get("createdAt"):
        yield "Created", f"{created:%Y-%m-%d %H:%M} UTC" if created is not None else str(run._attrs["createdAt"])
    seconds = _seconds(run._known_summary())
    if seconds is None and created is not None and heartbeat is not None and heartbeat >= created:
        seconds = (heartbeat - created).total_seconds()
    if seconds is not None:
        yield "Duration", duration_in_words(seconds)
    if spans:
        yield "Last step", f"{max(span.last_step for span in spans):,}"
    for label, name in (("Group", "group"), ("Job type", "jobType"), ("Sweep", "sweepName")):
        if run._attrs.get(name):
            yield label, str(run._attrs[name])
    if run._attrs.get("commit"):
        yield "Commit", str(run._attrs["commit"])[:12]


def _seconds(summary: dict[str, Any]) -> float | None:
    """How long the run took by its own word."""
    own = summary.get("_wandb")
    for value in (own.get("runtime") if isinstance(own, dict) else None, summary.get("_runtime")):
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
            return float(value)
    return None


def _moment(text: str | None) -> dt.datetime | None:
    """A time of the server's; without a zone it is UTC."""
    try:
        found = dt.datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found.astimezone(dt.UTC) if found.tzinfo is not None else found.replace(tzinfo=dt.UTC)


def notices_of(run: RunFacts, waiting: Sequence[Pending], gaps: RunGaps) -> Iterator[Notice]:
    """What must be said of a run before its figures."""
    if run.gone:
        yield Notice(kind="gone", title="Deleted on the server. The mirror keeps what it holds.")
    if waiting:
        title = f"{plural(len(waiting), 'change')} the server does not have yet"
        yield Notice(kind="pending", title=title, lines=tuple(map(_waiting, waiting)))
    missing = [f"its {name}: W&B sent no JSON" for name in run._malformed_documents]
    missing += _missing(run._run_path, gaps)
    if missing:
        yield Notice(kind="missing", title="Not in this mirror", lines=tuple(missing))


def _waiting(pending: Pending) -> str:
    where = _STATES.get(pending.state)
    said = [f"{pending.entry.created_at:%Y-%m-%d %H:%M} UTC: {asked(pending.operation)}"]
    if where is not None:
        said.append(where)
    if pending.reason:
        said.append(pending.reason)
    return " \N{MIDDLE DOT} ".join(said)


def _missing(path: RunPath, gaps: RunGaps) -> Iterator[str]:
    if gaps.rows_held is None:
        if gaps.rows_logged:
            logged = plural(gaps.rows_logged, "row")
            fetches = f"`wandb-mirror pull {in_shell(*path)}` fetches it, with history = true in its source"
            yield f"its history of {logged}; {fetches}"
    elif not gaps.is_complete:
        yield f"all of its history: {gaps.reason or 'it is not complete'}"
    if gaps.files_not_held:
        yield f"the bytes of {plural(gaps.files_not_held, 'file')}, left out or failed"
    for item, reason in gaps.failures:
        yield f"{item or 'the run itself'}: {reason}"
