"""The gateway of a home, ready to be served; what it needs to be installed is asked for in one line."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mirror.cli.asked_server import API_KEY, BASE_URL
from mirror.cluster.place import has_lake
from mirror.errors import ConfigError, NotMirrored

if TYPE_CHECKING:
    from mirror.cli.setting import Setting
    from mirror.gateway.engine import Engine
    from mirror.gateway.http.app import Gateway
    from mirror.gateway.http.key import GatewayKey
    from mirror.web.app import Pages


_BYPASS = ("NO_PROXY", "no_proxy")  # libraries read the one or the other
_PROXIES = ("http_proxy", "all_proxy")  # what plain HTTP goes through; https_proxy is for TLS


def check_installed() -> None:
    """Refuse to go on without what the gateway is made with.

    Raises:
        ConfigError: it is not installed.
    """
    if any(importlib.util.find_spec(name) is None for name in ("starlette", "uvicorn", "jinja2", "markdown_it")):
        raise ConfigError("the gateway is not installed", hint='pip install "wandb-mirror[serve]"')


def check_mirrored(setting: Setting) -> None:
    """Refuse to answer from nothing; a home that is set up, and was never pulled into, is one to train against.

    Raises:
        NotMirrored: the home is not set up.
        StoreError: it cannot be written.
    """
    if has_lake(setting.home):
        return
    if not setting.config_path.exists():
        hint = "run `wandb-mirror init --source ENTITY/PROJECT` first; --no-check where no server can be reached"
        raise NotMirrored(f"{setting.home.root} is not a mirror yet", hint=hint)
    from mirror.cli.lake import lake_to_write  # few homes need it, and the start of a command must be fast

    with lake_to_write(setting):
        pass


def gateway_of(setting: Setting, key: GatewayKey, *, read_only: bool, host: str, with_pages: bool = False) -> Gateway:
    """The gateway of a home.

    Args:
        setting: of the command.
        key: that clients carry.
        read_only: refuse every change, whatever the configuration says.
        host: on which it listens.
        with_pages: also show pages to people.
    """
    from mirror.gateway.http.app import Gateway
    from mirror.run.pending.local import LocalMirror

    read_only = read_only or setting.config.serve.read_only
    mirror = LocalMirror(setting.home)

    def pages(engine: Engine, names: frozenset[str]) -> Pages:
        from mirror.cli.page_tools import tools_of
        from mirror.web.app import Pages

        return Pages(mirror, engine, key, tools_of(setting), read_only=read_only, names=names)

    return Gateway(
        mirror,
        key,
        read_only=read_only,
        upload_most_bytes=setting.config.serve.upload_max_mb * 10**6,
        hosts=frozenset({host.lower()}),
        pages=pages if with_pages else None,
    )


def variables(host: str, port: int, key: GatewayKey) -> dict[str, str]:
    """The environment in which the SDK asks the gateway."""
    shown = f"[{host}]" if ":" in host else host
    return {BASE_URL: f"http://{shown}:{port}", API_KEY: key.text}


def bypass(environment: Mapping[str, str], host: str) -> dict[str, str]:
    """The environment in which no proxy comes between: it would read the key and every signed address.

    Args:
        environment: what is exempt there stays so.
        host: of the gateway.
    """
    named = [part.strip() for name in _BYPASS for part in environment.get(name, "").split(",")]
    exempt = ",".join(dict.fromkeys(part for part in (*named, "127.0.0.1", "localhost", host) if part))
    return dict.fromkeys(_BYPASS, exempt)


def has_proxy(environment: Mapping[str, str]) -> bool:
    """Whether the SDK's requests go through a proxy there."""
    return any(value and name.lower() in _PROXIES for name, value in environment.items())
