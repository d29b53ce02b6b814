"""What the members that read a history take, and how they answer what they do not: in the SDK's words."""

from __future__ import annotations

import sys
from typing import Any


def what_is_wrong(keys: Any, stream: str) -> str | None:
    """Why the arguments make no question, in the SDK's words; None when they do."""
    if keys is not None and not isinstance(keys, list):
        return "keys must be specified in a list"
    if keys and not all(isinstance(key, str) for key in keys):
        return "keys argument must be a list of strings"
    if keys and stream != "default":
        return "stream must be default when specifying keys"
    return None


def tell(wrong: str) -> None:
    """Say on stderr what is wrong: sampled histories answer wrong arguments with nothing, as the SDK's do."""
    sys.stderr.write(f"wandb-mirror: ERROR {wrong}\n")
