"""One run: what it is, what waits for it, which metrics it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from markdown_it import MarkdownIt

from mirror.errors import RunNotFoundError, StoreError
from mirror.gateway.context import RequestContext
from mirror.gateway.runs import RunBatch, RunNode
from mirror.outbox import Placed
from mirror.records.addresses import RunPath
from mirror.run.page.source import facts_of, is_shown, notices_of
from mirror.store.engine.queries import Queryable
from mirror.store.metrics.curves import system_keys
from mirror.store.metrics.series import key_spans
from mirror.store.objects.objects import Objects
from mirror.store.read.console import console_span
from mirror.store.read.files import list_file_names, read_files
from mirror.store.read.run_overview import run_gaps
from mirror.texts.ordering import shallow_first
from mirror.texts.typed_paths import in_shell
from mirror.texts.values import parse_lenient
from mirror.web.answers.artifacts import count_versions
from mirror.web.answers.times import utc_text
from mirror.web.asked import Asked

METADATA = "wandb-metadata.json"
_METADATA_MOST = 1 << 20  # bytes
_NOTES_MOST = 50_000  # characters; a hostile text of that length takes a second
EntryJson = Callable[[Placed], dict[str, Any]]

# Notes are a stranger's: no HTML of theirs, no image from elsewhere; links are checked by the library.
_markdown = (
    MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"]).disable("image")
)
# With its first link the library begins two tables, which other threads take for whole ones.
_markdown.render("<https://example.org/>")


def node_of(ctx: RequestContext, path: RunPath) -> RunNode:
    """A run as the lake has it, with what is queued over it.

    Raises:
        RunNotFoundError: it is not here.
    """
    nodes = RunBatch(ctx, path.key, [path.run_id]).nodes
    if not nodes:
        hint = f"`wandb-mirror pull {in_shell(*path)}` fetches it"
        raise RunNotFoundError(f"the run {path} is not in this mirror", hint=hint)
    return nodes[0]


def run_answer(entry_json: EntryJson) -> Callable[[RequestContext, Asked], dict[str, Any]]:
    """The question for a run, which shows what waits in the words that `outbox` has."""

    def run(ctx: RequestContext, asked: Asked) -> dict[str, Any]:
        path = asked.run()
        node = node_of(ctx, path)
        facts, attrs = node.facts, node.facts._attrs
        lake = ctx.mirror.reader
        spans = ctx.recall(("spans", path), lambda _: key_spans(lake, path), lambda found: 300 * len(found))
        shown = [span for span in spans if is_shown(span.key)]
        gaps = ctx.recall(("gaps", path), lambda snapshot: run_gaps(snapshot, path))
        summary = {key: value for key, value in facts._known_summary().items() if key != "_wandb"}
        notes = str(attrs.get("notes") or "")
        return {
            "path": list(path), "name": facts.name or facts.id, "state": facts.state, "gone": facts.gone,
            "url": facts.url if facts.url.startswith(("https://", "http://")) else None,
            "facts": list(facts_of(facts, shown)), "tags": [str(tag) for tag in attrs.get("tags") or ()],
            "notes": notes, "notes_html": _markdown.render(notes[:_NOTES_MOST]),
            "description": attrs.get("description") or "", "group": attrs.get("group"),
            "job_type": attrs.get("jobType"), "sweep": attrs.get("sweepName"),
            "config": facts._known_document("config") or {}, "summary": summary,
            "notices": [
                {"kind": one.kind, "title": one.title, "lines": list(one.lines)}
                for one in notices_of(facts, node.pending, gaps)
            ],
            "metadata": ctx.recall(("metadata", path), lambda snapshot: _metadata(snapshot, ctx.mirror.objects, path)),
            "metrics": [
                {
                    "key": span.key, "points": span.points, "first_step": span.first_step, "last_step": span.last_step,
                    "last": span.last, "low": span.low, "high": span.high, "in_summary": span.key in summary,
                }
                for span in sorted(shown, key=lambda span: (span.key not in summary, *shallow_first(span.key)))
            ],
            "system": sorted(ctx.recall(("system keys", path), lambda snapshot: system_keys(snapshot, path))),
            "pending": [entry_json(Placed(one.state, one.entry)) for one in node.pending],
            "states": _states(facts.state), "synced": utc_text(gaps.synced_at), "as_of": utc_text(gaps.synced_at),
            "counts": {
                "console": ctx.recall(("console span", path), lambda snapshot: console_span(snapshot, path)).count,
                "files": len(ctx.recall(("file names", path), lambda snapshot: list_file_names(snapshot, path))),
                "artifacts": count_versions(ctx, path),
            },
        }  # fmt: skip

    return run


def _states(state: str) -> list[str]:
    """The states to which W&B lets somebody set a run from this one."""
    allowed: Mapping[str, list[str]] = {
        "running": ["pending", "failed"], "pending": ["failed"], "failed": ["pending"], "crashed": ["pending"],
        "preempted": ["pending"],
    }  # fmt: skip
    return allowed.get(state, [])


def _metadata(lake: Queryable, objects: Objects, path: RunPath) -> dict[str, Any] | None:
    """What the SDK noted of the machine and the program; None where its file is not held."""
    held = read_files(lake, path, [METADATA]).get(METADATA)
    if held is None or held.object is None or (held.size or 0) > _METADATA_MOST:
        return None
    try:
        content = objects.path(held.object).read_bytes()
    except (OSError, StoreError):
        return None
    found = parse_lenient(content.decode("utf-8", "replace"))
    return found if isinstance(found, dict) else None
