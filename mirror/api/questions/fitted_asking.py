"""Documents fitted to the server and sent over one session; what it refuses, forbids or fails at is not asked again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import anyio

from mirror.api.documents.queries import PING
from mirror.api.fitting.failing import ANSWERED_AS, Path, is_failure, name_at, parts_with
from mirror.api.fitting.fitted import Fitted
from mirror.api.fitting.known_server import KnownServer
from mirror.api.rows.answers import Answer
from mirror.api.transport.deployment import Deployment
from mirror.api.transport.session import Session, changed_by
from mirror.errors import (
    DocumentRefused,
    Forbidden,
    GraphQLError,
    MirrorError,
    NotFound,
    NotOffered,
    Reported,
    ServerError,
    Unreachable,
)
from mirror.records.capabilities import words_for

OK = 200  # with this status a server may also tell that something failed which it knows
FEW_TRIES = 2  # of a document about several things: asking for fewer of them is the better next step
MOST_REFUSALS = 40  # of one document in a row; each teaches something, so that fewer are left to learn
PROBING_PATIENCE_S = 300.0  # for the search of what a server fails at: it may take its time to fail


@dataclass(frozen=True, kw_only=True)
class OneThing:
    """What a document that is about one thing asks about."""

    path: Path  # the way to it in the answer
    type: str
    others: Callable[
        [], Awaitable[Sequence[Mapping[str, object]]]
    ]  # variables that ask about some others: what differs


class FittedAsking:
    """Asks over one session, and remembers what the server does not know."""

    def __init__(self, deployment: Deployment, session: Session, known: KnownServer) -> None:
        self._host = deployment.host
        self._deployment = deployment
        self._session = session
        self._known = known
        self._searching = anyio.Lock()  # one at a time finds out what the server lacks or fails at
        self.server_time: dt.datetime | None = None  # UTC, of the latest answer's Date

    async def _ask(
        self,
        document: str,
        variables: Mapping[str, object] | None = None,
        *,
        attempts: int | None = None,
        partial: bool = False,
        needs: Sequence[str] = (),
        without: Iterable[str] = (),
        one: OneThing | None = None,
        tried: bool = True,
    ) -> Answer:
        """Ask what of a document this server knows.

        Args:
            document: written for a current server.
            variables: values by name, without `$`; those that are not asked for are not sent.
            attempts: at most so many tries; None: as configured.
            partial: take data in which single fields failed; `Answer.errors` then names them.
            without: what the server cannot serve this time: `Type.field`, or a field of runs by its name in answers.
            needs: `Type.field` and `Type.field(argument)` without which the document is no use.
            one: the one thing that it is about, so that what the server fails at can be found out; None: about several.
            tried: whether smaller documents are tried where its words do not tell what is wrong; not where the caller
                asks in another way then.

        Raises:
            NotOffered: the server knows nothing of it, or lacks what it needs.
            DocumentRefused: it refuses the document in words that tell nothing new.
            GraphQLError: what it fails at of the one thing has its place there, whatever the server told.
            MirrorError: what `Session.graphql` raises.
        """
        hidden = [_field_of(name) for name in without]
        for _ in range(MOST_REFUSALS):
            fitted = self._known.fit(document, hidden)
            missing = [name for name in needs if not self._known.knows(name)]
            if fitted.text is None or missing:
                raise self._not_offered(frozenset(missing) or fitted.left_out)
            sent = fitted.values(variables or {})
            search = _Search(document=document, hidden=hidden, fitted=fitted, sent=sent, one=one, tried=tried)
            try:
                answer = await self._session.graphql(fitted.text, sent, attempts=attempts, partial=partial)
            except (Forbidden, ServerError, Unreachable) as error:
                if not await self._learnt_from(error, search):
                    raise
            else:
                self._known.note_served(fitted, answer.data)
                return answer
        raise ServerError(f"{self._host} keeps refusing what it is asked for, for other reasons each time")

    async def _learnt_from(self, error: MirrorError, search: _Search) -> bool:
        """Learn why a document failed; whether asking again is of use.

        Raises:
            GraphQLError: it fails for this one thing alone, and says where.
        """
        if self._searching.statistics().owner == anyio.get_current_task():  # asked in the course of a search
            return await self._searched(error, search)
        async with self._searching:
            if self._known.fit(search.document, search.hidden).text != search.fitted.text:
                return True  # another one found it out meanwhile
            return await self._searched(error, search)

    async def _searched(self, error: MirrorError, search: _Search) -> bool:
        fitted = search.fitted
        if isinstance(error, DocumentRefused):
            # What it learns of a mutation's input is for who made the input: that text is not asked again.
            taught = self._known.learn_from(fitted, error)
            if taught and self._known.fit(search.document, search.hidden).text != fitted.text:
                return True
        # What changes something is not tried out.
        if fitted.text is None or not search.tried or changed_by(fitted.text) is not None:
            return False
        may_be_form = isinstance(error, Forbidden | GraphQLError) and not self._known.was_taken(fitted)
        if isinstance(error, GraphQLError) and not isinstance(error, DocumentRefused):
            may_be_form = may_be_form and error.may_be_about_form
        if (isinstance(error, Forbidden) or is_failure(error)) and await self._fails_as_before(search):
            return True
        if may_be_form and await self._found_out(error, search):
            return True
        return is_failure(error) and await self._found_failing(error, search)

    async def _found_out(self, error: MirrorError, search: _Search) -> bool:
        """Find out by smaller documents what a server does not know or forbids, where its words do not tell."""
        from mirror.api.fitting.probing import Probe

        lacking = await Probe(search.document, self._known.facts, search.sent, self._takes_form).lacking()
        if lacking is None:
            self._known.note_taken(search.fitted)
        if not lacking:
            return False
        if isinstance(error, Forbidden) or (isinstance(error, ServerError) and error.status == OK):
            return self._known.learn_failing(self._known.untaken(lacking))  # it may serve it another day
        return self._known.learn_lacking(lacking)

    async def _fails_as_before(self, search: _Search) -> bool:
        """Whether a document passes without what the server failed at before."""
        suspects = self._known.suspects(search.fitted)
        if not suspects:
            return False
        spared = self._known.fit(search.document, [*search.hidden, *suspects])
        is_to_blame = spared.text is not None and await self._serves(spared.text, spared.values(search.sent))
        return is_to_blame and self._known.learn_failing(suspects)

    async def _found_failing(self, error: MirrorError, search: _Search) -> bool:
        """Find out by smaller documents what a server fails at.

        What it fails at whatever the thing is, or for others too, is not asked for a while.

        Raises:
            GraphQLError: it fails at something of this one thing.
        """
        from mirror.api.fitting.probing import Probe

        facts = self._known.without(search.hidden)
        with anyio.move_on_after(PROBING_PATIENCE_S):
            of_all, of_one = self._known.may_search(search.fitted), search.one is not None and self._known.may_search()
            if not (of_all or of_one) or not await self._answers():
                return False
            found: frozenset[str] | None
            if of_all:
                found = await Probe(search.document, facts, search.sent, self._serves).failing()
                if found:
                    return self._known.learn_failing(found)
            if search.one is None or not of_one:
                return False
            probe = Probe(search.document, facts, search.sent, self._serves, about_things=True)
            found = await probe.failing()
            if not found:
                return False
            if await self._fails_for_others(search, search.one, found):
                return self._known.learn_failing(found)
            self._blame(error, parts_with(found, search.one.type, search.fitted.visited), search.one)
        return False

    async def _fails_for_others(self, search: _Search, one: OneThing, failing: Iterable[str]) -> bool:
        """Whether others can be had without some fields, and each fails with them; two at the least."""
        whole, spared = search.fitted, self._known.fit(search.document, [*search.hidden, *failing])
        assert whole.text is not None
        if spared.text is None:
            return False
        names: list[str] = []  # its own is the first
        try:
            for other in ({}, *await one.others()):
                variables = {**search.sent, **other}
                answer = await self._session.graphql(spared.text, spared.values(variables), attempts=FEW_TRIES)
                name = name_at(answer.data, one.path)
                if name is not None and name not in names:
                    if names and await self._serves(whole.text, whole.values(variables)):
                        return False
                    names.append(name)
        except MirrorError:
            return False
        return len(names) > 2

    def _blame(self, error: MirrorError, parts: Iterable[str], one: OneThing) -> None:
        """Say in GraphQL's own form where a server failed.

        Raises:
            GraphQLError: with the path of each part; not raised when there is none.
        """
        reported = tuple(Reported(message=error.message, path=(*one.path, part)) for part in sorted(parts))
        if reported:
            raise GraphQLError(error.message, reported=reported, hint=error.hint) from None

    async def _takes_form(self, text: str, variables: Mapping[str, object]) -> bool:
        """Whether the server takes the form of a document, whatever it answers.

        Parts are asked about things that no server has: what is forbidden then is forbidden for all.
        """
        try:
            await self._session.graphql(text, variables, attempts=FEW_TRIES, partial=True)
        except (DocumentRefused, Forbidden):
            return False
        except GraphQLError as error:
            return not error.may_be_about_form
        except NotFound:
            return True
        return True

    async def _serves(self, text: str, variables: Mapping[str, object]) -> bool:
        """Whether the server answers a document without failing as a whole.

        Raises:
            Unreachable: it is away, or wants to be asked less.
        """
        try:
            await self._session.graphql(text, variables, attempts=FEW_TRIES, partial=True)
        except (ServerError, Unreachable) as error:
            if isinstance(error, Unreachable) and not is_failure(error):
                raise
            return not is_failure(error)
        except MirrorError as error:
            return not isinstance(error, Forbidden)
        return True

    async def _answers(self) -> bool:
        """Whether the server answers the smallest question there is."""
        try:
            await self._session.graphql(PING, attempts=1)
        except MirrorError:
            return False
        return True

    def _not_offered(self, names: frozenset[str]) -> NotOffered:
        return NotOffered(f"{self._host} cannot do this: {words_for(names)}")


@dataclass(frozen=True, kw_only=True)
class _Search:
    """A document that failed, as it was sent."""

    document: str
    hidden: Sequence[str]
    fitted: Fitted
    sent: Mapping[str, object]
    one: OneThing | None
    tried: bool


def _field_of(name: str) -> str:
    """`Type.field` for what may be the name of a run's field in an answer."""
    return name if "." in name else f"Run.{ANSWERED_AS.get(name, name)}"
