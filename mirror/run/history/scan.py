"""`HistoryScan`: every row of a run's history, step by step."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, Self

from mirror.run.facts import RunFacts
from mirror.run.history.held import held_history, known_last_step

if TYPE_CHECKING:
    from mirror.store.history.rows import HistoryRows

Row = dict[str, Any]
_step_of = itemgetter("_step")


class HistoryScan(Iterator[Row]):
    """Rows by step, each step once, from the exports and what is not exported yet.

    `iter(scan)` begins again; `next(scan)` works without it. What it reads is settled when it is made: a pull that
    comes meanwhile changes nothing. It may be pickled, also in the middle.

    A row holds what was logged at its step, and no other key, where the SDK's exported rows also have every key of the
    export, with None. So a logged None looks like a key that was not logged: exports hold null for both, and unexported
    rows, which alone tell them apart, are shown as they will be then; the view `logged_keys` counts the Nones of a key.
    Values keep their exact types: 1.0 stays a float, -0.0 keeps its sign, times and other types
    that the SDK gives as None are there, NaN and infinities are floats also where they are not exported yet.

    Args:
        run: whose.
        min_step: the first step.
        max_step: the step behind the last; None, or anything beyond, for all.
        keys: what rows hold beside `_step`; None or empty for everything.
        page_size: steps of a page.
        how: whether a row has to hold all keys, or any.

    Raises:
        NotMirrored: the history is not in this mirror.
        ValueError: a page would be empty.
    """

    def __init__(
        self,
        run: RunFacts,
        *,
        min_step: int,
        max_step: int | None,
        keys: list[str] | None = None,
        page_size: int = 1_000,
        how: Literal["all", "any"] = "all",
    ) -> None:
        if page_size < 1:
            raise ValueError(f"page_size must be at least 1, not {page_size}")
        self.run = run
        self.min_step = min_step
        self.keys = keys
        self.page_size = page_size
        self._how: Literal["all", "any"] = how
        self._stored = held_history(run)
        facts = self._stored.facts
        # What is held may be newer than the run's own word for it, and older.
        held = -1 if facts is None or facts.last_step_held is None else facts.last_step_held
        behind = max(held, known_last_step(run)) + 1
        self._stop_step = behind if max_step is None else min(max_step, behind)
        self._history: HistoryRows | None = None
        self.__iter__()

    @property
    def max_step(self) -> int:
        """The highest step that may come."""
        return self._stop_step - 1

    def __iter__(self) -> Self:
        """From `min_step` on."""
        self.page_offset = self.min_step  # the first step that is not in a page yet
        self.scan_offset = 0  # of the next row in the page
        self.rows: list[Row] = []  # the page
        self._batches: Iterator[list[Row]] | None = None
        self._next_offset = self.min_step  # where `_batches` goes on
        return self

    def __next__(self) -> Row:
        """The next row.

        Raises:
            StopIteration: there is none.
            UnreadableExport: an export is damaged.
        """
        while self.scan_offset >= len(self.rows):
            if self.page_offset >= self._stop_step:
                raise StopIteration
            self._load_next()
        row = self.rows[self.scan_offset]
        self.scan_offset += 1
        return row

    def _load_next(self) -> None:
        """The next page that has rows, or the end; pages begin where those of the SDK do."""
        if self._batches is None or self._next_offset != self.page_offset:
            self._batches = self._read()
            self._ahead: list[Row] = []  # read, but in no page yet, from `_place` on
            self._place = 0
        self.rows, self.scan_offset = [], 0
        if not self._fill():
            self.page_offset = max(self.page_offset, self._stop_step)
            return
        gap = self._ahead[self._place]["_step"] - self.page_offset
        self.page_offset += gap // self.page_size * self.page_size + self.page_size
        while self._fill():
            cut = bisect_left(self._ahead, self.page_offset, lo=self._place, key=_step_of)
            self.rows += self._ahead[self._place : cut]
            self._place = cut
            if cut < len(self._ahead):
                break
        self._next_offset = self.page_offset

    def _fill(self) -> bool:
        """Have a row ahead; False at the end."""
        while self._place >= len(self._ahead):
            rows = next(self._batches, None) if self._batches is not None else None
            if rows is None:
                return False
            self._ahead, self._place = rows, 0
        return True

    def _read(self) -> Iterator[list[Row]]:
        from mirror.store.history.rows import HistoryRows

        if self._history is None:
            self._history = HistoryRows(self.run._local.objects, self._stored, self.run._known_summary)
        return self._history.batches(self.keys or None, self.page_offset, self._stop_step, self._how)

    def __getstate__(self) -> dict[str, Any]:
        """Without what was read ahead: it is read again."""
        return {**self.__dict__, "_history": None, "_batches": None, "_ahead": [], "_place": 0}
