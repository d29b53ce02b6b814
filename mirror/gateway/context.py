"""What one document sees: one commit of the lake, what is queued over it, and where bytes are handed out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Self, TypeVar

from mirror.gateway.addresses import Addresses
from mirror.gateway.memory import NOT_KEPT, SMALL, CommitMemory, NewestCommit, Queue
from mirror.gateway.seen import SeenRun, SeenRuns
from mirror.gateway.training import Trainings
from mirror.gateway.watch import Watch
from mirror.run.artifacts.queued import Marking, markings
from mirror.run.pending.local import LocalMirror, Waiting
from mirror.store.engine.meta import last_commit
from mirror.store.engine.queries import Snapshot
from mirror.wandb_protocol.paging import PageLimits
from mirror.wandb_protocol.resolvers import Info

ProjectPath = tuple[str, str]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What all requests of one gateway share."""

    mirror: LocalMirror
    memory: CommitMemory
    newest: NewestCommit
    queue: Queue
    seen: SeenRuns
    limits: PageLimits
    trainings: Trainings
    read_only: bool = False  # whether every change is refused


class RequestContext:
    """One request, in one thread; a context manager that gives the commit back.

    Args:
        shared: with all other requests.
        addresses: of this one.
    """

    watch: Watch  # of the document, where there is one

    def __init__(self, shared: Shared, addresses: Addresses) -> None:
        self.mirror = shared.mirror
        self.limits = shared.limits
        self.read_only = shared.read_only
        self.trainings = shared.trainings
        self.seen = shared.seen
        self.told: list[Callable[[], Iterable[SeenRun]]] = []  # what the answer tells of runs, once it is whole
        self.addresses = addresses
        self.partial: dict[
            ProjectPath, tuple[int, int | None]
        ] = {}  # runs that are held, of those upstream; None: not known
        self.moved = False  # whether a commit came between two reads, so that the answer mixes both
        self._shared = shared
        self._closing = contextlib.ExitStack()

    @cached_property
    def waiting(self) -> Waiting:
        """What is queued, by project and run id."""
        return self._shared.queue.waiting()

    @cached_property
    def markings(self) -> Sequence[Marking]:
        """Queued operations that give versions aliases and tags, or take some away, the last one last."""
        return markings(self.waiting)

    @cached_property
    def commit(self) -> int:
        """The number of the commit that the request sees.

        What is queued is read before: an operation leaves the outbox only after the lake holds its effect.
        """
        _ = self.waiting
        known = self._shared.newest.known()
        return self._opened[1] if known is None else known

    @property
    def lake(self) -> Snapshot:
        """The commit, for questions.

        Raises:
            NotMirrored: nothing is mirrored yet.
            StoreError: the lake cannot be read.
        """
        if self.commit != self._opened[1]:
            self.moved = True
        return self._opened[0]

    @cached_property
    def _opened(self) -> tuple[Snapshot, int]:
        newest = self._shared.newest
        looked = newest.stamp.look()
        lake = self._closing.enter_context(self.mirror.reader.snapshot())
        commit = last_commit(lake)
        newest.learn(looked, commit)
        return lake, commit

    def renew(self) -> None:
        """Look anew: what follows sees what was queued meanwhile."""
        self._closing.close()
        for name in ("waiting", "markings", "commit", "_opened"):
            self.__dict__.pop(name, None)

    def recall(self, key: Hashable, read: Callable[[Snapshot], T], weigh: Callable[[T], int] | None = None) -> T:
        """What was read of this commit, or is read now.

        Args:
            key: of the question, with all that it depends on but the commit.
            read: asks the lake.
            weigh: bytes that the answer takes; None: few.
        """

        def weight(value: T) -> int:
            if self.moved:  # it is of a newer commit than the key says
                return NOT_KEPT
            return SMALL if weigh is None else weigh(value)

        return self._shared.memory.get((self.commit, key), lambda: read(self.lake), weight)

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
