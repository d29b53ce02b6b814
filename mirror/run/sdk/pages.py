"""Lists whose elements come page by page, as those of the SDK do: `Runs`, `Files`, `RunArtifacts`, `ConsoleLogs`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar, overload
from weakref import WeakValueDictionary

from mirror.errors import CommError

T = TypeVar("T")

PAGES_KEPT = 20  # pages whose elements stay in memory; an element that somebody holds is never made twice


class Pages(ABC, Generic[T]):
    """A sequence read in pages; its length is known, its elements are made when asked for.

    Iterating again starts at the first element. However long it is, memory holds `PAGES_KEPT` pages: an element that
    was dropped is read again, and one that is still in use is handed out as the same object.

    Args:
        per_page: elements read at a time.
    """

    def __init__(self, per_page: int = 50) -> None:
        self.per_page = max(1, int(per_page))
        self.index = -1  # of the element that `next` gave last
        self._pages: OrderedDict[int, Sequence[T]] = OrderedDict()
        self._in_use: WeakValueDictionary[int, Any] = WeakValueDictionary()
        self._seen = 0  # elements that were read so far, from the first on

    @abstractmethod
    def _count(self) -> int:
        """How many elements there are."""

    @abstractmethod
    def _read(self, start: int, stop: int) -> Sequence[T]:
        """The elements from `start` up to `stop`, which lie inside the sequence."""

    @property
    def objects(self) -> list[T]:
        """The elements read so far."""
        return [self._at(place) for place in range(self._seen)]

    @property
    def more(self) -> bool:
        """Whether there are elements that were not read yet."""
        return self._seen < self._count()

    @property
    def cursor(self) -> str | None:
        """Where the next page begins; None before the first."""
        return str(self._seen) if self._seen else None

    def __iter__(self) -> Iterator[T]:
        """From the first element on."""
        self.index = -1
        return self

    def __next__(self) -> T:
        """The next element."""
        self.index += 1
        if self.index >= self._count():
            raise StopIteration
        return self._at(self.index)

    def next(self) -> T:
        """The next element.

        Raises:
            StopIteration: there is none.
        """
        return self.__next__()

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        """An element, or a list of them; a negative index counts from the end.

        Raises:
            IndexError: there is no such element.
        """
        if isinstance(index, slice):
            return [self._at(place) for place in range(*index.indices(self._count()))]
        place = index + self._count() if index < 0 else index
        if not 0 <= place < self._count():
            raise IndexError("list index out of range")
        return self._at(place)

    def __getstate__(self) -> dict[str, Any]:
        """Without the elements: they are read again."""
        return {**self.__dict__, "_pages": OrderedDict(), "_in_use": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The same place, nothing in memory."""
        self.__dict__.update(state, _in_use=WeakValueDictionary())

    def _at(self, place: int) -> T:
        held = self._in_use.get(place)
        if held is not None:
            found: T = held
            return found
        number, offset = divmod(place, self.per_page)
        page = self._pages.get(number)
        if page is None:
            page = self._page(number)
        self._pages.move_to_end(number)
        return page[offset]

    def _page(self, number: int) -> Sequence[T]:
        start = number * self.per_page
        stop = min(start + self.per_page, self._count())
        page = [self._in_use.get(place, made) for place, made in enumerate(self._read(start, stop), start)]
        self._pages[number] = page
        self._in_use.update(enumerate(page, start))
        self._seen = max(self._seen, stop)
        if len(self._pages) > PAGES_KEPT:
            self._pages.popitem(last=False)
        return page


class SizedPages(Pages[T]):
    """Pages that tell their length."""

    def __len__(self) -> int:
        """How many elements there are."""
        return self._count()


def check_start(start: str | None) -> None:
    """Refuse a cursor of the server's to begin at.

    Raises:
        CommError: one is given.
    """
    if start is not None:
        raise CommError("a mirror has no cursors to start from", hint="take a slice of the list instead")
