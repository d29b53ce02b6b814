"""The lease of a shared lake: one process writes it, another takes over when it dies, is cut off or stands still.

    the lock     an advisory lock of PostgreSQL, held by a connection: free at once when its process ends
    the token    a number that rises with each lease; the fence refuses everybody who has an older one (`schema`)
    the beat     a number that the holder raises every few seconds

No clock of any machine is compared with another's. A holder trusts its lease for `TRUST_S` after a beat that PostgreSQL
acknowledged. Whoever waits reckons from when it saw the beat first, by its own monotonic clock: it takes a lease over
once the lock is free and `GRACE_S` passed, or once the beat stood still for `STILL_S` though the lock is held, as that
of a stopped process is; the connections of such a one are ended. `TRUST_S < GRACE_S`, so no two deliver at once.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec

from mirror.clock import utc_now
from mirror.cluster.postgres import connect, connected, name_of_connections, postgres_errors
from mirror.cluster.schema import TOKEN, fence, make_tables
from mirror.errors import LeaseHeld, LeaseLost, MirrorError
from mirror.store_settings import StoreSettings
from mirror.typed import decode

if TYPE_CHECKING:
    import psycopg

BEAT_S = 5.0
TRUST_S = 20.0
RELEASE_S = 10.0  # for which a beat that is under way is waited for
GRACE_S = 25.0
STILL_S = 40.0
_LOCK = "SELECT pg_try_advisory_lock(hashtext('wandb_mirror.lease'))"
_LOOK_S = 0.5  # between two looks while the grace passes
# A machine that slept has not held its lease meanwhile; Linux stops `time.monotonic` for that.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class LeaseHolder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a lease."""

    host: str
    pid: int
    home: str  # the folder, on that host
    home_id: str  # of that very folder: a copy of the home has another
    since: str  # ISO 8601, UTC
    name: str  # of its connections
    waits: bool = False  # it lets the trust of the holder before pass: until then nothing is known to be its own

    def __str__(self) -> str:
        """For a person."""
        return f"{self.host} (PID {self.pid}, {self.home}) since {self.since}"


class _Seen(msgspec.Struct, frozen=True):
    """A beat, and when it was seen first by this process."""

    token: int
    beat: int
    at: float  # monotonic, s


_seen: dict[str, _Seen] = {}  # by catalog: what this process saw last, whoever asked


class Lease:
    """The right to write a shared lake; `acquire` it, `check` it, `release` it.

    Args:
        place: where the lake stands.
        home: the folder of this process, for people.
        home_id: of that home; its `writer.lock` is held, so that no other process of it lives.
    """

    def __init__(self, place: StoreSettings, *, home: str, home_id: str) -> None:
        self._place = place
        self._home, self._home_id = home, home_id
        self.token = 0
        self.lake_id = ""  # the name of the lake, which no other has
        self._beaten_at = 0.0
        self._lost = False
        self._over = threading.Event()
        self._connection: psycopg.Connection[Any] | None = None
        self._has_lock = False
        self._beating: threading.Thread | None = None

    def acquire(self) -> None:
        """Take it. Waits `GRACE_S` at most, where a holder ended without giving it back.

        Raises:
            LeaseHeld: another process has it; the message names it.
            LakeAway: PostgreSQL does not answer.
        """
        with postgres_errors(self._place), contextlib.ExitStack() as opening:
            self._connection = connect(self._place)
            opening.callback(self._connection.close)
            make_tables(self._connection)
            ((self.lake_id,),) = self._connection.execute("SELECT id FROM wandb_mirror.lake").fetchall()
            before = self._take_lock(self._connection)
            self._has_lock = True
            if (before := self._raise_token(self._connection, before)) is not None:
                self._wait_out(before)
                self._set_holder(self._connection, self._me(waits=False))
            self._beat_once()
            opening.pop_all()
        self._beating = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._beating.start()

    def fence(self) -> None:
        """Put the fence before tables that are new.

        Raises:
            StoreError: it cannot be.
        """
        with connected(self._place, self.option) as connection:
            fence(connection)

    @property
    def option(self) -> str:
        """With which a connection may change the catalog."""
        return f"-c {TOKEN}={self.token}"

    def check(self) -> None:
        """Go on only while nobody else can have it.

        Raises:
            LeaseLost: it is lost, or PostgreSQL did not acknowledge it for too long.
        """
        if self._lost or self._over.is_set() or _now() - self._beaten_at > TRUST_S:
            raise LeaseLost("this process has lost the lease of the shared lake")

    def release(self) -> None:
        """Give it back."""
        self._over.set()
        if self._beating is not None:
            self._beating.join(RELEASE_S)
            if self._beating.is_alive():  # the database keeps a beat waiting: it frees the lock when it comes to it
                return
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # it ends without it, too, only later
                self._set_holder(connection, None)
                connection.execute("SELECT pg_advisory_unlock_all()")  # the server ends a connection when it gets to it
            connection.close()

    def _take_lock(self, connection: psycopg.Connection[Any]) -> _Seen | None:
        """Take the lock; what was seen of a holder that left without a word, None: there was none."""
        token, beat, text = _row(connection)
        seen = _note(self._place, token, beat)
        holder = _holder(text)
        got = _is_true(connection, _LOCK)
        if not got and holder is not None and _now() - seen.at > STILL_S:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = %s AND pid <> pg_backend_pid()",
                [holder.name],
            )
            time.sleep(_LOOK_S)
            got = _is_true(connection, _LOCK)
        if not got:
            who = str(holder) if holder else "another process"
            raise LeaseHeld(
                f"the shared lake is written by {who}",
                hint="reading and queueing work here meanwhile; a daemon that is started here takes over when it ends",
            )
        if holder is None:
            return None
        is_ours = (holder.home_id, holder.host) == (self._home_id, socket.gethostname())
        if is_ours and not holder.waits:
            return None
        return seen

    def _raise_token(self, connection: psycopg.Connection[Any], before: _Seen | None) -> _Seen | None:
        """Shut everybody else out of the catalog; the last beat of the holder before, and since when it is known."""
        found = connection.execute(
            "UPDATE wandb_mirror.lease SET token = token + 1, beat = beat + 1, holder = %s RETURNING token, beat",
            [_text(self._me(waits=before is not None))],
        ).fetchone()
        assert found is not None
        self.token, beat = found
        if before is None or beat - 1 == before.beat:
            return before
        return _Seen(self.token - 1, beat - 1, _now())  # it beat once more in between

    def _me(self, *, waits: bool) -> LeaseHolder:
        return LeaseHolder(
            host=socket.gethostname(), pid=os.getpid(), home=self._home, home_id=self._home_id,
            since=utc_now().isoformat(timespec="seconds"), name=name_of_connections(), waits=waits,
        )  # fmt: skip

    def _set_holder(self, connection: psycopg.Connection[Any], holder: LeaseHolder | None) -> None:
        connection.execute(
            "UPDATE wandb_mirror.lease SET holder = %s WHERE token = %s",
            [None if holder is None else _text(holder), self.token],
        )

    def _wait_out(self, before: _Seen) -> None:
        """Let the trust of one end that may be cut off from PostgreSQL, and not from W&B."""
        while (left := before.at + GRACE_S - _now()) > 0:
            time.sleep(min(left, _LOOK_S))

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            try:
                with postgres_errors(self._place):
                    if self._connection is None:
                        self._connection = connect(self._place)
                        self._has_lock = False
                    self._beat_once()
                    # The lock of a connection that was cut is free once PostgreSQL has noticed; the token is ours.
                    self._has_lock = self._has_lock or _is_true(self._connection, _LOCK)
            except LeaseLost:
                self._lost = True
                return
            except MirrorError:  # away: it is tried again, and `check` says when that takes too long
                self._close()

    def _beat_once(self) -> None:
        assert self._connection is not None
        began = _now()
        done = self._connection.execute("UPDATE wandb_mirror.lease SET beat = beat + 1 WHERE token = %s", [self.token])
        if done.rowcount != 1:
            raise LeaseLost("another process took the lease of the shared lake over")
        self._beaten_at = began

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def holder_of_lease(connection: psycopg.Connection[Any]) -> LeaseHolder | None:
    """Who holds it, or ended without giving it back; None: nobody."""
    if connection.execute("SELECT to_regclass('wandb_mirror.lease')").fetchone() == (None,):
        return None
    return _holder(_row(connection)[2])


def new_home_id() -> str:
    """A name for a home that no other has."""
    return secrets.token_hex(8)


def _now() -> float:
    return time.clock_gettime(_CLOCK)


def _note(place: StoreSettings, token: int, beat: int) -> _Seen:
    seen = _seen.get(place.catalog)
    if seen is None or (seen.token, seen.beat) != (token, beat):
        seen = _seen[place.catalog] = _Seen(token, beat, _now())
    return seen


def _row(connection: psycopg.Connection[Any]) -> tuple[int, int, str | None]:
    found = connection.execute("SELECT token, beat, holder FROM wandb_mirror.lease").fetchone()
    assert found is not None
    return found[0], found[1], found[2]


def _text(holder: LeaseHolder) -> str:
    return msgspec.json.encode(holder).decode()


def _holder(text: str | None) -> LeaseHolder | None:
    try:
        return None if text is None else decode(text.encode(), LeaseHolder)
    except msgspec.DecodeError:
        return None


def _is_true(connection: psycopg.Connection[Any], query: str) -> bool:
    return connection.execute(query).fetchone() == (True,)
