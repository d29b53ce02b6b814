"""Where the lake of a home stands, as its configuration says."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from mirror.config import load_config
from mirror.errors import ConfigError
from mirror.layout import Home
from mirror.store_settings import StoreSettings


def place_of(home: Home) -> StoreSettings | None:
    """Where the lake of a home stands; None: in the home itself.

    Raises:
        ConfigError: the configuration cannot be read, and no lake in the home speaks for itself.
    """
    try:
        found = home.config.stat()
    except OSError:
        return None
    try:
        settings = _settings(home.config, found.st_mtime_ns, found.st_size)
    except ConfigError:
        if home.catalog.exists():  # what is wrong with the file is said by whoever needs the rest of it
            return None
        raise
    return settings if settings.is_shared else None


def has_lake(home: Home) -> bool:
    """Whether a home has a lake, or shares one, in which there may be nothing yet."""
    return place_of(home) is not None or home.catalog.exists()


@lru_cache(maxsize=64)
def _settings(config: Path, _mtime_ns: int, _size: int) -> StoreSettings:
    """As of one state of the file."""
    return load_config(config, env={}).store
