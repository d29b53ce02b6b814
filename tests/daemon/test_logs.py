"""Log lines: of a closed list, JSON or readable, and without secrets wherever those stand."""

from __future__ import annotations

import ast
import io
import json
from pathlib import Path
from typing import Any

import pytest

import mirror.daemon
from mirror.daemon.events import Event
from mirror.daemon.logs import HIDDEN, Log

KEY = "0123456789abcdef0123456789abcdef01234567"
SIGNED = "https://storage.example.com/b/o?X-Goog-Signature=abc123&Expires=9"
SECRETS = (KEY, "abc123", "hunter2", "YXBpOnNlY3JldA")


def lines(*, readable: bool, **fields: Any) -> str:
    out = io.StringIO()
    log = Log(out, readable=readable)
    log.redactor.hide([KEY])
    try:
        raise ValueError(f"key {KEY} at {SIGNED}")
    except ValueError as error:
        log.alarm(Event.WORKER_CRASHED, exc=error, **fields)
    return out.getvalue()


@pytest.mark.parametrize("readable", [True, False])
def test_no_line_holds_the_key_or_a_signed_address(readable: bool) -> None:
    said = lines(
        readable=readable,
        reason=f"GET {SIGNED} failed; Authorization: Basic YXBpOnNlY3JldA==",
        deep={"list": [(KEY, SIGNED)], KEY: "x"},
        error=OSError(f"{KEY} {SIGNED}"),
        proxy="http://user:hunter2@proxy.example.com:3128/",
        path=Path(f"/tmp/{KEY}"),
    )
    assert not [secret for secret in SECRETS if secret in said], said
    assert f"storage.example.com/b/o?{HIDDEN}" in said
    assert "ValueError" in said


def test_json_lines_parse_and_carry_the_event_the_level_and_the_time() -> None:
    (line,) = lines(readable=False, count=3, ratio=0.5, none=None, text="two\nlines é").splitlines()
    said = json.loads(line)
    assert (said["event"], said["level"], said["count"], said["none"]) == ("worker_crashed", "error", 3, None)
    assert said["text"] == "two\nlines é"
    assert said["timestamp"].endswith("Z")
    assert "Traceback" in said["exception"]


def test_a_pipe_gets_json_and_so_does_a_journal_that_looks_like_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out, pipe, journal = Terminal(), io.StringIO(), Terminal()
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    Log(out).info(Event.READY, sources=["e/p"])
    Log(pipe).info(Event.READY)
    monkeypatch.setenv("JOURNAL_STREAM", "9:1")
    Log(journal).info(Event.READY)
    assert not out.getvalue().startswith("{")
    assert "ready" in out.getvalue()
    assert json.loads(pipe.getvalue())["event"] == json.loads(journal.getvalue())["event"] == "ready"


def test_every_event_of_the_list_is_used_and_nothing_else_is_logged() -> None:
    used = set()
    for path in Path(mirror.daemon.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Event":
                used.add(node.attr)
    assert used - {"set"} == set(Event.__members__)
