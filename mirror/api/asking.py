"""The ground of the client: a session, and answers read into shapes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from mirror.api.answers import Answer, one_line
from mirror.api.content_rows import WireFiles
from mirror.api.contents import FilesPage
from mirror.api.deployment import Deployment
from mirror.api.scalars import is_null
from mirror.api.session import Session
from mirror.api.wire import ProjectData
from mirror.errors import GraphQLError, NotFound, ServerError, Unreachable
from mirror.typed import decode

FEW_TRIES = 2  # of a document about several things: asking for fewer of them is the better next step

_T = TypeVar("_T")
_V = TypeVar("_V")


class _WithFiles(msgspec.Struct):
    files: WireFiles | None = None


class Asking:
    """Asks over one session and remembers what the server cannot do."""

    def __init__(self, deployment: Deployment, session: Session) -> None:
        self._host = deployment.host
        self._session = session
        # What an old server refused once is not asked again (W&B API notes, section 3).
        self._pages_log_tail_only = False  # it does not know `useImprovedPagination`
        self._lacks_digest_algorithm = False
        self.server_time: dt.datetime | None = None  # UTC, of the latest answer's Date

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

    def _files_in(self, node: msgspec.Raw) -> FilesPage:
        """The page of files in a run or an artifact."""
        files = self._decode(node, _WithFiles).files
        try:
            return files.page() if files else FilesPage(files=(), after=None, has_more=False)
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
                if len(some) > 1 and _may_be_too_much(error):
                    pending[:0] = [some[: len(some) // 2], some[len(some) // 2 :]]
                elif isinstance(error, GraphQLError) and not _is_about_the_document(error):
                    found[some[0]] = bad(some[0], error.message)
                else:
                    raise
        return found


def lacks(error: GraphQLError, name: str) -> bool:
    """Whether the server refused a document for a field or argument that it is too old to know."""
    return any(name in words for words in error.messages) and _is_about_the_document(error)


def _is_about_the_document(error: GraphQLError) -> bool:
    """Whether the server does not know something that was asked for, whatever it was asked about."""
    said = " ".join(error.messages).lower()
    return "cannot query field" in said or "unknown argument" in said


def _may_be_too_much(error: ServerError | Unreachable) -> bool:
    """Whether asking for less may help: the server is there and is one of W&B's."""
    if isinstance(error, Unreachable):
        return error.answered
    if isinstance(error, GraphQLError):
        return not _is_about_the_document(error)
    return error.status >= 500 or error.status == 413
