"""What clients were told of runs: a change is told from what its client saw, and not from what is held by now.

W&B's clients send whole documents, so that a change of one key comes with all the others as they were when they were
read. Nothing in a request says who sends it; of the versions that were handed out, the one with the fewest changes to
what is sent is the one that was seen.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from mirror.records.addresses import RunPath
from mirror.run.pending.local import Pending
from mirror.store.read.runs import DocumentName, LightRun

VERSIONS = 4  # of one run that are kept
MOST_BYTES = 32 * 1024 * 1024  # of all; those of runs that nobody asked for longest go first
_ROW_BYTES = 2_000


class SeenRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it was handed out: what the lake held, and what was queued over it."""

    light: LightRun
    texts: Mapping[DocumentName, str | None]  # those that were read
    pending: tuple[Pending, ...]

    @property
    def weight(self) -> int:
        """Bytes that it takes."""
        return _ROW_BYTES + sum(len(text) for text in self.texts.values() if text is not None)

    def is_same(self, other: SeenRun) -> bool:
        """Whether the two tell the same, as far as both tell."""
        common = self.texts.keys() & other.texts.keys()
        return (
            self.light == other.light
            and self.pending == other.pending
            and all(self.texts[name] == other.texts[name] for name in common)
        )


class SeenRuns:
    """The last versions of runs that were handed out. For any thread."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._kept: OrderedDict[RunPath, tuple[SeenRun, ...]] = OrderedDict()
        self._bytes = 0
        self._most_bytes = most_bytes
        self._turn = threading.Lock()

    def note(self, runs: Iterable[SeenRun]) -> None:
        """Keep what an answer told."""
        with self._turn:
            for run in runs:
                self._note(run)
            while self._bytes > self._most_bytes and self._kept:
                _, gone = self._kept.popitem(last=False)
                self._bytes -= sum(version.weight for version in gone)

    def of(self, run: RunPath) -> Sequence[SeenRun]:
        """The versions of a run, the newest first."""
        with self._turn:
            return self._kept.get(run, ())

    def _note(self, run: SeenRun) -> None:
        path = run.light.run_path
        before = self._kept.pop(path, ())
        self._bytes -= sum(version.weight for version in before)
        if before and run.is_same(before[0]):
            merged = msgspec.structs.replace(run, texts={**before[0].texts, **run.texts})
            versions = (merged, *before[1:])
        else:
            versions = (run, *before)[:VERSIONS]
        self._kept[path] = versions
        self._bytes += sum(version.weight for version in versions)
