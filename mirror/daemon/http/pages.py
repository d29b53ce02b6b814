"""What the daemon answers: `/healthz` for those who ask whether all is well, `/metrics` for Prometheus.

Both tell what the last heartbeat said, so that asking costs nothing. Every program of this machine may ask: there is no
key, no address with a permission and no run in it, only names of sources.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import msgspec

from mirror.daemon.http.exchange import Response
from mirror.daemon.status.health import Finding
from mirror.daemon.status.status_file import DaemonStatus

HAS_METRICS = importlib.util.find_spec("prometheus_client") is not None
NO_METRICS_HINT = 'pip install "wandb-mirror[prometheus]"'


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `/healthz`."""

    healthy: bool
    state: str  # of the daemon; `starting` before its first word
    findings: list[Finding]


Said = Callable[[], DaemonStatus | None]
Findings = Callable[[], list[Finding]]


class DaemonPages:
    """The pages of one daemon.

    Args:
        said: what it said last; None before the first word.
        findings: what of that waits for a person now.
    """

    def __init__(self, said: Said, findings: Findings) -> None:
        self._said = said
        self._findings = findings
        self._metrics: Callable[[], tuple[bytes, str]] | None = None
        if HAS_METRICS:
            from mirror.daemon.http.metrics import Metrics  # the library is optional

            self._metrics = Metrics(said, findings).text

    def __call__(self, path: str) -> Response | None:
        """The answer at a path; None when there is none."""
        if path == "/healthz":
            return self._health()
        if path != "/metrics":
            return None
        if self._metrics is None:
            return Response(status=501, body=f"metrics need a library: {NO_METRICS_HINT}\n".encode())
        body, kind = self._metrics()
        return Response(status=200, body=body, kind=kind)

    def _health(self) -> Response:
        said, findings = self._said(), self._findings()
        healthy = said is not None and not findings
        health = Health(healthy=healthy, state="starting" if said is None else said.state, findings=findings)
        body = msgspec.json.format(msgspec.json.encode(health)) + b"\n"
        return Response(status=200 if healthy else 503, body=body, kind="application/json")
