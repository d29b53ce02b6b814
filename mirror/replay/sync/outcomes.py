"""How a delivery ends that does not bring all of a run upstream."""

from __future__ import annotations

from mirror.records.addresses import RunPath
from mirror.records.operations import SyncRun


class Clash(Exception):
    """The server has something that the log does not."""


class NotShown(Exception):
    """The server does not show (yet) what it took."""


class GoesOn(Exception):
    """All that there is was delivered, and more will come.

    Args:
        words: what was done.
        remains: what is still to be done.
    """

    def __init__(self, words: str, remains: SyncRun) -> None:
        super().__init__(words)
        self.remains = remains


class Behind(Exception):
    """It begins at a step of a run that waits here, too.

    Args:
        parent: that run.
    """

    def __init__(self, parent: RunPath) -> None:
        super().__init__(f"it begins at a step of {parent}, which waits here, too")
        self.parent = parent
