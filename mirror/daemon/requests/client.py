"""The command's side: ask the daemon of a home, and hear its replies."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import msgspec

from mirror.daemon.requests.wire import Failed, Progress, Reply, Request, Waits, decode_reply, encode, socket_address
from mirror.errors import StoreError
from mirror.layout import Home
from mirror.locks import holder_of

_LEFT = "the daemon ended, or took another configuration, before it was done"
_GOES_ON = "nothing is lost; the same command goes on where it stopped"


class DaemonLeft(StoreError):
    """The daemon ended, or took another configuration, before what was asked was done."""


CONNECT_S, AGAIN_S = 5.0, 0.05
SILENT_S = 60.0  # the longest time between two replies of a daemon that is alive


def replies(home: Home, request: Request) -> Iterator[Reply] | None:
    """Ask the daemon of a home; None when none listens.

    The last reply is the outcome. Whoever stops reading before it ends what was asked.

    Raises:
        StoreError: while reading: the daemon went away, or stopped moving.
        MirrorError: while reading: what was asked failed, for this reason.
    """
    if (found := _connected(home)) is None:
        return None
    try:
        found.sendall(encode(request))
    except OSError:
        found.close()
        return None
    return _read(found)


def daemon_listens(home: Home) -> bool:
    """Whether a daemon takes requests for a home now."""
    if (found := _connected(home)) is None:
        return False
    found.close()
    return True


def _connected(home: Home) -> socket.socket | None:
    """A connection; one that begins, or takes another configuration, is waited for."""
    until = time.monotonic() + CONNECT_S
    while holder_of(home.daemon_lock, home.daemon_holder) is not None:
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            found.settimeout(CONNECT_S)
            with socket_address(home) as address:
                found.connect(address)
        except OSError:  # none is there, or what a daemon that was killed left
            found.close()
            if time.monotonic() > until:
                return None
            time.sleep(AGAIN_S)
        else:
            return found
    return None


def _read(found: socket.socket) -> Iterator[Reply]:
    with contextlib.closing(found), found.makefile("rb") as lines:
        found.settimeout(SILENT_S)
        while True:
            try:
                reply = decode_reply(line) if (line := lines.readline()) else None
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
            yield reply
            if not isinstance(reply, Waits | Progress):
                return
