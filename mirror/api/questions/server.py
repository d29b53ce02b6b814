"""Questions about the server itself, and about the account behind the key."""

from __future__ import annotations

import datetime as dt

import msgspec

from mirror.api.documents import queries as documents
from mirror.api.fitting.expected_types import type_names
from mirror.api.fitting.known_server import with_refusals
from mirror.api.fitting.learning import (
    by_current_names,
    documents_digest,
    everything,
    introspection,
    types_in,
    with_all_types,
    with_features,
)
from mirror.api.fitting.left_out import fitted_documents, left_out_by
from mirror.api.questions.asking import Asking
from mirror.api.questions.fitted_asking import FEW_TRIES
from mirror.api.rows.wire import SelfData, ServerData, ViewerData, WireServer
from mirror.errors import (
    AuthError,
    DocumentRefused,
    Forbidden,
    GraphQLError,
    MirrorError,
    NotFound,
    NotOffered,
    ServerError,
    Unreachable,
)
from mirror.records.capabilities import Lack, lacks
from mirror.records.server import ServerFacts, TypeFacts, Viewer

LEARN_AGAIN = dt.timedelta(days=7)  # a server that does not tell its version may have been upgraded all the same
ASK_AGAIN = dt.timedelta(hours=1)  # for what it forbids or fails at: rights are given, and defects are mended


class ServerQuestions(Asking):
    """The part of `Client` that learns what the server knows."""

    @property
    def facts(self) -> ServerFacts:
        """What is known of the server."""
        return self._known.facts

    @property
    def lacks(self) -> tuple[Lack, ...]:
        """What the server lacks of what the mirror asks for, as far as is known."""
        return lacks(self._known.facts)

    def knows(self, name: str) -> bool:
        """Whether the server has `Type.field` or `Type.field(argument)`, as far as is known."""
        return self._known.knows(name)

    async def viewer(self) -> Viewer:
        """Whom the key belongs to.

        Raises:
            AuthError: the server knows nobody by this key (W&B API notes, section 1).
            NotOffered: the server tells nobody.
        """
        viewer = self._read(await self._ask(documents.VIEWER), ViewerData).viewer
        if viewer is None:
            raise AuthError(f"{self._host} does not know this API key")
        found = viewer.known
        if self._known.facts.deployment == self._deployment.id:  # else nothing is known of it that could be kept
            self._known.note_viewer(found)
        return found

    async def check(self) -> None:
        """See whether the server is there and takes the key, by the smallest question that tells.

        Raises:
            MirrorError: it is not, or does not.
        """
        try:
            await self.viewer()
        except NotOffered:
            await self._session.graphql(documents.PING)

    async def features(self) -> frozenset[str]:
        """Names of the features that are on; empty for a server too old to tell (W&B API notes, section 3)."""
        try:
            told = self._read(await self._ask(documents.FEATURES), ServerData).server_info
        except NotOffered:
            return frozenset()
        except GraphQLError:  # of other questions it may answer all; what it told before holds
            return frozenset(self._known.facts.features)
        self._note_server(told)
        return told.enabled if told is not None else frozenset()

    async def current_features(self, now: dt.datetime) -> frozenset[str]:
        """`features`, after which what is known of the server is up to date as well.

        Args:
            now: UTC.
        """
        if not await self.learn_if_due(now):
            features = await self.features()
            if not self._known.is_stale:
                return features
            await self.learn(now)
        return frozenset(self._known.facts.features)

    async def learn_if_due(self, now: dt.datetime, *, ask_again: bool = False) -> bool:
        """`learn`, where nothing is known of the server, it was upgraded, or what is known is old.

        What it forbade or failed at an hour ago is asked for again by the documents themselves.

        Args:
            now: UTC.
            ask_again: ask for that again whenever it showed, and for what it lacks: a person wants to know.

        Returns:
            Whether it was asked.
        """
        self._known.begin_pass(now)
        self._known.ask_again(now if ask_again else now - ASK_AGAIN)
        facts = self._known.facts
        learnt_at = facts.learnt_at if facts.deployment == self._deployment.id else None
        # A clock that was ahead once must not keep the server from being asked again.
        is_known = (
            learnt_at is not None and learnt_at <= now < learnt_at + LEARN_AGAIN and facts.asked == documents_digest()
        )
        lacks_some = bool(facts.left_out or facts.lacking)
        if is_known and not self._known.is_stale and not (ask_again and lacks_some):
            return False
        await self.learn(now)
        return True

    async def learn(self, now: dt.datetime) -> None:
        """Ask the server what it knows, and keep it, with whom the key belongs to: three requests at the most.

        Args:
            now: UTC.

        Raises:
            MirrorError: of the network, or the key is refused; the facts stay as they were.
        """
        troubles: list[MirrorError] = []
        self._known.begin_pass(now)
        facts = await self._learnt(troubles)
        if any(isinstance(trouble, Unreachable) for trouble in troubles):
            # It may pass: what was known stays, and where nothing was known it is asked again with the next pull.
            if self._known.facts.deployment == self._deployment.id and self._known.facts.learnt_at is not None:
                return
            self._known.learn(facts)
            return
        self._known.learn_anew(msgspec.structs.replace(facts, learnt_at=now), now)

    async def _learnt(self, troubles: list[MirrorError]) -> ServerFacts:
        """What the server tells of its schema and of itself; whether something was in the way is told."""
        described = await self._described(introspection(type_names()), troubles)
        own = by_current_names(described)
        facts = ServerFacts(deployment=self._deployment.id, types=own.types, introspected="Query" in own.types)
        if not facts.introspected:
            facts = await self._provoked(facts, troubles)
        told = await self._told(facts, troubles, with_types=facts.introspected and bool(own.unknown))
        if told.mirror_all_types is not None:
            more = types_in(told.mirror_all_types.types)
            facts = msgspec.structs.replace(facts, types=by_current_names({**described, **more}).types)
        server = told.server_info or WireServer()
        facts = msgspec.structs.replace(facts, left_out=left_out_by(facts), viewer=self._viewer_in(told, facts))
        return with_features(facts, features=server.enabled, version=server.version)

    def _viewer_in(self, told: SelfData, facts: ServerFacts) -> Viewer | None:
        """Whom the key belongs to, for those who read offline; what was known where the server did not tell."""
        known = self._known.facts
        before = known.viewer if known.deployment == facts.deployment else None
        return told.viewer.known if told.viewer is not None else before

    async def _described(self, document: str, troubles: list[MirrorError]) -> dict[str, TypeFacts]:
        """What a server says about types; empty when it does not describe itself."""
        try:
            answer = await self._session.graphql(document, attempts=FEW_TRIES)
            return types_in(self._read(answer, dict[str, object]).values())
        except MirrorError as error:
            _note(error, troubles)
            return {}

    async def _provoked(self, facts: ServerFacts, troubles: list[MirrorError]) -> ServerFacts:
        """Facts with what the server refuses of all documents at once."""
        fitted = fitted_documents(facts)
        try:
            await self._session.graphql(everything(fitted), attempts=FEW_TRIES)
        except DocumentRefused as refused:
            return with_refusals(facts, fitted, refused.reported)
        except MirrorError as error:
            _note(error, troubles)
        return facts  # it refuses in other words; each document is asked about when it is needed

    async def _told(self, facts: ServerFacts, troubles: list[MirrorError], *, with_types: bool) -> SelfData:
        """What the server says of itself and of the key, and descriptions of all its types along with it."""
        from mirror.api.fitting.fit import fit

        document = fit(documents.SELF, facts).text
        if with_types:
            document = with_all_types(document)
        if document is None:
            return SelfData()
        try:
            return self._read(await self._session.graphql(document, attempts=FEW_TRIES, partial=True), SelfData)
        except MirrorError as error:
            _note(error, troubles)
            return SelfData()


def _note(error: MirrorError, troubles: list[MirrorError]) -> None:
    """Note why a server does not tell about itself, if it may still answer other questions.

    Raises:
        MirrorError: it is away, or takes no question of ours.
    """
    if not _may_be_the_question(error):
        raise error
    troubles.append(error)


def _may_be_the_question(error: MirrorError) -> bool:
    """Whether a server that answers so may answer other questions: it, or a proxy, may want none about itself."""
    if isinstance(error, Unreachable):
        return error.answered
    return isinstance(error, ServerError | NotFound | Forbidden)
