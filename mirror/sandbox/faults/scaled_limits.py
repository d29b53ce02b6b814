"""W&B's own rate limits: a budget of cost by project or by user, told at a scale of 1000."""

from __future__ import annotations

import json
import math
import threading
from dataclasses import dataclass, field

from mirror.sandbox.faults.fault import Fault, RequestFacts
from mirror.sandbox.schema.request_cost import Served, heavy_fields, project_of
from mirror.sandbox.storage import Answer

SCALE = 1000


@dataclass
class _Window:
    started_s: float
    used: float = 0.0


@dataclass
class ScaledLimiter:
    """The windows of every scaled limit in force. Thread-safe.

    Requests about a project share its budget, whoever sends them; the others count by key, or by address without one.
    """

    _windows: dict[tuple[int, str], _Window] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def refusal(self, fault: Fault, facts: RequestFacts, now_s: float) -> Answer | None:
        """The 429 of a request whose budget is used up."""
        with self._lock:
            window = self._window(fault, facts, now_s)
            if window.used < fault.budget:
                return None
            headers = {"content-type": "application/json", **_headers(fault, window, now_s)}
            if fault.tells_retry_after:
                headers["Retry-After"] = headers["RateLimit-Reset"]
            said = "Filestream rate limit exceeded" if facts.kind == "file_stream" else "rate limit exceeded"
            return Answer(status=429, body=json.dumps({"error": said}).encode(), headers=headers)

    def charge(self, fault: Fault, facts: RequestFacts, answer: Answer, now_s: float) -> dict[str, str]:
        """Take the cost of an answered request from the budget; the headers that tell what is left."""
        served = Served(runs=len(answer.run_names), heavy_fields=heavy_fields(facts.query), body_bytes=len(answer.body))
        with self._lock:
            window = self._window(fault, facts, now_s)
            window.used += fault.cost(served)
            return _headers(fault, window, now_s)

    def _window(self, fault: Fault, facts: RequestFacts, now_s: float) -> _Window:
        project = _project(facts)
        key = (id(fault), f"caller {facts.caller}" if project is None else f"project {project}")
        window = self._windows.get(key)
        if window is None or now_s - window.started_s >= fault.seconds:
            window = self._windows[key] = _Window(started_s=now_s)
        return window


def _project(facts: RequestFacts) -> str | None:
    """The project that a request is about; it stands in the path of a file stream."""
    if facts.kind == "file_stream":
        return "/".join(facts.path.split("/")[2:4])
    return project_of(facts.query, facts.variables)


def _headers(fault: Fault, window: _Window, now_s: float) -> dict[str, str]:
    left = max(0.0, fault.budget - window.used) / fault.budget
    return {
        "RateLimit-Limit": str(SCALE),
        "RateLimit-Remaining": str(math.floor(SCALE * left)),
        "RateLimit-Reset": str(math.ceil(max(0.0, window.started_s + fault.seconds - now_s))),
    }
