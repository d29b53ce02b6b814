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
# What is asked by none but a process that carries out a sweep.
OF_AGENTS = frozenset(
    {"createAgent", "agentHeartbeat"}
    | {f"Sweep.{name}" for name in ("heartbeatAt", "controller", "scheduler", "earlyStopJobRunning")}
)
# Input fields of upsertBucket that wandb.init() and `wandb sync` alone set.
_OF_TRAINING = ("host", "jobProgram", "jobRepo", "commit", "debug", "sweep")


class TrainingRefused(RequestRefused):
    """A process that trains asked; whatever else its document lacks is not worth a word."""

    def __init__(self) -> None:
        super().__init__(REFUSAL, status=STATUS)


def refuse_training(given: Mapping[str, Any]) -> None:
    """Refuse the first request of a process that trains.

    Args:
        given: the input of upsertBucket.

    Raises:
        TrainingRefused: it is one.
    """
    if any(given.get(name) is not None for name in _OF_TRAINING):
        raise TrainingRefused
