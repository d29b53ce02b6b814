"""What every fetch for a batch of runs shares: tools, policy, earlier failures, and where outcomes are noted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import anyio

from mirror.api.client import Client
from mirror.api.rows.listed import ListedContents
from mirror.api.rows.pages import BadRun
from mirror.api.transport.signed_url import SignedUrl
from mirror.config import SourceSettings
from mirror.errors import AuthError, Forbidden, MirrorError, StoreError, Unreachable, UnreadableExport
from mirror.pull.contents.fetch import Resign, UnderWay, Wanted, fetch
from mirror.pull.report import ProjectReport
from mirror.records.addresses import ProjectKey
from mirror.records.contents import ArtifactChange, ContentChanges
from mirror.records.passes import Failure, OpenFailure, in_part
from mirror.store.objects.objects import Adopted, Objects
from mirror.store.objects.partials import PartialKey
from mirror.texts.values import storable

T = TypeVar("T")


@dataclass(kw_only=True)
class Outcome:
    """What a batch came to: what one commit writes."""

    contents: list[ContentChanges] = field(default_factory=list)
    artifacts: dict[str, ArtifactChange] = field(default_factory=dict)  # by artifact id
    failed: list[Failure] = field(default_factory=list)
    settled: list[tuple[str, str]] = field(default_factory=list)  # run id and item of failures that are over
    claimed: set[str] = field(default_factory=set)  # ids of artifact versions that one run of the batch takes for all


@dataclass(frozen=True, kw_only=True)
class FetchJob:
    """One batch."""

    client: Client
    objects: Objects
    key: ProjectKey
    policy: SourceSettings
    reserve_bytes: float  # of the disk, which no download takes
    export_max_bytes: float  # of one part of an export
    at: dt.datetime  # UTC
    touched: frozenset[str]  # run ids: new, or with a sign of life or another state since they were held
    changed: frozenset[str]  # run ids: new, or not listed as they were held
    again: frozenset[str]  # run ids: what the server lacked of them may be there by now
    held_bytes: Callable[[Sequence[str]], Awaitable[Mapping[str, str]]]  # objects by digests of artifact entries
    under_way: UnderWay
    open_failures: Mapping[tuple[str, str], OpenFailure]
    retry_quarantined: bool
    report: ProjectReport
    outcome: Outcome
    signed_urls: SignedUrls

    async def fetch(self, key: PartialKey, url: SignedUrl | str, *, most: float, resign: Resign) -> Adopted:
        """Bring bytes into the objects.

        Args:
            key: which bytes.
            url: where they are.
            most: no more are taken where no size is listed.
            resign: asks for the address again.

        Raises:
            MirrorError: as `contents.fetch.fetch` says.
        """
        return await fetch(
            self.client,
            self.objects,
            Wanted(key=key, url=url, most=most, reserve=self.reserve_bytes),
            resign=resign,
            on_bytes=self.count_bytes,
            under_way=self.under_way,
        )

    def failing(self, run_id: str) -> list[str]:
        """Items of a run that failed before, and are not over."""
        return [item for name, item in self.open_failures if name == run_id]

    def settle(self, run_id: str, item: str) -> None:
        """End an earlier failure, if there was one: it is no longer wanted, or it is there."""
        name = (run_id, storable(item))  # as the lake holds it
        if name in self.open_failures and name not in self.outcome.settled:
            self.outcome.settled.append(name)

    def is_due(self, run_id: str, item: str) -> bool:
        """Whether something that may have failed before is to be tried now."""
        before = self.open_failures.get((run_id, storable(item)))
        return before is None or before.is_due(self.at, retry_quarantined=self.retry_quarantined)

    async def guarded(
        self, run_id: str, item: str, action: Callable[[], Awaitable[T]], *, why: str | None = None
    ) -> T | None:
        """Do one small thing; its failure is noted under its name and stops nothing else.

        Args:
            run_id: the run.
            item: the name of the thing.
            action: does it.
            why: the server could not serve all that it takes, in its words: that is noted, and what can be had is taken
                whenever the run is looked at.

        Returns:
            What the action gave; None when it is not due, or failed.

        Raises:
            StoreError: the disk failed.
            Unreachable: the server is away altogether.
        """
        if why is None and not self.is_due(run_id, item):
            return None
        found = await self.tried(run_id, item, action, why=why)
        return None if isinstance(found, Failure) else found

    async def tried(
        self, run_id: str, item: str, action: Callable[[], Awaitable[T]], *, why: str | None = None
    ) -> T | Failure:
        """The same, whether or not it is due, and with the failure as the answer."""
        try:
            value = await action()
        except MirrorError as error:
            if stops_everything(error):
                raise
            return self.fail(run_id, item, error.message)
        if why is None:
            self.settle(run_id, item)
        elif self.is_due(run_id, item):
            self.fail(run_id, item, why)
        return value

    def note_part(self, run_id: str, item: str, reason: str | None) -> None:
        """Note that something of a thing could not be had though the rest was, or that nothing is lacking any more.

        That has a name of its own: the thing itself is not put off because of it.
        """
        part = in_part(item)
        if reason is None:
            self.settle(run_id, part)
        elif self.is_due(run_id, part):
            self.fail(run_id, part, reason)

    def lacks_part(self, run_id: str, item: str) -> bool:
        """Whether something of a thing could not be had before, and is to be tried now."""
        part = in_part(item)
        return (run_id, storable(part)) in self.open_failures and self.is_due(run_id, part)

    def fail(self, run_id: str, item: str, reason: str) -> Failure:
        """Note a failure."""
        failure = Failure(run_id=run_id, item=storable(item), reason=reason)
        self.outcome.failed.append(failure)
        return failure

    def count_bytes(self, count: int) -> None:
        """Bytes came, for progress."""
        self.report.bytes_fetched += count


def stops_everything(error: MirrorError) -> bool:
    """Whether other items would meet the same: a full disk, a refused key, a server that is away.

    What a key may not read is that item alone.
    """
    if isinstance(error, UnreadableExport | Forbidden):
        return False
    return isinstance(error, StoreError | AuthError) or (isinstance(error, Unreachable) and not error.answered)


class SignedUrls:
    """The addresses of a batch. They expire together, so they are renewed together: one request for many runs."""

    def __init__(self, client: Client, key: ProjectKey, listed: Mapping[str, ListedContents]) -> None:
        self._client, self._key = client, key
        self._listed = dict(listed)
        self._generation = 0
        self._missing: set[str] = set()
        self._renewing = anyio.Lock()

    @property
    def generation(self) -> int:
        """Counts renewals; an address that expired belongs to the generation it was taken from."""
        return self._generation

    def of(self, run_id: str) -> ListedContents:
        """What the server listed last of a run."""
        return self._listed[run_id]

    async def renew(self, run_id: str, generation: int) -> ListedContents | None:
        """The run as listed after `generation`; None when the server does not list it any more."""
        async with self._renewing:
            if generation == self._generation:
                asked: Sequence[str] = list(self._listed)
                renewed = await self._client.run_contents(self._key.entity, self._key.project, asked)
                self._listed |= {name: found for name, found in renewed.items() if isinstance(found, ListedContents)}
                self._missing = {name for name, found in renewed.items() if found is None or isinstance(found, BadRun)}
                self._generation += 1
            return None if run_id in self._missing else self._listed[run_id]
