"""The gateway of a home, ready to be served; what it needs to be installed is asked for in one line."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from mirror.errors import ConfigError

if TYPE_CHECKING:
    from mirror.cli.setting import Setting
    from mirror.gateway.app import Gateway
    from mirror.gateway.key import GatewayKey


def check_installed() -> None:
    """Refuse to go on without what the gateway is made with.

    Raises:
        ConfigError: it is not installed.
    """
    if any(importlib.util.find_spec(name) is None for name in ("starlette", "uvicorn")):
        raise ConfigError("the gateway is not installed", hint='pip install "wandb-mirror[serve]"')


def gateway_of(setting: Setting, key: GatewayKey, *, read_only: bool, host: str) -> Gateway:
    """The gateway of a home.

    Args:
        setting: of the command.
        key: that clients carry.
        read_only: refuse every change, whatever the configuration says.
        host: on which it listens.
    """
    from mirror.gateway.app import Gateway
    from mirror.run.pending.local import LocalMirror

    read_only = read_only or setting.config.serve.read_only
    return Gateway(
        LocalMirror(setting.home),
        key,
        read_only=read_only,
        upload_most_bytes=setting.config.serve.upload_max_mb * 10**6,
        hosts=frozenset({host.lower()}),
    )


def variables(host: str, port: int, key: GatewayKey) -> dict[str, str]:
    """The environment in which the SDK asks the gateway."""
    shown = f"[{host}]" if ":" in host else host
    return {"WANDB_BASE_URL": f"http://{shown}:{port}", "WANDB_API_KEY": key.text}
