"""The server that a command asks: W&B's, and no gateway of a mirror."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

from mirror.config import Config
from mirror.errors import ConfigError
from mirror.layout import Home

BASE_URL, API_KEY = "WANDB_BASE_URL", "WANDB_API_KEY"
EXECUTING = "WANDB_MIRROR_GATEWAY"  # the address that `exec` gave to its command


def refuse_gateway(config: Config, home: Home | None, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse to ask a gateway, as a command would that begins where scripts read the mirror.

    Args:
        config: names the server.
        home: whose gateway's key is known; None: of no home.
        environment: of this process.

    Raises:
        ConfigError: it is one.
    """
    url = environment.get(BASE_URL, "").strip()
    if not url or url != config.server.base_url:
        return
    if url == environment.get(EXECUTING) or (home is not None and _is_key(home, environment.get(API_KEY, ""))):
        raise ConfigError(
            f"{BASE_URL} leads to a gateway of a mirror ({url}), and this needs the W&B server",
            hint=f"outside of `wandb-mirror exec`, or without its variables: unset {BASE_URL} {API_KEY}",
        )


def _is_key(home: Home, given: str) -> bool:
    """Whether the key in use is the one of this home's gateway."""
    if not given or not home.gateway_key.exists():
        return False
    with contextlib.suppress(OSError):
        return home.gateway_key.read_text(encoding="ascii", errors="replace").strip() == given.strip()
    return False
