"""The path of a walk along a listing: it ends, whatever the server says.

A server may promise more for ever: by places that come again, or by fresh places with rows that were listed before.
"""

from __future__ import annotations

from collections.abc import Iterable

from mirror.errors import ServerError

PAGES_WITHOUT_NEWS = 5  # in a row; rows that move while they are listed come twice, but not for so long


class Path:
    """One walk; a place and a row are remembered as a number each.

    Args:
        what: is listed, for messages.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._places: set[int] = set()
        self._rows: set[int] = set()
        self._without_news = 0

    def step(self, after: str | None, rows: Iterable[str]) -> None:
        """Take a page.

        Args:
            after: where the next page is; None where there is none.
            rows: what tells the rows of this page from all others.

        Raises:
            ServerError: the walk goes in circles.
        """
        seen = {hash(row) for row in rows}
        self._without_news = 0 if seen - self._rows else self._without_news + 1
        self._rows |= seen
        if after is None:
            return
        if hash(after) in self._places or self._without_news >= PAGES_WITHOUT_NEWS:
            raise ServerError(f"the server lists the {self._what} in circles: it promises more, and gives what it gave")
        self._places.add(hash(after))
