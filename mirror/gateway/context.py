"""What one document sees: one commit of the lake, what is queued over it, and where bytes are handed out."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from types import TracebackType
from typing import Self

from mirror.gateway.addresses import Addresses
from mirror.gateway.listings import Listings
from mirror.run.pending.local import LocalMirror, Pending
from mirror.store.engine.queries import Snapshot
from mirror.wandb_protocol.paging import PageLimits
from mirror.wandb_protocol.resolvers import Info

ProjectPath = tuple[str, str]


class RequestContext:
    """One request, in one thread; a context manager that gives the commit back.

    Args:
        mirror: the home, shared by all requests.
        listings: what is kept between pages, shared by all requests.
        addresses: of this request.
        limits: of pages.
        read_only: whether every change is refused.
    """

    def __init__(
        self,
        *,
        mirror: LocalMirror,
        listings: Listings,
        addresses: Addresses,
        limits: PageLimits,
        read_only: bool = False,
    ) -> None:
        self.mirror = mirror
        self.listings = listings
        self.addresses = addresses
        self.limits = limits
        self.read_only = read_only
        self._closing = contextlib.ExitStack()

    @cached_property
    def waiting(self) -> Mapping[ProjectPath, Mapping[str, Sequence[Pending]]]:
        """What is queued, by project and run id."""
        return self.mirror.waiting()

    @cached_property
    def lake(self) -> Snapshot:
        """The last commit; all questions of the request see the same one.

        What is queued is read before: an operation leaves the outbox only after the lake holds its effect.

        Raises:
            NotMirrored: nothing is mirrored yet.
            StoreError: the lake cannot be read.
        """
        _ = self.waiting
        return self._closing.enter_context(self.mirror.reader.snapshot())

    def __enter__(self) -> Self:
        """Itself; nothing is opened before it is needed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the commit back."""
        self._closing.close()


def context(info: Info) -> RequestContext:
    """The request's context, typed."""
    value = info.context
    assert isinstance(value, RequestContext)
    return value
