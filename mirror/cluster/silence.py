"""A database that takes what it is sent and answers nothing: the connections of this process to it are ended.

libpq waits for an answer without an end, in DuckDB too, and keepalives are acknowledged by a kernel whose programs
stand still. So a thread asks something small beside all that goes on. Where no answer comes, it shuts down every socket
that leads to the database, and whoever waits at one gets an error. A question that is slow is not cut: the small one is
answered beside it.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
import weakref
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

ASK_S = 10.0  # between two questions; who connects for a shorter time is not watched
ANSWER_S = 15.0  # for an answer, or for a connection
_LEAST_S = 1.0
QUESTION = b"SELECT 'here'"
_OPEN_FILES = Path("/proc/self/fd") if Path("/proc/self/fd").is_dir() else Path("/dev/fd")


def watch(conninfo: str, user: object = None) -> None:
    """Watch the connections of this process to a database, those too that are made within `ASK_S`.

    Args:
        conninfo: as libpq takes it.
        user: what may connect at any time while it exists, as an engine.
    """
    with _turn:
        found = _watches.get(conninfo)
        if found is None:
            found = _Watch(conninfo)
            threading.Thread(target=found.run, name="silence", daemon=True).start()
            _watches[conninfo] = found
        found.needed_at = time.monotonic()
        if user is not None:
            found.users.add(user)


class _Watch:
    """Of one database; its thread ends when nobody connects to it any more."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._own: PGconn | None = None
        self.users: weakref.WeakSet[object] = weakref.WeakSet()
        self.needed_at = 0.0  # monotonic

    def run(self) -> None:
        is_needed = True
        while is_needed:
            time.sleep(ASK_S)
            with contextlib.suppress(Exception):  # nothing of it may leave the database without its watch
                if not self._answers():
                    _each_socket(self._own, lambda found: found.shutdown(socket.SHUT_RDWR))
                    self._close()
            with _turn:
                is_needed = bool(self.users) or time.monotonic() - self.needed_at < ASK_S or self._is_connected()
                if not is_needed and _watches.get(self._conninfo) is self:
                    del _watches[self._conninfo]
        self._close()

    def _answers(self) -> bool:
        """Whether the database says something within `ANSWER_S`. A refusal is an answer; so is that of a kernel."""
        import psycopg

        try:
            if self._own is None:
                self._connect()
            assert self._own is not None
            until = time.monotonic() + ANSWER_S
            self._own.send_query(QUESTION)
            while self._own.flush():
                _wait(self._own, select.POLLIN | select.POLLOUT, until)
                self._own.consume_input()
            while self._own.is_busy() or self._own.get_result() is not None:
                if self._own.is_busy():
                    _wait(self._own, select.POLLIN, until)
                    self._own.consume_input()
        except TimeoutError:
            return False
        except (psycopg.Error, OSError):  # of this connection; others are told by the kernel
            self._close()
        return True

    def _connect(self) -> None:
        from psycopg import OperationalError
        from psycopg.pq import PGconn, PollingStatus

        self._own = PGconn.connect_start(_with_address(self._conninfo).encode())
        until = time.monotonic() + ANSWER_S
        while (state := self._own.connect_poll()) != PollingStatus.OK:
            if state == PollingStatus.FAILED:
                raise OperationalError(self._own.get_error_message())
            _wait(self._own, select.POLLIN if state == PollingStatus.READING else select.POLLOUT, until)
        self._own.nonblocking = 1

    def _is_connected(self) -> bool:
        """Whether this process has connections to the database, beside that which asks."""
        found: list[int] = []
        _each_socket(self._own, lambda one: found.append(one.fileno()))
        return len(found) > 1

    def _close(self) -> None:
        own, self._own = self._own, None
        if own is not None:
            own.finish()


def _wait(own: PGconn, event: int, until: float) -> None:
    poll = select.poll()
    poll.register(own.socket, event)
    left_s = max(_LEAST_S, until - time.monotonic())  # this process may be what stood still
    if not poll.poll(left_s * 1000):
        raise TimeoutError


def _with_address(conninfo: str) -> str:
    """The same with the address of its host: libpq looks for that while it keeps all of Python waiting.

    Raises:
        OSError: nobody knows the host now; that says nothing of the database.
    """
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    said = conninfo_to_dict(conninfo)
    host = str(said.get("host") or "")
    if not host or "hostaddr" in said or "," in host or host.startswith(("/", "@")):
        return conninfo
    found = socket.getaddrinfo(host, said.get("port") or 5432, type=socket.SOCK_STREAM)
    return make_conninfo("", **{**said, "hostaddr": str(found[0][4][0])})


def _each_socket(own: PGconn | None, action: Callable[[socket.socket], object]) -> None:
    """Do something with each socket of this process that leads where a connection leads, with its own too."""
    if own is None:
        return
    try:
        paths = list(_OPEN_FILES.iterdir())
    except OSError:  # no file can be opened now: the next time
        return
    for path in paths:
        with contextlib.suppress(OSError):  # no socket, or closed meanwhile
            found = socket.socket(fileno=int(path.name))  # no copy: to close one of a file would free its locks
            try:
                if _leads(found.getpeername(), own):
                    action(found)
            finally:
                found.detach()


def _leads(peer: object, own: PGconn) -> bool:
    port = own.port.decode()
    if not isinstance(peer, tuple):
        return peer == f"{own.host.decode()}/.s.PGSQL.{port}"
    with contextlib.suppress(ValueError):
        return str(peer[1]) == port and ip_address(peer[0].partition("%")[0]) == ip_address(own.hostaddr.decode())
    return False


def _forget() -> None:
    """A forked process has no threads, and makes connections of its own."""
    global _turn
    _turn = threading.Lock()
    _watches.clear()


_turn = threading.Lock()
_watches: dict[str, _Watch] = {}  # by what libpq is given
os.register_at_fork(after_in_child=_forget)
