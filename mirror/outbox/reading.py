"""Looking into an outbox: names are listed, contents are read one at a time, and nothing needs write permission."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple, TypeVar

from mirror.errors import AmbiguousName, NotFound
from mirror.layout import Home
from mirror.outbox.folders import STATES, Aside, Folders, outbox_errors, read_regular
from mirror.outbox.names import is_name, run_tag, tag_in
from mirror.records.addresses import RunPath
from mirror.records.operations import Entry, EntryState, UploadFile
from mirror.texts.values import valid_unicode
from mirror.texts.visible import visible

_AT_ONCE = 8192  # names that are held in memory, whatever the backlog
_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")

T = TypeVar("T", bound=tuple[str, int])


class Placed(NamedTuple):
    """An entry and where it lay when it was looked for."""

    state: EntryState
    entry: Entry


MOST_FITTING = 8  # entries that are listed where the beginning of an id fits several


class OutboxReader:
    """What is in the outbox of a home. Any number of processes and threads look at once, while others change it.

    Args:
        home: whose outbox; it need not exist yet.
        told: called with each file that is no readable entry. Such a file is set aside where this process may do so,
            and otherwise left out.
    """

    def __init__(self, home: Home, told: Callable[[Aside], None] | None = None) -> None:
        self.home = home
        self._folders = Folders(home, told or (lambda _: None))

    def entries(self, *states: EntryState, wanted: Callable[[str], bool] = lambda _: True) -> Iterator[Placed]:
        """The entries in these states (all, if none is named) in the order of their ids.

        Args:
            states: where they lie.
            wanted: whether the entry of a name is to be read at all; asked just before it would be.

        Memory stays the same however many there are. An entry that stays in these states is seen exactly once though
        it moves between them; one that leaves them meanwhile may be left out, one that comes may be seen or not.

        Raises:
            StoreError: the folders cannot be read.
        """
        places = frozenset(states or STATES)
        last = ""
        while True:
            with outbox_errors(self.home), self._folders.listing():
                found = _smallest((pair for pair in self._names(places) if pair[0] > last), _AT_ONCE)
            for name, state in found:
                if name != last and wanted(name):
                    placed = self._read(name, STATES[state])
                    if placed is not None and placed.state in places:
                        yield placed
                last = name
            if len(found) < _AT_ONCE:
                return

    def of_run(self, run_path: RunPath, *states: EntryState) -> list[Placed]:
        """The entries of one run in these states (all, if none is named), in order; none twice, none left out.

        Raises:
            StoreError: the folders cannot be read.
        """
        return self.of_runs([run_path], *states)[run_path]

    def of_runs(self, run_paths: Collection[RunPath], *states: EntryState) -> dict[RunPath, list[Placed]]:
        """The same for many runs, with one look at the folders.

        Raises:
            StoreError: the folders cannot be read.
        """
        tags = {run_tag(stored(path)) for path in run_paths}
        wanted = frozenset(states or STATES)
        placed: dict[str, Placed] = {}
        bad: list[Aside] = []
        with outbox_errors(self.home), self._folders.listing():
            for name, state in self._names(wanted):
                if tag_in(name) in tags and name not in placed:
                    match self._folders.try_load(STATES[state], name):
                        case Entry() as entry:
                            placed[name] = Placed(STATES[state], entry)
                        case Aside() as aside:
                            bad.append(aside)
        for aside in bad:
            self._folders.set_aside(aside)
        by_run: dict[RunPath, list[Placed]] = {}
        for name in sorted(placed):
            by_run.setdefault(placed[name].entry.run_path, []).append(placed[name])
        return {path: by_run.get(stored(path), []) for path in run_paths}

    def counts(self) -> dict[EntryState, int]:
        """How many entries are in each state, by their names.

        Raises:
            StoreError: the folders cannot be read.
        """
        with outbox_errors(self.home), self._folders.listing():
            return {state: sum(map(is_name, self._folders.names(state))) for state in STATES}

    def get(self, text: str) -> Placed:
        """The entry with this id, or the only one whose id begins with this text.

        Raises:
            NotFound: there is none.
            AmbiguousName: there are several; they are listed.
        """
        with outbox_errors(self.home), self._folders.listing():
            pairs = (pair for pair in self._names(frozenset(STATES)) if text and pair[0].startswith(text))
            found = _smallest(pairs, MOST_FITTING)
        if len({entry_id for entry_id, _ in found}) > 1:
            placed_ones = [self._read(entry_id, STATES[state]) for entry_id, state in found]
            lines = [
                f"  {one.entry.id}  {one.entry.run_path}  {one.entry.kind}  {one.state}" for one in placed_ones if one
            ]
            raise AmbiguousName(
                f"several entries of the outbox begin with {text!r}",
                hint="\n".join(["give more of the id, such as", *map(visible, lines)]),
            )
        placed = self._read(found[0][0], STATES[found[0][1]]) if found else None
        if placed is None:
            raise NotFound(f"the outbox has no entry {text!r}", hint="`wandb-mirror outbox list` shows all")
        return placed

    def oldest(self, *states: EntryState) -> Placed | None:
        """The entry that waits longest in these states (new and claimed, if none is named); None when there is none."""
        return next(self.entries(*(states or ("new", "claimed"))), None)

    def needed_objects(self) -> Iterator[str]:
        """Digests of all objects that entries need, some more than once; those that files set aside may need, too.

        An upload's bytes become an object before its entry exists: a collection of garbage must also spare young ones.

        Raises:
            StoreError: the folders cannot be read; nothing may be collected then.
        """
        for placed in self.entries():
            if isinstance(placed.entry.operation, UploadFile):
                yield placed.entry.operation.object
        with outbox_errors(self.home):
            for name in self.asides():
                with contextlib.suppress(ValueError):  # a folder or a pipe holds no entry
                    content = read_regular(self._folders.aside / name)
                    yield from (digest.decode() for digest in _DIGEST.findall(content))

    def asides(self) -> list[str]:
        """Names of the files that were set aside; each begins with the state that it was found in and `~`."""
        try:
            return sorted(path.name for path in self._folders.aside.iterdir() if not path.name.startswith("."))
        except FileNotFoundError:
            return []

    def _names(self, states: frozenset[EntryState]) -> Iterator[tuple[str, int]]:
        """Names and the numbers of their states; of two with the same name the smaller one counts."""
        return (
            (name, STATES.index(state)) for state in STATES if state in states for name in self._folders.names(state)
        )

    def _read(self, name: str, state: EntryState) -> Placed | None:
        """An entry that was listed, wherever it is now; None when it is gone or is no entry."""
        found = self._folders.try_load(state, name)
        if found is None:
            with outbox_errors(self.home), self._folders.listing():
                moved = self._folders.place(name)
                if moved is None:
                    return None
                state, found = moved, self._folders.try_load(moved, name)
        if isinstance(found, Aside):
            self._folders.set_aside(found)
        return Placed(state, found) if isinstance(found, Entry) else None


def _smallest(items: Iterable[T], count: int) -> list[T]:
    """The smallest items in order, in memory for twice as many."""
    kept: list[T] = []
    limit: T | None = None
    for item in items:
        if limit is None or item < limit:
            kept.append(item)
            if len(kept) >= 2 * count:
                kept.sort()
                del kept[count:]
                limit = kept[-1]
    return sorted(kept)[:count]


def stored(run_path: RunPath) -> RunPath:
    """A run path as files can hold it."""
    return RunPath(*map(valid_unicode, run_path))
