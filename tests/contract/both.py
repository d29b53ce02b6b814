"""The same call on the SDK's object and on the mirror's, and what came of each."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from mirror.errors import MirrorError


def typed(value: Any) -> Any:
    """A value that two others share only when they agree to the last digit, the sign of a zero, and the type."""
    if isinstance(value, dict):
        return {str(key): typed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [type(value).__name__, *map(typed, value)]
    return f"{type(value).__name__} {value!r}"


def words(error: Exception) -> str:
    """What an error says; without the command that ours name besides."""
    return error.message if isinstance(error, MirrorError) else str(error)


class Outcome(NamedTuple):
    """A value with its types, or an error by the names of its classes."""

    value: Any
    error: str | None = None  # name of the class
    message: str = ""


def outcome(call: Callable[[Any], Any], given: Any) -> Outcome:
    """What a call comes to."""
    try:
        return Outcome(typed(call(given)))
    except StopIteration as error:
        return Outcome(None, type(error).__name__)
    except Exception as error:
        return Outcome(None, type(error).__name__, words(error))


def same(call: Callable[[Any], Any], theirs: Any, ours: Any) -> str | None:
    """None when both come to the same; else what differs. Errors are the same when ours is caught where theirs is."""
    return differences(call, [(theirs, ours)])[0]


def differences(call: Callable[[Any], Any], pairs: Sequence[tuple[Any, Any]]) -> list[str | None]:
    """`same` for many pairs; the SDK, which waits for its service, is asked in several threads."""
    with ThreadPoolExecutor(8) as pool:
        expected = list(pool.map(lambda pair: outcome(call, pair[0]), pairs))
    with no_sockets():
        return [_difference(wanted, call, ours) for wanted, (_, ours) in zip(expected, pairs, strict=True)]


def _difference(expected: Outcome, call: Callable[[Any], Any], ours: Any) -> str | None:
    try:
        found = Outcome(typed(call(ours)))
    except Exception as error:
        if expected.error in [cls.__name__ for cls in type(error).__mro__]:
            return None
        found = Outcome(None, type(error).__name__, words(error))
    return None if found == expected else f"ours {_short(found)}\n  SDK  {_short(expected)}"


@contextlib.contextmanager
def no_sockets() -> Iterator[None]:
    """Whoever connects a socket inside, or looks up a name, fails."""

    def refuse(*args: Any, **_: Any) -> Any:
        raise AssertionError(f"a socket was used: {args[1:]!r}")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto", "bind"):
            patch.setattr(socket.socket, name, refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        patch.setattr(socket, "create_connection", refuse)
        yield


def _short(outcome: Outcome) -> str:
    text = repr(outcome.value) if outcome.error is None else f"{outcome.error}: {outcome.message}"
    return text if len(text) < 600 else text[:600] + "…"
