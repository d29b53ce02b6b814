"""A daemon whose configuration says where to listen answers W&B's own API, too, in a process beside it."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import httpx

from mirror.sandbox import Sandbox
from tests.system.service import Service, serving, wait_for

VIEWER = {"query": '{ project(name: "proj", entityName: "team") { runCount } }'}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def _answers(service: Service, port: int) -> bool:
    key = service.cli.home.joinpath("gateway.key")
    if not key.exists():
        return False
    try:
        answer = httpx.post(f"http://127.0.0.1:{port}/graphql", json=VIEWER, auth=("api", key.read_text().strip()))
    except httpx.TransportError:
        return False
    return answer.status_code == 200 and answer.json().get("data") == {"project": {"runCount": 2}}


def _listen_at(service: Service, port: int | None) -> None:
    text = service.cli.config.read_text(encoding="utf-8").partition("[serve]")[0].rstrip()
    more = "" if port is None else f'\n\n[serve]\nlisten = "127.0.0.1:{port}"\n'
    service.cli.config.write_text(f"{text}\n{more}", encoding="utf-8")


def test_it_serves_where_the_configuration_says_and_a_taken_port_is_a_finding(sandbox: Sandbox, tmp_path: Path) -> None:
    for number in range(2):
        sandbox.state.add_run("team", "proj", f"r{number}")
    port, other = _free_port(), _free_port()
    with serving(tmp_path, sandbox) as service:
        service.wait_event("pull_done")
        _listen_at(service, port)
        assert service.wait_event("serving")["address"] == f"127.0.0.1:{port}"
        wait_for("an answer", lambda: _answers(service, port))
        with socket.create_server(("127.0.0.1", other)):
            _listen_at(service, other)
            ended = service.wait_event("gateway_ended")
            assert "cannot listen on" in ended["reason"]
            wait_for("a finding", lambda: bool(service.status["gateway_error"]))
            told = service.cli("status", code=9)
            assert "scripts are not answered at `[serve] listen`" in told.out
            assert service.process.poll() is None
            assert not _answers(service, port)
        wait_for("the port that is free again", lambda: _answers(service, other))
        wait_for("no finding", lambda: service.status["gateway_error"] is None)
        _listen_at(service, None)
        wait_for("the end of serving", lambda: not _answers(service, other))
        _listen_at(service, port)
        wait_for("an answer", lambda: _answers(service, port))
        key = service.cli.home.joinpath("gateway.key").read_text().strip()
        assert key not in service.log_text
        os.kill(service.process.pid, signal.SIGKILL)
        service.process.wait(20)
        wait_for("the end of the gateway", lambda: not _answers(service, port))
