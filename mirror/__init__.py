"""wandb-mirror: an offline-first mirror of Weights & Biases.

`mirror.connect()` opens the local mirror for SQL; the command `wandb-mirror` fills it. Every error is a `MirrorError`
with a hint and an exit code (`mirror.errors`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mirror.errors import MirrorError, NotFound, NotMirrored, Refused, ServerError, StoreError, Unreachable

if TYPE_CHECKING:
    from mirror.store.reading import connect

__all__ = ["MirrorError", "NotFound", "NotMirrored", "Refused", "ServerError", "StoreError", "Unreachable", "connect"]


def __getattr__(name: str) -> Any:
    """Import the database when it is asked for, so that `wandb-mirror --help` does not wait for it."""
    if name == "connect":
        from mirror.store.reading import connect

        return connect
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
