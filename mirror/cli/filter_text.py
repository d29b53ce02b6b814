"""W&B's filter of runs as it is typed: JSON."""

from __future__ import annotations

from typing import Any

from mirror.errors import ConfigError
from mirror.narrowed import filter_of

EXAMPLE = 'for example \'{"state": "finished"}\''


def parse_filter(text: str) -> dict[str, Any]:
    """The object that `--filter` names; `{}` keeps every run.

    Raises:
        ConfigError: it is not JSON, no object, or has an operator that W&B does not know.
    """
    if text.strip() == "{}":
        return {}
    try:
        return filter_of(text)
    except ValueError as error:
        raise ConfigError(str(error).replace("the filter", "--filter", 1), hint=EXAMPLE) from error
