"""A pull, a repair, a decision beside a daemon are asked of it: nothing is refused because it runs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mirror import errors
from mirror.daemon.requests.client import SAID_AFTER_S
from mirror.daemon.requests.server import MOST_AT_ONCE
from mirror.daemon.requests.wire import Failed, Progress, PullDone, decode_reply, encode_message
from mirror.errors import MirrorError
from mirror.layout import Home
from mirror.pull import ProjectReport, PullReport
from mirror.records.addresses import ProjectKey
from mirror.records.passes import Failure
from mirror.sandbox import Fault, Match, Sandbox
from tests.system.service import PATIENCE_S, Service, serving, wait_for

SELDOM = "poll_minutes = 600\npoll_active_minutes = 600\npoll_quiet_minutes = 600\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox.start() as sandbox:
        for number in range(4):
            files = {"a.txt": b"a%d" % number}
            sandbox.state.add_run("team", "proj", f"r{number}", tags=["a"], state="finished", files=files)
        yield sandbox


@pytest.fixture(scope="module")
def service(server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A daemon that pulls once, and then only when it is asked."""
    deep = tmp_path_factory.mktemp("deep") / ("a path that no system takes for a socket's " * 3)
    deep.mkdir()
    with serving(deep, server, more=SELDOM) as found:
        found.wait_event("pull_done")
        yield found
        assert found.stop() == 0
        assert not (found.cli.home / "daemon.sock").exists()
        assert found.events("answer_failed") == found.events("worker_crashed") == []


def test_a_pull_beside_a_daemon_is_done_by_it_and_told_as_any_other(server: Sandbox, service: Service) -> None:
    server.state.add_run("team", "proj", "new", state="finished")
    said = service.cli("pull", code=0)
    assert "team/proj: 1 new or changed" in said.err
    assert "1 project, " in said.err
    found = service.cli("sql", "SELECT count(*) AS n FROM runs WHERE run_id = 'new'", "--json", code=0)
    assert found.json == [{"n": 1}]
    server.state.edit_run("team", "proj", "r1", notes="by somebody")
    report = service.cli("pull", "team/proj/r1", "--json", code=0).json
    assert [(one["kind"], one["written"]) for one in report["projects"]] == [("named", 1)]
    walked = service.cli("pull", "--reconcile", "--retry-quarantined", "--source", "team/proj", "--json", code=0).json
    assert [one["kind"] for one in walked["projects"]] == ["walk"]
    assert "a pull would take about" in service.cli("pull", "--dry-run", code=0).out
    wait_for("them in status.json", lambda: service.status["pulls_good"] >= 2)


def test_what_goes_wrong_is_told_in_the_same_words_and_with_the_same_status(server: Sandbox, service: Service) -> None:
    said = service.cli("pull", "nobody/nothing/x", code=5)
    assert "project nobody/nothing does not exist" in said.error
    server.state.edit_run("team", "proj", "r2", notes="moved")
    server.faults.add(Fault.field_error("Run.files", message="it broke", match=Match(kind="graphql")))
    assert "left behind: team/proj/r2 (files): it broke" in service.cli("pull", code=9).err
    server.faults.clear()
    with server.outage():
        said = service.cli("pull", code=6)
        assert "cannot be reached" in said.error or "refused" in said.error
        wait_for("it in status.json", lambda: service.status["state"] == "offline")
        assert "as soon as the server is there" in service.cli("edit", "team/proj/r3", "--add-tag", "b", code=0).err
        (entry,) = service.cli("outbox", "list", "--json", code=0).json
        assert service.cli("outbox", "drop", entry["id"], "--yes", code=0).out.startswith(f"dropped {entry['id']}")
        assert service.cli("outbox", "list", "--json", code=0).json == []
    wait_for("it in status.json", lambda: service.status["state"] == "online")
    service.cli("pull", "--reconcile", "--retry-quarantined", code=0)
    assert "the daemon delivers it" in service.cli("edit", "team/proj/r3", "--add-tag", "c", code=0).err
    wait_for("delivery", lambda: "c" in server.state.run("team", "proj", "r3").tags)
    assert "b" not in server.state.run("team", "proj", "r3").tags


def test_the_home_is_maintained_and_repaired_by_it(server: Sandbox, service: Service) -> None:
    assert service.cli("maintain", "--json", code=0).json["dry_run"] is False
    damaged = next(path for path in Home(service.cli.home).objects.rglob("*") if path.is_file())
    damaged.chmod(0o644)
    damaged.write_bytes(b"?")
    assert service.cli("repair", "--yes", "--json", code=0).json["moved"] == [damaged.name]
    assert not damaged.exists()
    service.cli("pull", code=0)
    assert damaged.exists()
    service.cli("verify", code=0)


def test_ctrl_c_ends_what_was_asked_and_the_daemon_goes_on(server: Sandbox, service: Service) -> None:
    asked = len(service.events("asked"))
    server.faults.add(Fault.latency(20.0, match=Match(kind="graphql"), times=1))
    with service.cli.start("pull", stderr=subprocess.PIPE) as pull:
        service.wait_event("asked", asked + 1)
        with service.cli.start("pull", stderr=subprocess.PIPE) as second:
            assert second.stderr is not None
            assert b"the daemon does this next" in second.stderr.readline()
            pull.send_signal(signal.SIGINT)
            assert pull.wait(PATIENCE_S) == 130
            assert second.wait(PATIENCE_S) == 0
    server.faults.clear()


def test_a_reload_meanwhile_costs_nothing_that_was_asked(server: Sandbox, service: Service) -> None:
    asked = len(service.events("asked"))
    server.faults.add(Fault.latency(2.0, match=Match(kind="graphql"), times=1))
    with service.cli.start("pull", "--reconcile", stderr=subprocess.PIPE) as pull:
        service.wait_event("asked", asked + 1)
        service.process.send_signal(signal.SIGHUP)
        assert pull.wait(PATIENCE_S) == 0
        assert pull.stderr is not None
        assert b"is asked again" in pull.stderr.read()
    server.faults.clear()


def test_nothing_that_is_sent_ends_the_daemon(service: Service) -> None:
    with contextlib.ExitStack() as open_ones:
        for number in range(MOST_AT_ONCE + 4):
            place = socket.socket(socket.AF_UNIX)
            open_ones.enter_context(place)
            folder = open_ones.enter_context(_opened(service.cli.home))
            place.connect(f"/proc/self/fd/{folder}/daemon.sock")
            with contextlib.suppress(OSError):
                place.sendall([b"{", b'{"type":"pull","runs":7}\n', b"\xff\xfe\n", b'{"type":"dance"}\n'][number % 4])
    service.cli("pull", code=0)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("command", [("pull",), ("maintain",), ("pull", "team/proj/r0", "--json", "--quiet")])
def test_a_daemon_that_does_not_move_is_named_at_once_and_ctrl_c_ends_the_wait(
    service: Service, command: tuple[str, ...]
) -> None:
    assert SAID_AFTER_S < 2
    service.process.send_signal(signal.SIGSTOP)
    try:
        with service.cli.start(*command, stderr=subprocess.PIPE) as asking:
            assert asking.stderr is not None
            said = asking.stderr.readline().decode()
            assert said == (
                f"waiting for an answer of the daemon (process {service.process.pid}); Ctrl-C ends this command\n"
            )
            asking.send_signal(signal.SIGINT)
            assert asking.wait(PATIENCE_S) == 130
    finally:
        service.process.send_signal(signal.SIGCONT)
    service.cli("pull", code=0)


def test_what_is_asked_is_logged_as_what_is_due(server: Sandbox, service: Service) -> None:
    pulls, kept = len(service.events("pull_done")), len(service.events("maintenance_done"))
    server.state.add_run("team", "proj", "asked-for", state="finished")
    service.cli("pull", code=0)
    assert service.wait_event("pull_done", pulls + 1)["written"] == 1
    assert service.wait_event("pull_done", pulls + 1)["sources"] == ["team/proj"]
    service.cli("pull", "--dry-run", code=0)
    service.cli("maintain", code=0)
    service.wait_event("maintenance_done", kept + 1)
    assert len(service.events("pull_done")) == pulls + 1, "a rehearsal is no pull"


def test_a_daemon_that_dies_meanwhile_is_one_line(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.state.add_run("team", "proj", "r0", state="finished")
    with serving(tmp_path, sandbox, more=SELDOM) as service:
        service.wait_event("pull_done")
        sandbox.faults.add(Fault.latency(20.0, match=Match(kind="graphql")))
        with service.cli.start("pull", stderr=subprocess.PIPE) as pull:
            service.wait_event("asked")
            service.process.kill()
            assert pull.wait(PATIENCE_S) == 8
            assert pull.stderr is not None
            assert "error: the daemon ended" in pull.stderr.read().decode()
        sandbox.faults.clear()
        service.cli("pull", code=0)  # the socket that it left is nobody's


def test_a_home_that_can_hold_no_socket_costs_requests_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.state.add_run("team", "proj", "r0", state="finished")
    with serving(tmp_path, sandbox, more=SELDOM) as service:
        service.wait_event("pull_done")
        assert service.stop() == 0
    (tmp_path / "mirror" / "daemon.sock").mkdir()
    with serving(tmp_path, sandbox, more=SELDOM) as service:
        assert service.wait_event("cannot_listen")["hint"].endswith("it is tried again")
        service.wait_event("pull_done")
        assert "another process is writing" in service.cli.fails(8, "pull").error
        (tmp_path / "mirror" / "daemon.sock").rmdir()
        wait_for("it listens", lambda: (tmp_path / "mirror" / "daemon.sock").is_socket())
        service.cli("pull", code=0)
        assert service.stop() == 0
        assert len(service.events("cannot_listen")) == 1


def test_every_error_keeps_its_kind_its_words_and_its_status() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MirrorError)]
    for kind in kinds:
        error = kind.__new__(kind)
        MirrorError.__init__(error, "it broke", hint="mend it")
        heard = decode_reply(encode_message(Failed(error)))
        assert isinstance(heard, Failed)
        assert type(heard.error).__name__ == kind.__name__
        assert (heard.error.message, heard.error.hint) == ("it broke", "mend it")
        assert heard.error.exit_code == kind.exit_code


def test_reports_travel_whole() -> None:
    key = ProjectKey("e", "p/ö")
    project = ProjectReport(key=key, written=3, failed=[Failure(run_id="r", reason="x", item="files")])
    project.error = errors.Unreachable("away", hint="wait")
    for message in (PullDone(PullReport(projects=[project], requests=2)), Progress((project,), (project,))):
        heard = decode_reply(encode_message(message))
        assert json.loads(encode_message(heard)) == json.loads(encode_message(message))
