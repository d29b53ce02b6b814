"""The file_stream endpoint: live history, events, summary and console output (W&B API notes, section 9).

Chunks carry the offset of their first line. A line sent again replaces itself, so a repeated request changes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from mirror.sandbox.histories.rows import Row, merge_rows, step_of
from mirror.sandbox.state.records import ConsoleLine, RunRecord
from mirror.sandbox.state.sandbox_state import SandboxState
from mirror.wandb_protocol.wire import parse_object, spell

_STAMPED = re.compile(r"^(ERROR )?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?)Z? ?(.*)$", re.DOTALL)


def apply_chunk(state: SandboxState, run: RunRecord, body: Mapping[str, Any]) -> dict[str, Any]:
    """Take one request's chunks into the run; returns the reply's JSON. Any call is a heartbeat and revives the run."""
    with state.lock:
        files = body.get("files") or {}
        for name, chunk in files.items():
            _apply_file(run, name, int(chunk.get("offset") or 0), [str(line) for line in chunk.get("content") or []])
        for name in body.get("uploaded") or []:
            record = run.files.get(name)
            if record is not None and record.size is not None:
                record.listed = True
        _move_state(run, body)
        state.changed(run, heartbeat=True)
        if body.get("complete") and run.history and state.exports_on_finish:
            state.request_export(run)
        return {"exitcode": None, "limits": {}, "stopped": run.stop_requested}


def _move_state(run: RunRecord, body: Mapping[str, Any]) -> None:
    if body.get("complete"):
        run.exit_code = int(body.get("exitcode") or 0)
        preempted = run.state == "preempting" or body.get("preempting")
        ended = "preempted" if preempted else "failed"
        run.state = "finished" if run.exit_code == 0 else ended
    elif body.get("preempting"):
        run.state = "preempting"
    else:
        run.state = "running"


def _apply_file(run: RunRecord, name: str, offset: int, lines: list[str]) -> None:
    if name == "wandb-history.jsonl":
        _history(run, offset, [json.loads(line) for line in lines])
    elif name == "wandb-events.jsonl":
        events = [json.loads(line) for line in lines]
        run.events[offset : offset + len(events)] = events
        latest = parse_object(run.system_metrics_text)
        for event in events:
            latest.update({key: value for key, value in event.items() if key.startswith("system.")})
        run.system_metrics_text = spell(latest)
    elif name == "wandb-summary.json" and lines:
        run.summary_text = lines[-1]
    elif name == "output.log":
        run.console_written = True
        while len(run.console) < offset:
            run.console.append(ConsoleLine(line=""))
        run.console[offset : offset + len(lines)] = [_console_line(line) for line in lines]


def _history(run: RunRecord, offset: int, rows: list[Row]) -> None:
    # A repeated line replaces itself also when its step changed: the old step of that line is taken out.
    for i, row in enumerate(rows):
        old = run.history_lines.get(offset + i)
        if old is not None and step_of(old) != step_of(row):
            run.history = [held for held in run.history if held["_step"] != step_of(old)]
        run.history_lines[offset + i] = row
    merge_rows(run, rows)


def _console_line(text: str) -> ConsoleLine:
    """A line as the SDK sends it: structured JSON, or "[ERROR ]<timestamp> <text>"."""
    if text.startswith("{"):
        try:
            fields = json.loads(text)
        except ValueError:
            fields = None
        if isinstance(fields, dict) and "content" in fields:
            return ConsoleLine(
                line=str(fields["content"]),
                timestamp=str(fields.get("ts") or ""),
                level=str(fields.get("level") or ""),
                label=str(fields.get("label") or ""),
            )
    match = _STAMPED.match(text)
    if match is None:
        return ConsoleLine(line=text)
    return ConsoleLine(line=match[3], timestamp=match[2], level="error" if match[1] else "")
