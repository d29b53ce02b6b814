"""What travels between a command and the daemon: JSON, a line each, of the structs below."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from mirror import errors
from mirror.carry.outcome import Imported
from mirror.config import Narrowing
from mirror.errors import MirrorError
from mirror.layout import Home
from mirror.offline.wanted import Wanted
from mirror.pull import ProjectReport, PullReport
from mirror.records.addresses import RunPath
from mirror.records.offline import OfflineLog
from mirror.records.operations import Entry
from mirror.typed import convert, hooked_decoder

LONGEST_REQUEST = 4_000_000  # bytes of a line: a plan of repairs names each object
LONGEST_PATH = 100  # bytes that every system takes as the address of a socket


class AskPull(msgspec.Struct, frozen=True, kw_only=True, tag="pull"):
    """Pull now, as `pull.PullRequest` has it; what of each run is wanted says the daemon's own configuration."""

    sources: tuple[str, ...] = ()  # paths; without any, all that are configured
    runs: tuple[RunPath, ...] = ()
    narrowing: Narrowing = Narrowing()
    force_walk: bool = False
    accept_missing: bool = False
    retry_quarantined: bool = False
    dry_run: bool = False


class AskMaintain(msgspec.Struct, frozen=True, tag="maintain"):
    """Maintain the home now."""


class AskRepair(msgspec.Struct, frozen=True, tag="repair"):
    """Do what a person agreed to."""

    plan: msgspec.Raw  # a `check.repair.Plan`; raw, so that a pull need not load what reads Parquet


class AskDrop(msgspec.Struct, frozen=True, tag="drop"):
    """Give an entry of the outbox up."""

    entry_id: str


class AskAdd(msgspec.Struct, frozen=True, tag="add"):
    """Take in runs that were trained without a server, and follow those that go on."""

    wanted: Wanted


class AskImport(msgspec.Struct, frozen=True, tag="import"):
    """Queue what another home exported."""

    file: str  # absolute path


Request = AskPull | AskMaintain | AskRepair | AskDrop | AskAdd | AskImport


class Waits(msgspec.Struct, frozen=True, tag="waits"):
    """It is not begun yet."""

    reason: str


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """How a pull is, project by project; those that ended are told once more."""

    projects: tuple[ProjectReport, ...]
    ended: tuple[ProjectReport, ...] = ()


class PullDone(msgspec.Struct, frozen=True, tag="pulled"):
    """A pull ended."""

    report: PullReport


class Maintained(msgspec.Struct, frozen=True, tag="maintained"):
    """The home is maintained."""

    done: msgspec.Raw  # a `store.care.maintenance.Maintenance`


class Repaired(msgspec.Struct, frozen=True, tag="repaired"):
    """The plan is carried out."""

    to_fetch: int  # items that the next pull fetches again


class Dropped(msgspec.Struct, frozen=True, tag="dropped"):
    """The entry left the outbox; its receipt stays."""

    entry: Entry


class LeftOut(msgspec.Struct, frozen=True):
    """A log that was found and is not taken."""

    source: str
    reason: str


class Added(msgspec.Struct, frozen=True, tag="added"):
    """What was found is taken in."""

    rows: tuple[OfflineLog, ...]
    new: tuple[bool, ...]  # of each, whether it was not there before
    left_out: tuple[LeftOut, ...] = ()
    lost: tuple[tuple[str, ...], ...] = ()  # of each, files that it names and that were not there


class ImportDone(msgspec.Struct, frozen=True, tag="imported"):
    """What an archive holds is queued."""

    done: Imported


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It could not be done."""

    error: MirrorError


Outcome = PullDone | Maintained | Repaired | Dropped | Added | ImportDone | Failed
Reply = Waits | Progress | Outcome


class _ToldError(msgspec.Struct, frozen=True):
    kind: str
    message: str
    hint: str


def encode_message(message: Request | Reply) -> bytes:
    """One line."""
    return msgspec.json.encode(message, enc_hook=_told) + b"\n"


def decode_request(line: bytes) -> Request:
    """Read a request.

    Raises:
        msgspec.DecodeError: it is none.
    """
    request: Request = _REQUESTS.decode(line)
    return request


def decode_reply(line: bytes) -> Reply:
    """Read a reply.

    Raises:
        msgspec.DecodeError: it is none.
    """
    reply: Reply = _REPLIES.decode(line)
    return reply


def _told(value: Any) -> Any:
    if isinstance(value, MirrorError):
        return _ToldError(type(value).__name__, value.message, value.hint)
    raise NotImplementedError(type(value).__name__)


def _heard(kind: type, value: Any) -> Any:
    if kind is not MirrorError:
        raise NotImplementedError(kind.__name__)
    told = convert(value, _ToldError)
    found = getattr(errors, told.kind, None)
    of_ours = found if isinstance(found, type) and issubclass(found, MirrorError) else MirrorError
    error = of_ours.__new__(of_ours)  # the arguments of some say more than a reply does
    MirrorError.__init__(error, told.message, hint=told.hint)
    return error


_REQUESTS = hooked_decoder(Request, _heard)
_REPLIES = hooked_decoder(Reply, _heard)


@contextlib.contextmanager
def socket_address(home: Home) -> Iterator[str]:
    """The address of the daemon's socket, in a form that the system takes however long the path of the home is.

    Raises:
        OSError: the home is not there, or too deep for this system.
    """
    path = str(home.daemon_socket)
    if len(os.fsencode(path)) <= LONGEST_PATH:
        yield path
        return
    folder = os.open(home.root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield str(Path(f"/proc/self/fd/{folder}") / home.daemon_socket.name)
    finally:
        os.close(folder)
