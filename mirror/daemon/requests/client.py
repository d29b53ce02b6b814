"""The command's side: ask the daemon of a home, and hear its replies."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Generator, Iterator

import msgspec

from mirror.daemon.requests.wire import (
    Failed,
    Progress,
    Reply,
    Request,
    Waits,
    decode_reply,
    encode_message,
    socket_address,
)
from mirror.errors import StoreError
from mirror.layout import Home
from mirror.locks import holder_of

_LEFT = "the daemon ended, or took another configuration, before it was done"
_GOES_ON = "nothing is lost; the same command goes on where it stopped"


class DaemonLeft(StoreError):
    """The daemon ended, or took another configuration, before what was asked was done."""


CONNECT_S, AGAIN_S = 5.0, 0.05
_CHUNK = 1 << 16  # bytes
SILENT_S = 60.0  # the longest time between two replies of a daemon that is alive
SAID_AFTER_S = 1.5  # without a first reply a person is told what is waited for
LATER_SAID_AFTER_S = 15.0  # without a further one; a daemon that is alive is never so long silent

Silent = Callable[[str], None]


def replies(home: Home, request: Request, silent: Silent) -> Iterator[Reply] | None:
    """Ask the daemon of a home; None when none listens.

    The last reply is the outcome. Whoever stops reading before it ends what was asked.

    Args:
        home: whose daemon.
        request: what is asked.
        silent: told what is waited for, where nothing is heard for a while.

    Raises:
        StoreError: while reading: the daemon went away, or stopped moving.
        MirrorError: while reading: what was asked failed, for this reason.
    """
    if (found := _connected(home, silent)) is None:
        return None
    try:
        found.sendall(encode_message(request))
    except OSError:
        found.close()
        return None
    return _read(found, lambda: silent(f"waiting for an answer of {_daemon(home)}; Ctrl-C ends this command"))


def daemon_listens(home: Home, silent: Silent) -> bool:
    """Whether a daemon takes requests for a home now; `silent` as for `replies`."""
    if (found := _connected(home, silent)) is None:
        return False
    found.close()
    return True


def _connected(home: Home, silent: Silent) -> socket.socket | None:
    """A connection; one that begins, or takes another configuration, is waited for."""
    begun, is_told = time.monotonic(), False
    while holder_of(home.daemon_lock, home.daemon_holder) is not None:
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            found.settimeout(CONNECT_S)
            with socket_address(home) as address:
                found.connect(address)
        except OSError:  # none is there, or what a daemon that was killed left
            found.close()
            waited = time.monotonic() - begun
            if waited > CONNECT_S:
                return None
            if waited > SAID_AFTER_S and not is_told:
                is_told = True
                silent(f"waiting until {_daemon(home)} listens, {CONNECT_S:.0f} s at most")
            time.sleep(AGAIN_S)
        else:
            return found
    return None


def _daemon(home: Home) -> str:
    holder = holder_of(home.daemon_lock, home.daemon_holder)
    return "the daemon" if holder is None else f"the daemon (process {holder.pid})"


def _read(found: socket.socket, silent: Callable[[], None]) -> Iterator[Reply]:
    said_after = SAID_AFTER_S
    with contextlib.closing(found), contextlib.closing(_lines(found, lambda: said_after, silent)) as lines:
        while True:
            try:
                line = next(lines, b"")
                reply = decode_reply(line) if line else None
            except TimeoutError as error:
                raise StoreError(
                    f"the daemon has said nothing for {SILENT_S:.0f} s", hint="`wandb-mirror status` says how it is"
                ) from error
            except ConnectionError as error:  # a process that was killed
                raise DaemonLeft(_LEFT, hint=_GOES_ON) from error
            except (OSError, msgspec.DecodeError) as error:
                raise StoreError(f"the daemon's answer cannot be read: {error}", hint=_GOES_ON) from error
            if reply is None:
                raise DaemonLeft(_LEFT, hint=_GOES_ON)
            if isinstance(reply, Failed):
                raise reply.error
            said_after = LATER_SAID_AFTER_S
            yield reply
            if not isinstance(reply, Waits | Progress):
                return


def _lines(
    found: socket.socket, said_after: Callable[[], float], silent: Callable[[], None]
) -> Generator[bytes, None, None]:
    """What comes, line by line, to the end.

    Raises:
        TimeoutError: nothing came for `SILENT_S`.
        OSError: the connection broke.
    """
    rest = b""
    while True:
        found.settimeout(said_after())
        try:
            chunk = found.recv(_CHUNK)
        except TimeoutError:
            silent()
            found.settimeout(SILENT_S - said_after())
            chunk = found.recv(_CHUNK)
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
