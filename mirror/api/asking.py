"""The ground of the client: documents fitted to the server, sent over one session, and answers read into shapes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from mirror.api.answers import TOO_LARGE, Answer, one_line
from mirror.api.capabilities import words_for
from mirror.api.content_rows import WireFiles
from mirror.api.contents import FilesPage
from mirror.api.deployment import Deployment
from mirror.api.flaws import failed_fields
from mirror.api.known_server import KnownServer
from mirror.api.learning import mark
from mirror.api.scalars import is_null
from mirror.api.session import Session
from mirror.api.wire import ProjectData, WireServer
from mirror.errors import DocumentRefused, GraphQLError, NotFound, NotOffered, Reported, ServerError, Unreachable
from mirror.typed import decode

FEW_TRIES = 2  # of a document about several things: asking for fewer of them is the better next step
ALL_FILES = 100_000
# Fields of a run that have another name in answers.
ANSWERED_AS = {"loggedArtifacts": "outputArtifacts", "usedArtifacts": "inputArtifacts", "logTail": "logLines"}
NOT_TOLD = "the server does not tell it"
MOST_REFUSALS = 40  # of one document in a row; each teaches something, so that fewer are left to learn

_T = TypeVar("_T")
_V = TypeVar("_V")


class _WithFiles(msgspec.Struct):
    files: WireFiles | None = None


class Asking:
    """Asks over one session, and remembers what the server does not know."""

    def __init__(self, deployment: Deployment, session: Session, known: KnownServer) -> None:
        self._host = deployment.host
        self._deployment = deployment
        self._session = session
        self._known = known
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
    ) -> Answer:
        """Ask what of a document this server knows.

        Args:
            document: written for a current server.
            variables: values by name, without `$`; those that are not asked for are not sent.
            attempts: at most so many tries; None: as configured.
            partial: take data in which single fields failed; `Answer.errors` then names them.
            without: fields of runs, by their names in answers, that the server cannot serve this time.
            needs: `Type.field` and `Type.field(argument)` without which the document is no use.

        Raises:
            NotOffered: the server knows nothing of it, or lacks what it needs.
            DocumentRefused: it refuses the document in words that tell nothing new.
            MirrorError: what `Session.graphql` raises.
        """
        hidden = [f"Run.{ANSWERED_AS.get(name, name)}" for name in without]
        for _ in range(MOST_REFUSALS):
            fitted = self._known.fit(document, hidden)
            missing = [name for name in needs if not self._known.knows(name)]
            if fitted.text is None or missing:
                raise self._not_offered(frozenset(missing) or fitted.left_out)
            sent = {name: value for name, value in (variables or {}).items() if name in fitted.variables}
            try:
                return await self._session.graphql(fitted.text, sent, attempts=attempts, partial=partial)
            except DocumentRefused as error:
                # What it learns of a mutation's input is for who made the input: the same text is not asked again.
                if not self._known.learn_from(fitted, error) or self._known.fit(document, hidden).text == fitted.text:
                    raise
        raise ServerError(f"{self._host} keeps refusing what it is asked for, for other reasons each time")

    def _not_offered(self, names: frozenset[str]) -> NotOffered:
        return NotOffered(f"{self._host} cannot do this: {words_for(names)}")

    def _reported(self, errors: Sequence[Reported]) -> GraphQLError:
        """An error for what a server reports beside data that are no use without it."""
        words = one_line("; ".join(error.message for error in errors))
        return GraphQLError(f"{self._host} reports: {words}", reported=tuple(errors))

    def _failed_aliases(self, answer: Answer) -> Mapping[str | int, Mapping[str, str]]:
        """What failed of single runs in an answer with an alias for each.

        Raises:
            GraphQLError: a run failed as a whole, or something else did.
        """
        failed = failed_fields(answer.errors, ("project",))
        if failed is None:
            raise self._reported(answer.errors)
        return failed

    def _untold(self, document: str) -> dict[str, str]:
        """The fields of runs that are not asked for in a document, since the server does not have them."""
        names = (name.partition(".") for name in self._known.fit(document).left_out)
        return {name: NOT_TOLD for parent, _, name in names if parent == "Run" and "(" not in name}

    def _note_server(self, told: WireServer | None) -> None:
        """Compare what a server says of itself by the way with what is known: an upgrade is asked about again."""
        facts = self._known.facts
        if told is not None and facts.learnt_at is not None and mark(told.version, told.enabled) != facts.mark:
            self._known.is_stale = True

    def _stuck(self, what: str) -> ServerError:
        return ServerError(f"{self._host} promises more {what} but gives no place to continue from")

    def _read(self, answer: Answer, shape: type[_T]) -> _T:
        self.server_time = answer.server_time or self.server_time
        return self._decode(answer.data, shape)

    def _decode(self, data: msgspec.Raw, shape: type[_T]) -> _T:
        """Raw JSON as a shape of `wire`.

        Raises:
            ServerError: it has another shape.
        """
        why = ""
        try:
            return decode(data, shape)
        except (ValueError, RecursionError) as error:
            why = one_line(str(error))
        raise ServerError(f"{self._host} answered in a shape that W&B does not use: {why}")

    def _run_of(self, answer: Answer, run_id: str, project: str) -> msgspec.Raw:
        """The run in an answer about one run.

        Raises:
            NotFound: the run or its project does not exist, or the key may not read it.
        """
        found = self._read(answer, ProjectData).project
        if found is None or is_null(found.run):
            raise NotFound(f"{self._host} has no run {one_line(run_id, 100)} in {one_line(project, 100)}")
        return found.run

    def _files_first(self, wanted: int) -> int:
        """How many files to ask for along with a run: all, of a server that does not page them."""
        return wanted if self._known.knows("Run.files(after)") else ALL_FILES

    def _files_in(self, node: msgspec.Raw, first: int) -> FilesPage:
        """The page of files in a run or an artifact, of which `first` were asked for."""
        files = self._decode(node, _WithFiles).files
        try:
            return files.page(first) if files else FilesPage(files=(), after=None, has_more=False)
        except ValueError as error:
            why = one_line(str(error))
        raise ServerError(f"{self._host} answered in a shape that W&B does not use: {why}")

    async def _by_name(
        self,
        names: Sequence[str],
        most: int,
        ask: Callable[[Sequence[str], int | None], Awaitable[Mapping[str, _V]]],
        bad: Callable[[str, str], _V],
    ) -> dict[str, _V]:
        """Ask about several things in documents of at most `most`, so that one of them never spoils the others.

        A document that fails is asked again in halves, down to the one thing that the server cannot serve.

        Args:
            names: run ids or artifact ids; each is asked once.
            most: things in one document.
            ask: one document, with at most so many tries; answers by name.
            bad: makes the answer of a thing that fails alone, from its name and the reason.
        """
        asked = list(dict.fromkeys(names))
        found: dict[str, _V] = {}
        pending = [asked[start : start + most] for start in range(0, len(asked), most)]
        while pending:
            some = pending.pop(0)
            try:
                found |= await ask(some, FEW_TRIES if len(some) > 1 else None)
            except (ServerError, Unreachable) as error:
                if len(some) > 1 and may_be_too_much(error):
                    pending[:0] = [some[: len(some) // 2], some[len(some) // 2 :]]
                elif isinstance(error, GraphQLError) and not isinstance(error, DocumentRefused):
                    found[some[0]] = bad(some[0], error.message)
                else:
                    raise
        return found


def may_be_too_much(error: ServerError | Unreachable) -> bool:
    """Whether asking for less may help: the server is there, is one of W&B's, and knows what it is asked for."""
    if isinstance(error, DocumentRefused | NotOffered):
        return False
    if isinstance(error, Unreachable):
        return error.answered
    return isinstance(error, GraphQLError) or error.status >= 500 or error.status == TOO_LARGE
