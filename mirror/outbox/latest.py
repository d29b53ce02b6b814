"""The last entry of each run, remembered as long as nobody else puts: else each edit would list the whole backlog.

Every put writes its id into the lock's file. As long as the id there is the one that this process wrote, nobody put an
entry since, so that the last one of each run is known; whether it still waits is seen when it is read.
"""

from __future__ import annotations

from mirror.outbox.folders import STATES, Folders
from mirror.outbox.names import is_name, tag_in

MOST_RUNS = 1 << 16  # remembered at a time, some 20 MB; a backlog of more runs is listed at each edit instead


class Latest:
    """What one process knows. Every method is called under the lock.

    Args:
        folders: of the outbox.
    """

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._names: dict[str, str] | None = None  # by the run's tag
        self._as_of: str | None = None

    def advance(self, before: str, now: str) -> None:
        """The id in the lock's file goes from one to the next; what is known holds if the former is ours."""
        if before != self._as_of:
            self._names = None
        self._as_of = now

    def forget(self) -> None:
        """What is on the disk is not certain any more."""
        self._names = None

    def of(self, tag: str) -> str | None:
        """The name of the last entry of a run, wherever it lies now; None when there is none."""
        if self._names is not None:
            return self._names.get(tag)
        names: dict[str, str] | None = {}
        last: str | None = None
        for name in (name for state in STATES for name in self._folders.names(state) if is_name(name)):
            its = tag_in(name)
            if its == tag:
                last = max(last or name, name)
            if names is not None:
                names[its] = max(names.get(its, name), name)
                names = names if len(names) <= MOST_RUNS else None
        self._names = names
        return last

    def note(self, name: str) -> None:
        """An entry was put."""
        if self._names is not None:
            self._names[tag_in(name)] = name
            if len(self._names) > MOST_RUNS:
                self._names = None
