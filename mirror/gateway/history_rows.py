"""Rows of a run's history as the server words them, from what is held of it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

from mirror.gateway.runs import RunNode
from mirror.run.history.held import lacking_history
from mirror.store.history.sampling import evenly
from mirror.store.read.histories import StoredHistory, stored_histories
from mirror.texts.steps import STEP
from mirror.wandb_protocol.errors import RequestRefused

if TYPE_CHECKING:
    from mirror.store.history.rows import HistoryRows  # brings all of pyarrow, which many scripts never need

MOST_BYTES = 256 * 1024 * 1024  # of the rows of one answer
_LAST = 2**63 - 1
Row = dict[str, Any]


class RunRows:
    """One run's history.

    Args:
        run: whose.

    Raises:
        NotMirrored: the server has a history, and nothing of it is here.
    """

    def __init__(self, run: RunNode) -> None:
        stored = run.batch.recall("histories", stored_histories, _weight)
        self.stored: StoredHistory = stored[run.held.run_id]
        self._run = run
        lacking_history(run.facts, self.stored)

    def in_steps(self, min_step: int | None, max_step: int | None, samples: int) -> list[str]:
        """Rows of the steps in `[min_step, max_step)`, or evenly spread ones where there are more, as JSON texts."""
        if min_step is None and max_step is None:
            return self._spelled(self._rows.sample(None, samples))
        bounds = (0 if min_step is None else min_step), (_LAST if max_step is None else max_step)
        if bounds[0] >= bounds[1]:
            return []
        return _spread(self._spelled(chain.from_iterable(self._rows.batches(None, *bounds, "all"))), samples)

    def by_spec(self, keys: Sequence[str], min_step: int | None, max_step: int | None, samples: int) -> list[Row]:
        """Rows that hold all keys, in the steps of `[min_step, max_step]`, sampled down."""
        if min_step is None and max_step is None:
            return self._rows.sample(keys, samples)
        bounds = (0 if min_step is None else min_step), (_LAST if max_step is None else max_step + 1)
        rows = chain.from_iterable(self._rows.batches(keys, *bounds, "all"))
        return _spread([{key: row[key] for key in keys} for row in rows], samples)

    def last(self) -> list[str]:
        """The last row."""
        facts = self.stored.facts
        last = None if facts is None else facts.last_step_held
        return [] if last is None else self.in_steps(last, last + 1, 1)

    def tail_rows(self) -> Iterator[Row]:
        """Rows that no export holds, as the server sent them."""
        return map(_parsed, self.stored.tail)

    @cached_property
    def _rows(self) -> HistoryRows:
        from mirror.store.history.rows import HistoryRows

        return HistoryRows(self._run.batch.context.mirror.objects, self.stored, self._run.facts._known_summary)

    @cached_property
    def _sent(self) -> Mapping[int, tuple[frozenset[str], str]]:
        """By step: the keys of a row that no export holds, and its text."""
        sent = {}
        for text, row in zip(self.stored.tail, self.tail_rows(), strict=True):
            if isinstance(step := row.get(STEP), int | float):
                sent[int(step)] = frozenset(key for key, value in row.items() if value is not None), text
        return sent

    def _spelled(self, rows: Iterable[Row]) -> list[str]:
        """Rows as texts: as they were sent, where the export adds nothing to them."""
        texts, size = [], 0
        for row in rows:
            keys, text = self._sent.get(row[STEP], (frozenset(), ""))
            if keys != row.keys():
                text = json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=_plain)
            size += len(text)
            if size > MOST_BYTES:
                raise RequestRefused("these rows are too large for one answer: ask for fewer at a time", status=413)
            texts.append(text)
        return texts


def _weight(stored: Mapping[str, StoredHistory]) -> int:
    return sum(1000 + 100 * len(one.exports) + sum(map(len, one.tail)) for one in stored.values())


def _spread(rows: list[Any], samples: int) -> list[Any]:
    return rows if len(rows) <= samples else [rows[place] for place in evenly(len(rows), samples)]


def _parsed(text: str) -> Row:
    row = json.loads(text)
    return row if isinstance(row, dict) else {}


def _plain(value: Any) -> Any:
    """A value that JSON lacks: times, as W&B's exports have them, and bytes."""
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
