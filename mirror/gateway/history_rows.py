"""Rows of a run's history as the server words them, from what is held of it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

from mirror.gateway.runs import RunNode, parsed
from mirror.gateway.watch import MOST_BYTES, TOO_LARGE
from mirror.run.history.held import lacking_history
from mirror.store.history.sampling import evenly
from mirror.store.objects.objects import Objects
from mirror.store.read.histories import StoredHistory, stored_histories
from mirror.texts.steps import STEP
from mirror.wandb_protocol.errors import RequestRefused

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
            return self._spelled(self._opened.rows.sample(None, samples, between=self._look))
        bounds = (0 if min_step is None else min_step), (_LAST if max_step is None else max_step)
        if bounds[0] >= bounds[1]:
            return []
        rows = self._opened.rows
        count = sum(map(len, rows.batches((STEP,), *bounds, "all", between=self._look)))
        chosen: Iterable[Row] = chain.from_iterable(rows.batches(None, *bounds, "all", between=self._look))
        if count > samples:  # spelled, those that nobody wants would take as much memory
            places = frozenset(evenly(count, samples))
            chosen = (row for place, row in enumerate(chosen) if place in places)
        return self._spelled(chosen)

    def by_spec(self, keys: Sequence[str], min_step: int | None, max_step: int | None, samples: int) -> list[Row]:
        """Rows that hold all keys, in the steps of `[min_step, max_step]`, sampled down."""
        if min_step is None and max_step is None:
            return self._opened.rows.sample(keys, samples, between=self._look)
        bounds = (0 if min_step is None else min_step), (_LAST if max_step is None else max_step + 1)
        rows = chain.from_iterable(self._opened.rows.batches(keys, *bounds, "all", between=self._look))
        return _spread([{key: row[key] for key in keys} for row in rows], samples)

    def last(self) -> list[str]:
        """The last row."""
        facts = self.stored.facts
        last = None if facts is None else facts.last_step_held
        return [] if last is None else self.in_steps(last, last + 1, 1)

    def _look(self) -> None:
        """End a history whose document has taken its time: nothing else looks before it is read to its end.

        Raises:
            Ended: it has.
        """
        self._run.batch.context.watch.add(0)

    def tail_rows(self) -> Iterator[Row]:
        """Rows that no export holds, as the server sent them."""
        return map(parsed, self.stored.tail)

    @cached_property
    def _opened(self) -> _Opened:
        run, ctx = self._run, self._run.batch.context
        summary = parsed(run.batch.text(run.held.run_id, "summary"))
        return ctx.recall(
            ("opened history", run.path), lambda _lake: _Opened(ctx.mirror.objects, self.stored, summary), _Opened.weigh
        )

    def _spelled(self, rows: Iterable[Row]) -> list[str]:
        """Rows as texts: as they were sent, where the export adds nothing to them."""
        texts, size = [], 0
        for row in rows:
            keys, text = self._opened.sent.get(row[STEP], (frozenset(), ""))
            if keys != row.keys():
                text = _encode(row)
            self._look()
            size += len(text)
            if size > MOST_BYTES:
                raise RequestRefused(TOO_LARGE, status=413)
            texts.append(text)
        return texts


class _Opened:
    """A history that several requests read: what is known of its parts, and the rows of its tail.

    Its exports are opened by each read and closed again.
    """

    def __init__(self, objects: Objects, stored: StoredHistory, summary: Mapping[str, Any]) -> None:
        from mirror.store.history.rows import HistoryRows

        self.rows = HistoryRows(objects, stored, lambda: summary)
        self.sent: dict[int, tuple[frozenset[str], str]] = {}  # by step: keys of a row that no export holds, its text
        for text in stored.tail:
            row = parsed(text)
            if isinstance(step := row.get(STEP), int | float):
                self.sent[int(step)] = frozenset(key for key, value in row.items() if value is not None), text
        facts = stored.facts
        self._bytes = 50_000 + 8 * (facts.rows_held if facts is not None else 0) + 8 * sum(map(len, stored.tail))

    def weigh(self) -> int:
        """Bytes that it takes, about."""
        return self._bytes


def _weight(stored: Mapping[str, StoredHistory]) -> int:
    return sum(1000 + 100 * len(one.exports) + sum(map(len, one.tail)) for one in stored.values())


def _spread(rows: list[Any], samples: int) -> list[Any]:
    return rows if len(rows) <= samples else [rows[place] for place in evenly(len(rows), samples)]


def _plain(value: Any) -> Any:
    """A value that JSON lacks: times, as W&B's exports have them, and bytes."""
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain).encode
