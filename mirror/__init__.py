"""wandb-mirror: an offline-first mirror of Weights & Biases.

`mirror.connect()` opens the local mirror for SQL; the command `wandb-mirror` fills it. Every error is a `MirrorError`
with a hint and an exit code (`mirror.errors`).
"""

from __future__ import annotations

from mirror.errors import MirrorError, NotFound, NotMirrored, Refused, ServerError, StoreError, Unreachable
from mirror.store.reading import connect

__all__ = ["MirrorError", "NotFound", "NotMirrored", "Refused", "ServerError", "StoreError", "Unreachable", "connect"]
