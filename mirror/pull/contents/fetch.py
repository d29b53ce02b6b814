"""One download to its end: resumed where it stopped, signed again when its address expired, checked, adopted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread
import msgspec

from mirror.api.client import Client
from mirror.api.transport.body import Body
from mirror.api.transport.signed_url import SignedUrl
from mirror.errors import (
    HomeUnusable,
    MirrorError,
    RangeRefused,
    RateLimited,
    StoreError,
    TooLarge,
    TooSlow,
    Unreachable,
    UrlExpired,
    WrongContent,
)
from mirror.store.objects.objects import Adopted, Objects
from mirror.store.objects.partials import IN_MEMORY_BYTES, Mismatch, Partial, PartialKey

TRIES_FOR_WRONG_BYTES = 2  # once more, for bytes that were damaged on the way
LOOK_BYTES = 16 << 20  # so many of one download later, the room on the disk is looked at again
TRIES_WHEN_SLOW = 2  # once more, over another connection
MOST_SIGNATURES = 3  # an address that expires again and again is not for us


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes to fetch."""

    key: PartialKey  # names them, with the size and MD5 that were listed
    url: SignedUrl | str
    most: float  # bytes that the configuration allows; where a size is listed, that is the bound
    reserve: float = 0.0  # bytes of the disk that are kept free

    @property
    def size(self) -> int | None:
        """The listed size. 0 says nothing: self-hosted servers list it for a file that was not marked as uploaded."""
        return self.key.size or None

    @property
    def bound(self) -> float:
        """No more bytes than this are taken, whatever the server sends."""
        return self.size or self.most


class UnderWay:
    """Downloads under way in this process: two of the same bytes would write into one partial, so one waits."""

    def __init__(self) -> None:
        self._locks: dict[PartialKey, anyio.Lock] = {}
        self._waiting: Counter[PartialKey] = Counter()

    @asynccontextmanager
    async def turn(self, key: PartialKey) -> AsyncGenerator[None, None]:
        """Be the only one with these bytes."""
        lock = self._locks.setdefault(key, anyio.Lock(fast_acquire=True))
        self._waiting[key] += 1
        try:
            async with lock:
                yield
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key], self._locks[key]


Resign = Callable[[], Awaitable[SignedUrl | str | None]]
"""Asks the server for the address again; None when it no longer lists the file."""


async def fetch(
    client: Client,
    objects: Objects,
    wanted: Wanted,
    *,
    resign: Resign,
    on_bytes: Callable[[int], None],
    under_way: UnderWay,
) -> Adopted:
    """Bring the bytes into the objects; `Objects.sync` makes them durable.

    Args:
        client: for one attempt at a time.
        objects: where the bytes go.
        wanted: which bytes.
        resign: called when the address expired.
        on_bytes: told how many bytes came, for progress.
        under_way: shared by all downloads of the process.

    Raises:
        MirrorError: why they cannot be had now; what came so far is kept, if it can be gone on from.
        StoreError: the disk failed.
    """
    async with under_way.turn(wanted.key):
        try:
            return await _fetch(client, objects, wanted, resign, on_bytes)
        except Unreachable as error:
            if error.answered or not await _is_there(client):
                raise
            # W&B answers: it is this one host that is away, which is no reason to stop everything.
            raise Unreachable(error.message, hint=error.hint, answered=True) from None


async def _is_there(client: Client) -> bool:
    """Whether W&B itself can be reached."""
    try:
        await client.check()
    except Unreachable as error:
        return error.answered
    except MirrorError:
        return True
    return True


async def _fetch(
    client: Client, objects: Objects, wanted: Wanted, resign: Resign, on_bytes: Callable[[int], None]
) -> Adopted:
    url, tries = wanted.url, _Tries(client)
    while True:
        try:
            found = await _attempt(client, objects, wanted, url, on_bytes, tries.mark)
            if isinstance(found, Adopted):
                return found
            raise WrongContent(f"{wanted.key.name}: {found}")
        except StoreError:
            raise
        except UrlExpired:
            renewed = await resign() if tries.may_sign() else None
            if renewed is None:
                raise
            url = renewed
        except MirrorError as error:
            wait_s = tries.wait_s(error)
            if wait_s is None:
                raise
            if isinstance(error, RangeRefused):
                _forget(objects, wanted)
            await anyio.sleep(wait_s)


class _Tries:
    """What one download has come to so far, and so whether it is tried again.

    Args:
        client: knows how often, and how long to wait.
    """

    def __init__(self, client: Client) -> None:
        self.mark = HighMark()
        self._client = client
        self._failed = self._slow = self._signed = 0
        self._refused_at: float | None = None  # when the first of a row of 429 came, seconds

    def may_sign(self) -> bool:
        """Count an address that expired; whether another one may do."""
        self._failed, self._signed = 0, self._signed + 1
        return self._signed < MOST_SIGNATURES

    def wait_s(self, error: MirrorError) -> float | None:
        """Seconds until the next attempt; None: it is no use now."""
        if isinstance(error, RateLimited):  # no failed attempt: the next one waits as long as the host asks
            now = anyio.current_time()
            self._refused_at = now if self._refused_at is None else self._refused_at
            return self._client.retry_wait_s(error, 1, refused_s=now - self._refused_at)
        if isinstance(error, TooSlow):  # what it holds up is worth more; what came is kept for the next pull
            self._slow += 1
            return 0.0 if self._slow < TRIES_WHEN_SLOW else None
        self._failed = 1 if self.mark.take_progress() else self._failed + 1  # as long as it moves it is not given up
        self._refused_at = None
        if isinstance(error, WrongContent) and self._failed >= TRIES_FOR_WRONG_BYTES:
            return None
        return self._client.retry_wait_s(error, self._failed)


class HighMark:
    """How far a download ever came, so that a long one over a bad line is not given up while it moves."""

    def __init__(self) -> None:
        self._highest = self._taken = 0

    def note(self, offset: int) -> None:
        """So many bytes are held now."""
        self._highest = max(self._highest, offset)

    def take_progress(self) -> bool:
        """Whether it came further since the last question."""
        moved = self._highest > self._taken
        self._taken = self._highest
        return moved


async def _attempt(
    client: Client,
    objects: Objects,
    wanted: Wanted,
    url: SignedUrl | str,
    on_bytes: Callable[[int], None],
    mark: HighMark,
) -> Adopted | Mismatch:
    with Partial(objects, wanted.key) as partial:
        if partial.offset and partial.offset == wanted.size:  # whole, but the process died before it was adopted
            return partial.finish(wanted.size)
        mark.note(partial.offset)
        mark.take_progress()
        try:
            async with client.download(url, offset=partial.offset) as body:
                if body.offset != partial.offset:
                    partial.restart()
                await _receive(body, partial, wanted, on_bytes, mark)
            whole = wanted.size or body.total
        except RangeRefused as refused:
            if not partial.offset or refused.total != partial.offset:
                raise
            whole = refused.total  # nothing is behind what is held: it is whole
        if partial.is_small:
            return partial.finish(whole)
        return await anyio.to_thread.run_sync(partial.finish, whole)


async def _receive(
    body: Body, partial: Partial, wanted: Wanted, on_bytes: Callable[[int], None], mark: HighMark
) -> None:
    announced = 0 if body.total is None else body.total
    if wanted.size is None and announced > wanted.most:
        partial.discard()
        raise TooLarge(f"{wanted.key.name}: {announced:,} bytes are announced, more than {_bound(wanted, body)}")
    room_at = 0  # how far a download comes before the disk is looked at again
    bound = min(wanted.bound, announced or math.inf)
    async for chunk in body:
        end = partial.offset + len(chunk)
        if end > bound:
            partial.discard()  # what came is of something else
            error = WrongContent if wanted.size is not None or announced else TooLarge
            raise error(f"{wanted.key.name}: more came than {_bound(wanted, body)}")
        if end > max(room_at, IN_MEMORY_BYTES):
            room_at = end + LOOK_BYTES
            _check_room(partial, wanted, max(room_at, wanted.size or announced) - partial.offset)
        if partial.fits(len(chunk)):
            partial.write(chunk)
        else:
            await anyio.to_thread.run_sync(partial.write, chunk)
        on_bytes(len(chunk))
        mark.note(partial.offset)


def _check_room(partial: Partial, wanted: Wanted, coming: int) -> None:
    """Leave the disk its reserve, whatever comes.

    Raises:
        HomeUnusable: it was not left before this download began either, which is no fault of its own.
        TooLarge: this download would take it; nothing of it stays.
    """
    free = partial.free_bytes()
    if free - coming >= wanted.reserve:
        return
    if free + partial.offset < wanted.reserve:
        raise HomeUnusable(
            f"{free / 1e9:.2f} GB are left on the disk; health.disk_free_min_gb = {wanted.reserve / 1e9:g} stay free",
            hint="free some space and pull again: what came is gone on from",
        )
    partial.discard()
    raise TooLarge(
        f"{wanted.key.name}: it takes more than the disk has room for: {free / 1e9:.2f} GB are left, and"
        f" health.disk_free_min_gb = {wanted.reserve / 1e9:g} are kept free"
    )


def _bound(wanted: Wanted, body: Body) -> str:
    """What bounds a download, in words."""
    if wanted.size is not None:
        return f"the {wanted.size:,} bytes that are listed"
    if body.total is not None and body.total <= wanted.most:
        return f"the {body.total:,} bytes that were announced"
    return f"the {wanted.most / 1e6:,.0f} MB that the configuration allows"


def _forget(objects: Objects, wanted: Wanted) -> None:
    """The server does not go on from what is held: begin again."""
    with Partial(objects, wanted.key) as partial:
        partial.restart()
