"""Our errors, joined with those of the same names of W&B's SDK, where a process has imported that."""

from __future__ import annotations

import sys
from typing import Any

_SDK_ERRORS = {
    "ArtifactFinalizedError": "wandb.sdk.artifacts.exceptions",
    "CommError": "wandb.errors",
    "RunNotFoundError": "wandb.apis.public.runs",
    "IncompleteRunHistoryError": "wandb.apis.public.runhistory.downloads",
}
_joined: dict[tuple[type[Any], ...], type[Any]] = {}


def joined_with_sdk(cls: type[Any]) -> type[Any]:
    """A class that is also each of the SDK's errors of its own and its bases' names; wandb is never imported here."""
    twins = [
        twin
        for base in cls.__mro__
        if (module := sys.modules.get(_SDK_ERRORS.get(base.__name__, ""))) is not None
        and (twin := getattr(module, base.__name__, None)) is not None
    ]
    if not twins or issubclass(cls, tuple(twins)):
        return cls
    bases = (
        cls,
        *(twin for twin in twins if not any(other is not twin and issubclass(other, twin) for other in twins)),
    )
    if bases not in _joined:
        _joined[bases] = type(cls.__name__, bases, {"__module__": cls.__module__, "_is_joined": True})
    return _joined[bases]
