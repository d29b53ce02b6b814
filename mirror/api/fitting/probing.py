"""Find out what of a document a server does not know, or fails at, where its words do not tell: ask for parts of it.
Pure.

Parts are asked about things that no server has, so that nothing is executed but the look for them, and what a server
says of the values of one run is never taken for its schema; what it fails at may need the very thing. The parts that
pass are put together; a part that does not is halved, down to the one field that is to blame.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from mirror.api.fitting.expected_types import composite_of
from mirror.api.fitting.fit import DISPENSABLE, fit
from mirror.api.fitting.fitted import Fitted
from mirror.api.fitting.learning import NO_SERVER_HAS_THIS
from mirror.records.server import ServerFacts

MOST_PROBES = 80  # of one document
CONFIRMATIONS = 2  # of what a server fails at
# What a document on several things cannot do without, tried in this order.
_BONES = (frozenset({"id", "name", "edges", "node", "cursor"}), frozenset({"name", "edges", "node"}), frozenset({"id"}))
_WAYS = frozenset({"Query.project", "Project.runs", "Project.run", "Query.artifact", "Query.models", "Query.viewer"})
_KEPT = frozenset({"filters", "countFilters", "order"})  # variables whose values have a form of their own

Passes = Callable[[str, Mapping[str, object]], Awaitable[bool]]
"""Asks a text with variables, and tells whether the server takes its form."""


class Probe:
    """One search.

    Args:
        document: written for a current server.
        facts: what is known of the server.
        variables: values by name, as they were to be sent.
        passes: asks.
        about_things: ask about what the variables name, and not about things that no server has.
    """

    def __init__(
        self,
        document: str,
        facts: ServerFacts,
        variables: Mapping[str, object],
        passes: Passes,
        *,
        about_things: bool = False,
    ) -> None:
        self._document, self._facts, self._passes = document, facts, passes
        self._variables = (
            variables if about_things else {name: harmless(name, value) for name, value in variables.items()}
        )
        self._known: dict[str, bool] = {}  # by text
        self._taken: set[str] = set()
        self._left = MOST_PROBES
        whole = fit(document, facts, for_use=False)
        self._names = [f"{parent}.{field}" for parent, field in whole.in_order]
        if not about_things:  # without these it would be about other things
            self._names += sorted(DISPENSABLE)

    async def lacking(self) -> frozenset[str] | None:
        """`Type.field` and `Type.field(argument)` that the server does not know.

        Returns:
            None when it takes the whole form, so that something else is to blame; empty when no part of it passes
            either, so that nothing can be told.
        """
        if await self._takes(self._names):
            return None
        for bones in _BONES:
            if await self._takes_frame(self._frame(bones)):
                missed = await self._search([name for name in self._names if name not in self._taken])
                return self._led_to(frozenset(missed))
        return frozenset()

    async def failing(self) -> frozenset[str] | None:
        """Names that the server fails at: without them it answers, and with them it does not.

        Both are asked again at the end, so that an outage that begins, ends or flickers meanwhile blames nothing.

        Returns:
            None when it answers the whole; empty when it answers no part either, or nothing can be told.
        """
        if await self._takes(self._names):
            return None
        frame = self._frame(_BONES[0])
        if not await self._takes_frame(frame):
            return frozenset()
        found = frozenset(await self._search([name for name in self._names if name not in self._taken]))
        rest = [name for name in self._names if name not in found]
        for _ in range(CONFIRMATIONS if found else 0):
            self._known.clear()
            if self._left < 2 or not await self._takes(rest) or await self._takes(self._names):
                return frozenset()
        return self._led_to(found)

    def _led_to(self, names: frozenset[str]) -> frozenset[str]:
        """Names, with the one field that leads to all of a type in place of all that is asked of it."""
        for kind in {name.partition(".")[0] for name in names}:
            asked = {name for name in self._names if name.startswith(f"{kind}.")}
            ways = [name for name in self._names if composite_of(*name.split(".")) == kind]
            if asked <= names and len(ways) == 1:
                names = names - asked | {*ways}
        return names

    def _frame(self, bones: frozenset[str]) -> list[str]:
        """The names that a document on several things cannot do without; those that lead are asked with others."""
        return [name for name in self._names if name.partition(".")[2] in bones or name in _WAYS]

    async def _takes_frame(self, frame: Sequence[str]) -> bool:
        is_taken = self._with(frame).text is not None and await self._takes(frame)
        if is_taken:
            self._taken.update(frame)
        return is_taken

    async def _search(self, names: Sequence[str]) -> list[str]:
        if not names or await self._takes([*self._taken, *names]):
            self._taken.update(names)
            return []
        if len(names) == 1:
            return list(names)
        middle = len(names) // 2
        return [*await self._search(names[:middle]), *await self._search(names[middle:])]

    async def _takes(self, names: Sequence[str]) -> bool:
        """Whether the server takes the form of a document with these names alone; nothing is taken by all."""
        fitted = self._with(names)
        if fitted.text is None:
            return True
        if fitted.text not in self._known:
            if self._left == 0:
                return False
            self._left -= 1
            self._known[fitted.text] = await self._passes(fitted.text, fitted.values(self._variables))
        return self._known[fitted.text]

    def _with(self, names: Sequence[str]) -> Fitted:
        without = tuple(name for name in self._names if name not in names)
        return fit(
            self._document,
            msgspec.structs.replace(self._facts, lacking=(*self._facts.lacking, *without)),
            for_use=False,  # the form alone is asked about
        )


def harmless(name: str, value: object) -> object:
    """A value of the same type that names nothing that a server has."""
    if name in _KEPT or value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return 1
    if isinstance(value, str):
        return NO_SERVER_HAS_THIS
    return []
