"""What a run contains beside numbers: its console, files, tables, media and histograms."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mirror.errors import ConfigError, NotMirrored
from mirror.gateway.context import RequestContext
from mirror.records.addresses import RunPath
from mirror.run.run import Run
from mirror.store.history.sampling import evenly
from mirror.store.read.console import console_span, read_console
from mirror.store.read.files import list_file_names, read_files
from mirror.texts.ordering import shallow_first
from mirror.texts.values import dump_strict, parse_lenient
from mirror.web.addresses import file_address
from mirror.web.answers.one_run import node_of
from mirror.web.answers.runs import is_own, kinds_of_keys
from mirror.web.answers.times import utc_text
from mirror.web.asked import Asked, object_of
from mirror.web.file_kinds import kind_of

MOST_LINES = 2_000  # of the console, in one answer
MOST_FILES = 20_000
MOST_ROWS = 10_000  # of a logged table
MOST_STEPS = 500  # of a key of media
MOST_HISTOGRAMS = 200  # columns of a heat map
_TABLE_MOST = 100 << 20  # bytes
_LOOKED_THROUGH = 200_000  # rows of a history
_KINDS = {
    "image-file": "image", "images": "image", "images/separated": "image", "audio-file": "audio", "audio": "audio",
    "video-file": "video", "videos": "video", "html-file": "html", "html": "html", "table-file": "table",
    "partitioned-table": "table", "joined-table": "table", "histogram": "histogram", "object3D-file": "other",
    "molecule-file": "other", "plotly-file": "other", "bokeh-file": "other",
}  # fmt: skip


def console(ctx: RequestContext, asked: Asked) -> dict[str, Any]:
    """Lines of a run's console, by their places."""
    path = asked.run()
    span = ctx.recall(("console span", path), lambda lake: console_span(lake, path))
    start = asked.count("start", 0, span.count)
    stop = min(asked.count("stop", start + MOST_LINES, span.count), start + MOST_LINES)
    rows = read_console(ctx.lake, path, span, start, stop) if stop > start else []
    return {
        "count": span.count,
        "lines": [
            {"number": row.number, "at": utc_text(row.at), "level": row.level, "label": row.label, "text": row.line}
            for row in rows
        ],
    }


def files(ctx: RequestContext, asked: Asked) -> dict[str, Any]:
    """The files of a run, by name."""
    path = asked.run()
    names = ctx.recall(("file names", path), lambda lake: list_file_names(lake, path))[:MOST_FILES]
    found = read_files(ctx.lake, path, names)
    return {
        "files": [
            {
                "name": name, "size": found[name].size, "kind": kind_of(name), "held": found[name].object is not None,
                "reason": found[name].reason, "url": file_address(path, name),
            }
            for name in names
            if name in found
        ]
    }  # fmt: skip


def table(ctx: RequestContext, asked: Asked) -> dict[str, Any]:
    """A table that a run logged, by its key, or by the name of its file.

    Raises:
        NotMirrored: its bytes are not here.
    """
    path = asked.run()
    if asked.has("file"):
        names, rows = _table_of_file(ctx, path, asked.text("file"))
    else:
        step = asked.count("step", 0, 2**62) if asked.has("step") else None
        found = Run(ctx.mirror, path).table(asked.text("key"), step)
        names, rows = found.columns, found.data
    kept = rows[:MOST_ROWS]
    held = _held(ctx, path, (cell for row in kept for cell in row))
    return {
        "columns": [str(name) for name in names],
        "rows": [[_cell(path, cell, held) for cell in row] for row in kept],
        "total": len(rows),
        "kept": len(kept),
    }


def media(ctx: RequestContext, asked: Asked) -> dict[str, Any]:
    """The keys under which a run logged media; with `key` what it logged there, by step."""
    path = asked.run()
    node = node_of(ctx, path)
    found = {
        key: kind
        for key, kinds in kinds_of_keys(node).items()
        if not is_own(key) and (kind := _kind(kinds)) is not None
    }
    if not asked.has("key"):
        counts = _counts(node.facts._known_document("historyKeys"))
        keys = [
            {"key": key, "kind": found[key], "count": counts.get(key, 0)} for key in sorted(found, key=shallow_first)
        ]
        return {"keys": keys}
    key = asked.text("key")
    rows = list(_logged(ctx, path, key))
    chosen = [rows[place] for place in evenly(len(rows), MOST_STEPS)] if len(rows) > MOST_STEPS else rows
    held = _held(ctx, path, (value for _, value in chosen))
    steps = [{"step": step, "items": list(_items(path, value, held))} for step, value in chosen]
    return {"key": key, "kind": found.get(key, "other"), "steps": steps, "total": len(rows)}


def histogram(ctx: RequestContext, asked: Asked) -> dict[str, Any]:
    """The histograms that a run logged under a key, evenly spread over its steps."""
    rows = [
        (step, value)
        for step, value in _logged(ctx, asked.run(), asked.text("key"))
        if isinstance(value, dict) and isinstance(value.get("values"), list)
    ]
    chosen = [rows[place] for place in evenly(len(rows), MOST_HISTOGRAMS)] if len(rows) > MOST_HISTOGRAMS else rows
    steps = []
    for step, value in chosen:
        counts = [float(one) for one in value["values"] if isinstance(one, int | float)]
        bins = _edges(value, len(counts))
        if counts and len(bins) == len(counts) + 1:
            steps.append({"step": step, "bins": bins, "counts": counts})
    return {"key": asked.text("key"), "steps": steps, "total": len(rows)}


def _edges(value: Mapping[str, Any], count: int) -> list[float]:
    """The edges of a histogram's bins; of one that was packed they follow from the first and the width."""
    packed = value.get("packedBins")
    if isinstance(packed, dict):
        first, width = packed.get("min"), packed.get("size")
        if isinstance(first, int | float) and isinstance(width, int | float):
            return [first + width * place for place in range(count + 1)]
    bins = value.get("bins")
    return [float(one) for one in bins if isinstance(one, int | float)] if isinstance(bins, list) else []


def _logged(ctx: RequestContext, path: RunPath, key: str) -> Iterator[tuple[int, Any]]:
    """What a run logged under a key, with its steps."""
    if not key:
        raise ConfigError("key names what was logged")
    with contextlib.closing(_scan(ctx, path, key)) as rows:
        for row in itertools.islice(rows, _LOOKED_THROUGH):
            value = _within(row, key)
            if value is not None:
                yield int(row.get("_step") or 0), value


def _scan(ctx: RequestContext, path: RunPath, key: str) -> Any:
    return (row for row in Run(ctx.mirror, path).scan_history(keys=["_step", key]))


def _within(row: Mapping[str, Any], key: str) -> Any:
    """The value of a key; of a dotted one that inside of dictionaries."""
    if key in row:
        return row[key]
    value: Any = row
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return value


def _kind(kinds: Iterable[str]) -> str | None:
    return next((_KINDS[kind] for kind in kinds if kind in _KINDS), None)


def _counts(history_keys: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for key, facts in object_of(object_of(history_keys).get("keys")).items():
        counts = object_of(facts).get("typeCounts")
        if isinstance(counts, list):
            found[key] = sum(one["count"] for one in map(object_of, counts) if isinstance(one.get("count"), int))
    return found


def _names_in(value: Any) -> list[str]:
    """The files that a logged value stands for."""
    if not isinstance(value, dict) or not isinstance(value.get("_type"), str):
        return []
    if isinstance(value.get("path"), str):
        return [value["path"]]
    names = value.get("filenames")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _held(ctx: RequestContext, path: RunPath, values: Iterable[Any]) -> frozenset[str]:
    names = list(dict.fromkeys(name for value in values for name in _names_in(value)))
    found = read_files(ctx.lake, path, names) if names else {}
    return frozenset(name for name, file in found.items() if file.object is not None)


def _items(path: RunPath, value: Any, held: frozenset[str]) -> Iterator[dict[str, Any]]:
    """Each file of a logged value."""
    names, noted = _names_in(value), object_of(value)
    captions = noted.get("captions") if isinstance(noted.get("captions"), list) else [noted.get("caption")]
    kind = _KINDS.get(str(noted.get("_type")), "other")
    for place, name in enumerate(names):
        caption = captions[place] if isinstance(captions, list) and place < len(captions) else None
        yield {
            "kind": kind if kind != "other" else kind_of(name), "url": file_address(path, name), "name": name,
            "caption": caption if isinstance(caption, str) else None, "held": name in held,
            "width": noted.get("width"), "height": noted.get("height"),
        }  # fmt: skip


def _cell(path: RunPath, cell: Any, held: frozenset[str]) -> Any:
    if cell is None or isinstance(cell, str | int | float | bool):
        return cell
    if isinstance(cell, dt.datetime | dt.date | dt.time):
        return cell.isoformat()
    if (item := next(_items(path, cell, held), None)) is not None:
        return {"kind": item["kind"], "url": item["url"], "caption": item["caption"], "held": item["held"]}
    plain = cell.tolist() if hasattr(cell, "tolist") else cell
    return {"kind": "json", "text": dump_strict(plain)[:10_000]}


def _table_of_file(ctx: RequestContext, path: RunPath, name: str) -> tuple[Sequence[Any], list[list[Any]]]:
    held = read_files(ctx.lake, path, [name]).get(name)
    if held is None or held.object is None:
        raise NotMirrored(f"{name!r} is not in this mirror")
    if (held.size or 0) > _TABLE_MOST:
        raise ConfigError(f"{name!r} is too large to be shown", hint="`wandb-mirror checkout` writes it out")
    noted = parse_lenient(ctx.mirror.objects.path(held.object).read_text(encoding="utf-8", errors="replace"))
    columns, data = object_of(noted).get("columns"), object_of(noted).get("data")
    if not isinstance(columns, list) or not isinstance(data, list):
        raise ConfigError(f"{name!r} is no table")
    rows = [row for row in data if isinstance(row, list)]
    return columns, [row + [None] * (len(columns) - len(row)) for row in rows]
