"""W&B's filter of runs as it is typed: JSON."""

from __future__ import annotations

import json
from typing import Any

from mirror.errors import ConfigError


def parse_filter(text: str) -> dict[str, Any]:
    """The object that `--filter` names.

    Raises:
        ConfigError: it is not JSON, or no object.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"--filter is not JSON: {error}", hint='for example \'{"state": "finished"}\'') from error
    if not isinstance(value, dict):
        raise ConfigError("--filter must be a JSON object", hint='for example \'{"state": "finished"}\'')
    return value
