"""A process that trains: the outbox holds no rows of a history, so that its first request is refused, once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mirror.wandb_protocol.errors import RequestRefused

STATUS = 403  # which no client tries again
REFUSAL = (
    "wandb-mirror cannot take a new training run: set WANDB_MODE=offline for wandb.init(), and `wandb sync` the run"
    " when the W&B server is reached again"
)
# Input fields of upsertBucket that wandb.init() and `wandb sync` alone set.
_OF_TRAINING = ("host", "jobProgram", "jobRepo", "commit", "debug", "sweep")


def refuse_training(given: Mapping[str, Any]) -> None:
    """Refuse the first request of a process that trains.

    Args:
        given: the input of upsertBucket.

    Raises:
        RequestRefused: it is one.
    """
    if any(given.get(name) is not None for name in _OF_TRAINING):
        raise RequestRefused(REFUSAL, status=STATUS)
