"""What one document may take, of memory and of time: each of its resolvers is watched, and it is ended when it goes on.

What a document asks for can be counted before (`cost.py`), what it is answered only as it comes: a config may have
three bytes, or a megabyte.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from graphql import GraphQLObjectType, GraphQLSchema, default_field_resolver, get_named_type, is_leaf_type

from mirror.wandb_protocol.errors import RequestRefused

MOST_BYTES = 32 * 1024 * 1024  # of one answer, as its values lie in memory; spelled, they are there three times
LARGE_FROM = 4 * 1024 * 1024  # answers that take more are made one at a time
WITHIN_S = 60.0
_OBJECT = 100  # bytes that an object or a list takes beside what is in it
_ERROR = 2000  # bytes of one, with its place and its sentence
_VALUE = 32  # bytes of a number, and of a place in an answer
TOO_LARGE = f"the answer takes more than {MOST_BYTES >> 20} MiB: ask for fewer runs, rows or fields at a time"
TOO_LONG = f"the document took more than {WITHIN_S:g} s, and was ended: ask for less at a time"


class Ended(BaseException):
    """A document is ended where it stands. No field's error, after which the engine would go on with the next field.

    Args:
        message: for the client.
        status: of HTTP.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message, self.status = message, status


class Watch:
    """Watches one document; a context manager, which its answer is spelled within.

    Args:
        turn: of large answers.
        is_change: what was begun is not ended: its fields fail one by one, for a part of it may be queued already.
    """

    def __init__(self, turn: threading.Lock, *, is_change: bool) -> None:
        self._turn = turn
        self._has_turn = False
        self._is_change = is_change
        self._bytes = 0
        self._until = time.monotonic() + WITHIN_S

    def again(self) -> None:
        """Count from nothing: the document is executed once more."""
        self._bytes = 0

    def add(self, size: int) -> None:
        """So many bytes more are in the answer.

        Raises:
            Ended: it takes too much, or too long.
            RequestRefused: the same, of a change.
        """
        self._bytes += size
        if self._bytes > MOST_BYTES:
            if self._is_change:
                raise RequestRefused(TOO_LARGE)
            raise Ended(TOO_LARGE, 413)
        if self._is_change:
            return
        left = self._until - time.monotonic()
        if self._bytes > LARGE_FROM and not self._has_turn:
            self._has_turn = self._turn.acquire(timeout=max(0.0, left))
            left = left if self._has_turn else 0.0
        if left <= 0:
            raise Ended(TOO_LONG, 422)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the next large answer begin."""
        if self._has_turn:
            self._turn.release()


def watch_all(schema: GraphQLSchema) -> None:
    """Have each resolver of a schema watched by its request's `watch`."""
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLObjectType) and not kind.name.startswith("__"):
            for field in kind.fields.values():
                weigh = weight if is_leaf_type(get_named_type(field.type)) else _weight_of_objects
                field.resolve = _watched(field.resolve or default_field_resolver, weigh)


def _watched(resolve: Callable[..., Any], weigh: Callable[[Any], int]) -> Callable[..., Any]:
    def watched(source: Any, info: Any, **arguments: Any) -> Any:
        try:
            value = resolve(source, info, **arguments)
        except Exception:
            info.context.watch.add(_ERROR)
            raise
        info.context.watch.add(weigh(value) + len(info.path.key))  # a client's own name for it, which each object has
        return value

    return watched


def _weight_of_objects(value: Any) -> int:
    return _OBJECT * (1 + len(value)) if isinstance(value, list) else _OBJECT


def weight(value: Any) -> int:
    """Bytes that a value takes, about: what JSON is made of, however deep."""
    size, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        size += _VALUE
        if isinstance(one, str):
            size += len(one) if one.isascii() else 4 * len(one)
        elif isinstance(one, dict):
            size += _OBJECT
            waiting.extend(one)
            waiting.extend(one.values())
        elif isinstance(one, list | tuple):
            waiting.extend(one)
    return size
