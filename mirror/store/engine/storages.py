"""Where the lake of a home stands."""

from __future__ import annotations

from mirror.cluster.place import place_of
from mirror.layout import Home
from mirror.store.engine.local_storage import LocalStorage
from mirror.store.engine.storage import Storage


def storage_of(home: Home) -> Storage:
    """In the home, or shared, as its configuration says.

    Raises:
        ConfigError: the configuration cannot be read.
    """
    place = place_of(home)
    if place is None:
        return LocalStorage(home)
    from mirror.store.engine.shared_storage import SharedStorage  # brings what only a shared lake needs

    return SharedStorage(home, place)
