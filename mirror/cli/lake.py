"""The lake of a home, opened for writing as its configuration says."""

from __future__ import annotations

from mirror.cli.asked_server import refuse_gateway
from mirror.cli.setting import Setting
from mirror.layout import Home
from mirror.store.engine.lake import Lake


def lake_to_write(
    setting: Setting, home: Home | None = None, *, is_locked: bool = False, moving: str | None = None
) -> Lake:
    """Open a home's lake; a context manager.

    Args:
        setting: names the server.
        home: another home than its own, for what is to leave no trace.
        is_locked, moving: as `Lake`'s.

    Raises:
        ConfigError: the configured server is a gateway.
        HomeBusy: another process writes it.
        OtherDeployment: the home mirrors another server than the configured one.
        StoreError: it cannot be written.
    """
    refuse_gateway(setting.config, setting.home)
    deployment = setting.deployment
    return Lake(
        home or setting.home,
        deployment=deployment.id,
        known_as=deployment.names,
        app_url=deployment.app_url,
        settings=setting.config.store,
        is_locked=is_locked,
        moving=moving,
    )
