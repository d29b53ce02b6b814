"""How a public call fails: as the SDK's does, under the SDK's name."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from mirror.errors import CommError, MirrorError

P = ParamSpec("P")
T = TypeVar("T")


def as_comm_error(function: Callable[P, T]) -> Callable[P, T]:
    """Let a call raise nothing but the mirror's errors: any other becomes a `CommError` with the same text.

    The SDK wraps the same methods in the same way, and scripts rely on it.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except MirrorError:
            raise
        except Exception as error:
            raise CommError(str(error)) from error

    return call


def deprecated(message: str) -> None:
    """Tell the caller of a deprecated member, once a place."""
    warnings.warn(message, DeprecationWarning, stacklevel=3)
