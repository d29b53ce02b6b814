"""How a replay tells about itself on the way, and how it is asked to end early."""

from __future__ import annotations

from typing import Literal, Protocol

from mirror.records.operations import Entry
from mirror.records.receipts import Outcome

Result = Outcome | Literal["held", "put_back"]


class Watcher(Protocol):
    """Whoever wants to show a replay while it runs, or to end it; every call returns at once."""

    @property
    def is_stopping(self) -> bool:
        """Whether nothing more is to be begun; what is under way ends as it would."""

    def ended(self, entry: Entry, result: Result, words: str | None) -> None:
        """An operation is done with for this round, and that is on the disk.

        Args:
            entry: as it was delivered.
            result: an outcome that has a receipt, or `held` for a person, or `put_back` for a later round.
            words: the server's, or why nothing was sent, or why it waits.
        """


class Silent:
    """A watcher that shows nothing and lets the round go to its end."""

    is_stopping = False

    def ended(self, entry: Entry, result: Result, words: str | None) -> None:
        """Nothing."""
