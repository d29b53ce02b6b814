"""What a daemon tells: `/healthz` and `/metrics` of the real process, and no secret anywhere."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from mirror.sandbox import Fault, Match, Sandbox
from tests.daemon.test_http import free_port
from tests.system.service import Service, serving, wait_for
from tests.system.test_daemon import fill, tags


def ask(port: int, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False, timeout=30)


def findings(port: int) -> list[str]:
    """Names, after a check that the status agrees."""
    answer = ask(port, "/healthz")
    said = answer.json()
    assert (answer.status_code == 200) == said["healthy"]
    return [finding["name"] for finding in said["findings"]]


def metrics(port: int) -> dict[tuple[str, str], float]:
    """By name and the values of the labels, joined."""
    families = text_string_to_metric_families(ask(port, "/metrics").text)
    return {(one.name, " ".join(one.labels.values())): one.value for family in families for one in family.samples}


def addresses(service: Service) -> list[str]:
    """Where the daemon came to listen, its socket for commands included."""
    return [event["address"] for event in service.events("listening")]


def test_it_answers_on_loopback_and_moves_with_the_configuration(sandbox: Sandbox, tmp_path: Path) -> None:
    fill(sandbox)
    port, other = free_port(), free_port()
    with serving(tmp_path, sandbox, more=f'listen = "127.0.0.1:{port}"\n') as service:
        wait_for("it listens", lambda: f"127.0.0.1:{port}" in addresses(service))
        service.wait_event("pull_done")
        wait_for("good pulls", lambda: metrics(port).get(("wandb_mirror_pulls_total", "good"), 0) >= 1)
        assert ask(port, "/healthz").json() == {"healthy": True, "state": "online", "findings": []}
        said = metrics(port)
        assert said["wandb_mirror_healthy", ""] == 1
        assert said["wandb_mirror_source_last_good_pull_timestamp_seconds", "team/proj"] > 1.7e9
        assert said["wandb_mirror_disk_bytes", "lake"] > 0
        service.cli("edit", "team/proj/r0", "--add-tag", "best", code=0)
        wait_for("it in metrics", lambda: metrics(port)["wandb_mirror_operations_total", "applied"] == 1)
        text = service.cli.config.read_text(encoding="utf-8")
        service.cli.config.write_text(text.replace(str(port), str(other)), encoding="utf-8")
        wait_for("it moved", lambda: f"127.0.0.1:{other}" in addresses(service))
        assert findings(other) == []
        service.cli.config.write_text(text.replace("127.0.0.1", "0.0.0.0"), encoding="utf-8")
        assert "HOST:PORT on loopback" in service.wait_event("config_refused")["reason"]
        wait_for("it is told", lambda: findings(other) == ["config_refused"])
        assert metrics(other)["wandb_mirror_config_refused", ""] == 1
        assert service.stop() == 0


def test_a_port_in_use_is_one_line_and_nothing_else_suffers(sandbox: Sandbox, tmp_path: Path) -> None:
    fill(sandbox)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        more = f'listen = "127.0.0.1:{taken.getsockname()[1]}"\n'
        with serving(tmp_path, sandbox, more=more) as service:
            service.wait_event("pull_done")
            assert "in use" in service.wait_event("cannot_listen")["reason"]
            assert service.stop() == 0
            assert len(service.events("cannot_listen")) == 1


def test_what_waits_for_a_person_is_told_by_each_teller_alike(sandbox: Sandbox, tmp_path: Path) -> None:
    fill(sandbox)
    port = free_port()
    with serving(tmp_path, sandbox, more=f'listen = "127.0.0.1:{port}"\n') as service:
        service.wait_event("pull_done")
        sandbox.faults.add(Fault.graphql_error("invalid notes", match=Match(kind="graphql", query="mutation")))
        service.cli("edit", "team/proj/r0", "--notes", "x", code=0)
        wait_for("it is refused", lambda: findings(port) == ["refused"])
        assert service.wait_event("finding")["finding"] == "refused"
        assert metrics(port)["wandb_mirror_finding", "refused"] == 1
        assert metrics(port)["wandb_mirror_healthy", ""] == 0
        said = service.cli("status", "--json", code=9).json
        assert [one["name"] for one in said["findings"]] == ["refused"]
        assert said["findings"] == ask(port, "/healthz").json()["findings"]
        sandbox.faults.clear()
        service.cli("outbox", "retry", "--all", code=0)
        wait_for("all is well", lambda: findings(port) == [])
        assert service.wait_event("finding_over")["finding"] == "refused"
        service.cli("status", code=0)
        assert service.stop() == 0


def refuse_key(sandbox: Sandbox) -> Any:
    """From now on the server knows nobody by the key; what gives it back."""
    user = sandbox.state.users.pop(sandbox.api_key)
    return lambda: sandbox.state.users.update({sandbox.api_key: user})


def test_a_refused_key_is_no_outage_and_no_secret_is_told(sandbox: Sandbox, tmp_path: Path) -> None:
    fill(sandbox)
    sandbox.state.add_file("team", "proj", "r0", "model.pt", b"weights")
    sandbox.faults.add(Fault.status(403, match=Match(kind="storage")))  # its address is in the error, if anywhere
    port = free_port()
    with serving(tmp_path, sandbox, more=f'listen = "127.0.0.1:{port}"\n') as service:
        service.wait_event("pull_done")
        (failure,) = service.cli("status", "--json", code=0).json["failures"]
        assert failure["item"] == "file model.pt"
        give_back = refuse_key(sandbox)
        service.cli("edit", "team/proj/r1", "--add-tag", "late", code=0)
        refused = service.wait_event("key_refused")
        assert (refused["level"], "API key" in refused["reason"]) == ("error", True)
        wait_for("it in status.json", lambda: service.status["state"] == "key_refused")
        wait_for("it in /healthz", lambda: findings(port) == ["key_refused"])
        assert metrics(port)["wandb_mirror_state", "key_refused"] == 1
        said = service.cli("status", code=9).out
        assert "key_refused: the server refuses the API key" in said
        assert "wandb login" in said
        service.wait_heard("STATUS=the key is refused since")
        assert_nothing_secret(service, sandbox, port)
        give_back()
        service.wait_event("online")
        wait_for("delivered", lambda: "late" in tags(sandbox, "r1"))
        wait_for("all is well", lambda: findings(port) == [])
        assert service.events("offline") == []
        assert len(service.events("key_refused")) == 1
        assert_nothing_secret(service, sandbox, port)
        assert service.stop() == 0


def assert_nothing_secret(service: Service, sandbox: Sandbox, port: int) -> None:
    told = [
        ask(port, "/healthz").text,
        ask(port, "/metrics").text,
        json.dumps(service.status),
        service.log_text,
        "\n".join(service.heard),
        service.cli("status", "--json").out,
    ]
    for text in told:
        assert text
        for secret in (sandbox.api_key, "X-Signature="):
            assert secret not in text
