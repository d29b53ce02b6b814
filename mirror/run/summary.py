"""`run.summary`: a dictionary whose `update()` queues what changed.

Better than the SDK's: a deleted key is gone at once, also for `get`; a missing attribute is an `AttributeError`, so
that `hasattr` works; NaN stays NaN, where the SDK writes null; a large array reads as what W&B keeps of it; and
`update()` queues the changed keys alone, where the SDK sends the whole document over what others wrote meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, KeysView, Mapping
from typing import Any

from mirror.run.facts import RunFacts
from mirror.run.pending.changes import json_plain


class SummarySubDict:
    """A nested dictionary of a summary. Keys are stripped of blanks.

    Args:
        root: the summary; None for the summary itself.
        owner: what holds it; None for the summary itself.
        key: where in `owner`. It is looked up each time, for the run may have been read anew.
    """

    def __init__(self, root: Summary | None, owner: SummarySubDict | None = None, key: str = "") -> None:
        self._root = root
        self._owner = owner
        self._key = key
        self._locked: set[str] = set()  # keys that were set here; `update(overwrite=False)` leaves them

    @property
    def _values(self) -> dict[str, Any]:
        if self._owner is None:
            raise AttributeError("a part of a summary without its owner")
        return self._owner._part(self._key)

    def keys(self) -> KeysView[str]:
        """The keys."""
        return self._values.keys()

    def items(self) -> Iterator[tuple[str, Any]]:
        """Keys and values."""
        for key in list(self._values):
            yield key, self[key]

    def get(self, k: str, default: Any = None) -> Any:
        """A value, or `default`."""
        try:
            return self[k]
        except KeyError:
            return default

    def update(self, key_vals: Mapping[str, Any] | None = None, overwrite: bool = True) -> None:
        """Set keys, and queue all that changed in the summary since it was read.

        Args:
            key_vals: new values.
            overwrite: also those of keys that were set on this object before.

        Raises:
            TypeError: a value cannot be written as JSON; nothing was queued.
        """
        self._set(key_vals or {}, overwrite)
        (self._root or self)._commit()

    def _set(self, key_vals: Mapping[str, Any], overwrite: bool) -> None:
        for key, value in key_vals.items():
            name = _stripped(key)
            if overwrite or name not in self._locked:
                self._put(name, value)
                if overwrite:
                    self._locked.add(name)

    def _put(self, key: str, value: Any) -> None:
        self._values[key] = json_plain(value, stub=True)

    def _commit(self) -> None:
        raise NotImplementedError("the root of a summary queues")  # pragma: no cover - only Summary has no root

    def __getitem__(self, k: str) -> Any:
        """A value; a nested dictionary as one of these.

        Raises:
            KeyError: there is none.
        """
        key = _stripped(k)
        value = self._values[key]
        return SummarySubDict(self._summary, self, key) if isinstance(value, dict) else value

    def _part(self, key: str) -> dict[str, Any]:
        """A nested dictionary as it is now; to write into one that is no longer there is an error, and not lost."""
        value = self._values[key]
        if not isinstance(value, dict):
            raise KeyError(key)
        return value

    @property
    def _summary(self) -> Summary:
        root = self._root
        if root is None:
            raise AttributeError("a part of a summary without its root")
        return root

    def __setitem__(self, k: str, v: Any) -> None:
        """Set a value in memory; `update()` queues it."""
        key = _stripped(k)
        self._put(key, v)
        self._locked.add(key)

    def __delitem__(self, k: str) -> None:
        """Remove a key in memory; `update()` queues that.

        Raises:
            KeyError: there is none.
        """
        del self._values[_stripped(k)]

    def __contains__(self, k: object) -> bool:
        """Whether there is such a key."""
        return (_stripped(k) if isinstance(k, str) else k) in self._values

    def __getattr__(self, k: str) -> Any:
        """A value, as an attribute.

        Raises:
            AttributeError: there is none.
        """
        if k.startswith("_"):
            raise AttributeError(k)
        try:
            return self[k]
        except KeyError:
            raise AttributeError(f"the summary has no key {k!r}") from None

    def __setattr__(self, k: str, v: Any) -> None:
        """Set a value in memory, as an attribute."""
        if k.startswith("_"):
            object.__setattr__(self, k, v)
        else:
            self[k] = v

    def __repr__(self) -> str:
        """As a dictionary."""
        return repr(self._values)


class Summary(SummarySubDict):
    """The summary of a run.

    Args:
        run: whose it is; what it shows and changes is `run.summary_metrics`.
        queue: queues what changed.
    """

    def __init__(self, run: RunFacts, queue: Callable[[], None]) -> None:
        super().__init__(None)
        self._run = run
        self._queue = queue

    @property
    def _values(self) -> dict[str, Any]:
        return self._run.summary_metrics

    @property
    def _summary(self) -> Summary:
        return self

    def _commit(self) -> None:
        self._queue()


def _stripped(key: Any) -> Any:
    return key.strip() if isinstance(key, str) else key
