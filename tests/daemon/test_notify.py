"""What the service manager hears."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from mirror.daemon.notify import Notifier


def test_it_speaks_to_a_socket_in_a_folder_and_to_an_abstract_one(tmp_path: Path) -> None:
    abstract = f"wandb-mirror-test-{os.getpid()}-{time.monotonic_ns()}"
    for address, name in ((str(tmp_path / "n"), str(tmp_path / "n")), (f"\0{abstract}", f"@{abstract}")):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.settimeout(10)
            manager.bind(address)
            notifier = Notifier({"NOTIFY_SOCKET": name})
            notifier.tell(READY=1, STATUS="two\nlines")
            assert manager.recv(4096) == b"READY=1\nSTATUS=two lines"
            notifier.reloading()
            first, second = manager.recv(4096).decode().splitlines()
            assert first == "RELOADING=1"
            assert abs(int(second.removeprefix("MONOTONIC_USEC=")) / 1e6 - time.monotonic()) < 60


def test_a_manager_that_is_behind_never_keeps_the_daemon(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "n"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "n")})
        started = time.monotonic()
        for _ in range(5000):
            notifier.tell(WATCHDOG=1, STATUS="busy")
        notifier.tell(STOPPING=1)
        assert time.monotonic() - started < 30


def test_nobody_who_listens_is_no_trouble(tmp_path: Path) -> None:
    Notifier({}).tell(READY=1)
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).tell(READY=1)
    Notifier({"NOTIFY_SOCKET": "/" + "x" * 200}).tell(READY=1)


@pytest.mark.parametrize(
    ("env", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_it_is_watched_only_where_the_manager_means_this_process(env: dict[str, str], seconds: float | None) -> None:
    assert Notifier(env).watchdog_s == seconds
