"""How a delivery ends when it does not raise an error of the network: in a value, or in one of two refusals."""

from __future__ import annotations

from typing import Any

import msgspec

from mirror.errors import ChangeRefused, DocumentRefused, Forbidden, MirrorError, NotFound, NotOffered, RefusedByServer
from mirror.records.contents import Direction, FileRow
from mirror.records.receipts import Outcome
from mirror.records.runs import RunRecord


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """What a delivery came to, and what the server shows afterwards."""

    outcome: Outcome
    run: RunRecord | None = None  # as it is upstream now; None: as it was looked at before
    gone: bool = False  # the run is no longer there, as was asked
    files: tuple[FileRow, ...] = ()  # of the run, as they are upstream now
    links: tuple[tuple[str, Direction], ...] = ()  # artifact ids that the run logged or used, on top of others
    sent: Any = None  # what was sent, as plain values
    answer: str | None = None  # what the server said, or why nothing was sent


class RefusedDelivery(Exception):
    """The server will not do it, whenever it is asked: the entry is buried with these words.

    Args:
        words: the server's, or why nothing was sent.
        run: as it was looked at; the mirror takes it, and so shows why.
        gone: the run is not upstream any more, and that is certain.
    """

    def __init__(self, words: str, *, run: RunRecord | None = None, gone: bool = False) -> None:
        super().__init__(words)
        self.run = run
        self.gone = gone


class HeldDelivery(Exception):
    """Both sides changed the same: the entry waits for a person."""


class UnconfirmedDelivery(Exception):
    """The server does not show (yet) what it took, or what the change has to be decided on: it is looked at again."""


def is_refusal(error: MirrorError) -> bool:
    """Whether the server said no to this very operation, so that asking again cannot help.

    An error from reading is none: nothing was asked for yet that it could say no to.
    """
    return isinstance(error, Forbidden | NotFound | NotOffered | RefusedByServer | ChangeRefused | DocumentRefused)


def words_of(error: MirrorError) -> str:
    """The server's own words, where it said any."""
    messages = getattr(error, "messages", ())
    return "; ".join(messages) if messages else error.message
