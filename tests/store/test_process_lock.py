"""A process lock refuses a second holder, and nobody who only asks who holds it keeps anybody out."""

from __future__ import annotations

import threading
import time

import filelock
import pytest

from mirror.errors import HomeBusy
from mirror.layout import Home
from mirror.locks import LOOK_S, ProcessLock, holder_of


def lock_of(home: Home) -> ProcessLock:
    return ProcessLock(home.daemon_lock, home.daemon_holder, busy="the daemon", hint="stop it first")


def test_a_look_at_the_lock_keeps_nobody_out(home: Home) -> None:
    home.root.mkdir()
    looking = threading.Event()

    def look() -> None:
        with filelock.FileLock(home.daemon_lock, timeout=0):
            looking.set()
            time.sleep(LOOK_S / 10)

    thread = threading.Thread(target=look)
    thread.start()
    looking.wait()
    with lock_of(home):
        assert holder_of(home.daemon_lock, home.daemon_holder) is not None
    thread.join()
    assert holder_of(home.daemon_lock, home.daemon_holder) is None


def test_a_second_holder_is_refused_with_the_name_of_the_first(home: Home) -> None:
    home.root.mkdir()
    with lock_of(home), pytest.raises(HomeBusy, match="PID"), lock_of(home):
        pass
