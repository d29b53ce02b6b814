"""Whether database and bucket can hold a shared lake: each is asked what a writer needs, and left as it was."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable, Iterator
from typing import NamedTuple

from mirror.clock import utc_now
from mirror.cluster.bucket import Bucket
from mirror.cluster.lease import holder_of_lease
from mirror.cluster.postgres import connected, where
from mirror.errors import HomeUnusable, MirrorError, StoreError
from mirror.store_settings import StoreSettings

OLDEST = 130000  # the PostgreSQL that has `FETCH … WITH TIES`
MAY_DIFFER_S = 60.0  # clocks: nothing depends on them but what people read


class Examined(NamedTuple):
    """What one question came to."""

    name: str
    detail: str
    hint: str = ""
    error: MirrorError | None = None
    is_warning: bool = False


def examine_place(place: StoreSettings) -> Iterator[Examined]:
    """Ask everything, in the order in which a writer needs it."""
    for name, ask in (("catalog", _catalog), ("catalog clock", _clock), ("bucket", _bucket), ("lease", _lease)):
        yield _guarded(name, ask, place)


def check_place(place: StoreSettings) -> None:
    """The same for a setup.

    Raises:
        LakeAway, HomeUnusable, StoreError: it cannot hold a lake.
    """
    for found in examine_place(place):
        if found.error is not None:
            raise found.error


def _guarded(name: str, ask: Callable[[StoreSettings], Examined], place: StoreSettings) -> Examined:
    try:
        return ask(place)._replace(name=name)
    except MirrorError as error:
        return Examined(name, error.message, error.hint, error)


def _catalog(place: StoreSettings) -> Examined:
    with connected(place) as database:
        version, user = database.info.server_version, database.info.user
        if version < OLDEST:
            raise StoreError(f"PostgreSQL of {where(place)} is too old", hint="version 13 or later is needed")
        made = database.execute("SELECT to_regclass('wandb_mirror.lease')").fetchone()
        may_make = database.execute("SELECT has_database_privilege(current_database(), 'CREATE')").fetchone()
        encoding = database.execute("SHOW server_encoding").fetchone()
    if encoding != ("UTF8",):
        raise HomeUnusable(f"the database {where(place)} is not UTF-8", hint="make it with ENCODING 'UTF8'")
    if made == (None,) and may_make != (True,):
        hint = f"GRANT CREATE ON DATABASE … TO {user}"
        raise HomeUnusable(f"{user} may not make schemas in {where(place)}", hint=hint)
    state = "a lake is there" if made != (None,) else "no lake yet"
    return Examined("", f"{where(place)}, PostgreSQL {version // 10000}.{version % 10000}, as {user}: {state}")


def _clock(place: StoreSettings) -> Examined:
    with connected(place) as database:
        asked = utc_now()
        ((said,),) = database.execute("SELECT clock_timestamp()").fetchall()
    apart = abs((said.astimezone(dt.UTC) - asked).total_seconds())
    hint = "leases need no clock, but times that people read will not agree" if apart > MAY_DIFFER_S else ""
    return Examined("", f"{apart:.1f} s apart from this machine's", hint, is_warning=bool(hint))


def _bucket(place: StoreSettings) -> Examined:
    said, hint = [], ""
    for address in dict.fromkeys((place.data, place.objects or place.data)):
        bucket = Bucket(address, place)
        name = f"doctor/{secrets.token_hex(8)}"
        bucket.put(name, b"wandb-mirror")
        try:
            found, now = bucket.look(name), utc_now()
            if found is None or name not in dict(bucket.listed("doctor/")):
                raise StoreError(f"{bucket.address} does not show what was put there a moment ago")
            conditional = "no" if bucket.put_new(name, b"other") else "yes"
        finally:
            bucket.remove([name])
        if (apart := abs((now - found.written_at).total_seconds())) > MAY_DIFFER_S:
            hint = f"its clock is {apart:.0f} s apart: what nothing needs is removed by its times, earlier or later"
        said.append(f"{bucket.address} is written, listed and cleared; conditional writes: {conditional}")
    return Examined("", "; ".join(said), hint, is_warning=bool(hint))


def _lease(place: StoreSettings) -> Examined:
    with connected(place) as database:
        holder = holder_of_lease(database)
    return Examined("", "nobody has it" if holder is None else f"had by {holder}")
