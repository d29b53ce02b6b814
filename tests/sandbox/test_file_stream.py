"""Live data over plain HTTP: offsets, console rewrites, states, stop."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from mirror.sandbox import RunRecord, Sandbox

Stream = Callable[..., dict[str, Any]]


@pytest.fixture
def run(box: Sandbox) -> RunRecord:
    return box.state.add_run("e", "p", "r", state="running")


@pytest.fixture
def stream(http: httpx.Client, run: RunRecord) -> Stream:
    """Send one request with chunks by file name: (offset, lines)."""

    def send(chunks: dict[str, tuple[int, list[str]]] | None = None, **fields: Any) -> dict[str, Any]:
        files = {name: {"offset": offset, "content": lines} for name, (offset, lines) in (chunks or {}).items()}
        answer: dict[str, Any] = http.post("/files/e/p/r/file_stream", json={"files": files, **fields}).json()
        return answer

    return send


def rows(*values: tuple[int, float]) -> list[str]:
    return [json.dumps({"_step": step, "loss": loss}) for step, loss in values]


def test_a_repeated_chunk_changes_nothing_and_a_corrected_line_replaces_itself(run: RunRecord, stream: Stream) -> None:
    for _ in range(2):
        stream({"wandb-history.jsonl": (0, rows((0, 1.0), (1, 0.5)))})
    stream({"wandb-history.jsonl": (1, rows((2, 0.25)))})
    assert run.history == [{"_step": 0, "loss": 1.0}, {"_step": 2, "loss": 0.25}]


def test_the_summary_keeps_exact_integers_and_non_finite_tokens(run: RunRecord, stream: Stream) -> None:
    stream({"wandb-summary.json": (0, ['{"big": 123456789012345678901, "nan": NaN}'])})
    assert run.summary_text == '{"big": 123456789012345678901, "nan": NaN}'
    assert run.summary["big"] == 123456789012345678901


def test_console_lines_are_parsed_and_may_be_rewritten(run: RunRecord, stream: Stream) -> None:
    structured = json.dumps({"level": "error", "ts": "2024-01-01T00:00:01.5", "content": "bad", "label": "w0"})
    stream({"output.log": (0, ["ERROR 2024-01-01T00:00:00.000001 oops", "10%"])})
    stream({"output.log": (1, ["20%", structured])})
    assert [(line.line, line.level, line.label) for line in run.console] == [
        ("oops", "error", ""),
        ("20%", "", ""),
        ("bad", "error", "w0"),
    ]
    assert run.console[0].timestamp == "2024-01-01T00:00:00.000001"


def test_system_metrics_are_the_latest_of_each_key(run: RunRecord, stream: Stream) -> None:
    stream({"wandb-events.jsonl": (0, ['{"system.cpu": 1, "system.gpu": 5}', '{"system.cpu": 2}'])})
    assert json.loads(run.system_metrics_text or "") == {"system.cpu": 2, "system.gpu": 5}


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"complete": True, "exitcode": 0}, "finished"),
        ({"complete": True, "exitcode": 2}, "failed"),
        ({"preempting": True}, "preempting"),
        ({"preempting": True, "complete": True, "exitcode": 1}, "preempted"),
        ({}, "running"),
    ],
)
def test_states_follow_what_the_client_says(run: RunRecord, stream: Stream, fields: dict[str, Any], state: str) -> None:
    stream(**fields)
    assert run.state == state


def test_any_call_revives_an_ended_run_and_moves_its_heartbeat(box: Sandbox, run: RunRecord, stream: Stream) -> None:
    box.state.finish_run("e", "p", "r", state="crashed")
    before = run.heartbeat_at
    box.clock.advance(60)
    stream()
    assert run.state == "running"
    assert run.heartbeat_at != before


def test_the_reply_tells_a_stopped_run_to_stop(run: RunRecord, stream: Stream, box: Sandbox) -> None:
    assert stream()["stopped"] is False
    box.state.edit_run("e", "p", "r", stop_requested=True)
    assert stream()["stopped"] is True


def test_a_missing_run_and_a_stranger_are_refused(box: Sandbox, http: httpx.Client, run: RunRecord) -> None:
    assert http.post("/files/e/p/none/file_stream", json={}).status_code == 404
    url = f"{box.url}/files/e/p/r/file_stream"
    stranger = box.state.add_user("stranger")
    assert httpx.post(url, json={}, auth=("api", stranger.api_key)).status_code == 403
    assert httpx.post(url, json={}).status_code == 401
