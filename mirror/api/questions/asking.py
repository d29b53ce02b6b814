"""The ground of the client: answers read into shapes, and documents about several things asked in parts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from mirror.api.fitting.failing import is_failure
from mirror.api.fitting.learning import mark
from mirror.api.questions.fitted_asking import FEW_TRIES, FittedAsking, OneThing
from mirror.api.rows.answers import TOO_LARGE, Answer, one_line
from mirror.api.rows.files import files_page
from mirror.api.rows.flaws import Flaws, inside
from mirror.api.rows.frames import decode_frame
from mirror.api.rows.listed import FilesPage
from mirror.api.rows.lists import NO_FLAWS
from mirror.api.rows.misplaced import failed_of_aliases
from mirror.api.rows.runs import names_of
from mirror.api.rows.scalars import ABSENT, is_null
from mirror.api.rows.wire import AliasedData, ProjectData, WireServer
from mirror.errors import (
    AuthError,
    DocumentRefused,
    Forbidden,
    GraphQLError,
    MirrorError,
    NotFound,
    NotOffered,
    RateLimited,
    Reported,
    ServerError,
    Unreachable,
)
from mirror.typed import decode

ALL_FILES = 100_000
SAMPLES = 4  # other things to ask about before something is said of all
NOT_TOLD = "the server does not tell it"
_ONE_THING = frozenset({("project",), ("project", "run"), ("artifact",)})  # where answers about one thing have it

_T = TypeVar("_T")
_V = TypeVar("_V")


class _WithFiles(msgspec.Struct):
    files: msgspec.Raw = ABSENT


class Asking(FittedAsking):
    """Reads what the server answers, and asks again where one thing of several is to blame."""

    def _reported(self, answer: Answer, errors: Sequence[Reported] | None = None) -> MirrorError:
        """An error for what a server reports beside data that are no use without it.

        Args:
            answer: what came.
            errors: those that are to blame; None: all.
        """
        if isinstance(answer.failure, AuthError | Forbidden | NotFound | RateLimited):
            return answer.failure
        errors = answer.errors if errors is None else errors
        words = one_line("; ".join(error.message for error in errors))
        return GraphQLError(f"{self._host} reports: {words}", reported=tuple(errors))

    def _runs_in(self, answer: Answer) -> Mapping[str, msgspec.Raw]:
        """The runs in an answer with an alias for each; none where there is no such project.

        Raises:
            GraphQLError: what failed took all of them along.
        """
        found = self._read(answer, AliasedData).project
        if found is None and answer.errors:
            raise self._reported(answer)
        return found or {}

    def _failed_aliases(self, answer: Answer) -> Mapping[str | int, Mapping[str, str]]:
        """What failed of single runs in an answer with an alias for each.

        Raises:
            GraphQLError: a run failed as a whole, or something else did.
        """
        failed = failed_of_aliases(answer.data, answer.errors, ("project",))
        if failed is None:
            raise self._reported(answer)
        return failed

    def _flaws_of(self, answer: Answer, *prefix: str) -> Flaws:
        """What failed of the one thing that an answer is about, by field or by path.

        Args:
            answer: of a question about one thing.
            prefix: the path to it.

        Raises:
            GraphQLError: something else failed.
        """
        found = failed_of_aliases(answer.data, answer.errors, prefix[:-1])
        if found is None:
            raise self._reported(answer)
        return found.get(prefix[-1], NO_FLAWS)

    def _untold(self, document: str) -> dict[str, str]:
        """The fields of runs that are not asked for in a document, since the server does not have them."""
        names = (name.partition(".") for name in self._known.fit(document).left_out)
        return {name: NOT_TOLD for parent, _, name in names if parent == "Run" and "(" not in name}

    def _note_server(self, told: WireServer | None) -> None:
        """Compare what a server says of itself by the way with what is known: an upgrade is asked about again."""
        facts = self._known.facts
        # A server that told nothing of itself when it was asked is not taken for another one when it tells something.
        if told is not None and facts.mark and mark(told.version, told.enabled) != facts.mark:
            self._known.is_stale = True

    def _stuck(self, what: str) -> ServerError:
        return ServerError(f"{self._host} promises more {what} but gives no place to continue from")

    def _read(self, answer: Answer, shape: type[_T]) -> _T:
        self.server_time = answer.server_time or self.server_time
        return self._decode(answer.data, shape, decode_frame)

    def _decode(self, data: msgspec.Raw, shape: type[_T], how: Callable[[msgspec.Raw, type[_T]], _T] = decode) -> _T:
        """Raw JSON as a shape of `wire`.

        Raises:
            ServerError: it has another shape.
        """
        why = ""
        try:
            return how(data, shape)
        except (ValueError, RecursionError) as error:
            why = one_line(str(error))
        raise ServerError(f"{self._host} answered in a shape that W&B does not use: {why}")

    def _run_of(self, answer: Answer, run_id: str, project: str) -> msgspec.Raw:
        """The run in an answer about one run.

        Raises:
            NotFound: the run or its project does not exist, or the key may not read it.
            GraphQLError: what failed took the run along.
        """
        found = self._read(answer, ProjectData).project
        if found is None or is_null(found.run):
            if answer.errors and not says_missing(answer.errors):
                raise self._reported(answer)
            raise NotFound(f"{self._host} has no run {one_line(run_id, 100)} in {one_line(project, 100)}")
        return found.run

    def _files_first(self, wanted: int) -> int:
        """How many files to ask for along with a run: all, of a server that does not page them."""
        return wanted if self._known.knows("Run.files(after)") else ALL_FILES

    def _files_in(self, node: msgspec.Raw, first: int, failed: Flaws = NO_FLAWS) -> FilesPage:
        """The page of files in a run or an artifact, of which `first` were asked for.

        Raises:
            ServerError: the server could not list them, or they have another shape.
        """
        files = self._decode(node, _WithFiles).files
        if "files" in failed:
            raise ServerError(f"{self._host} cannot list the files: {failed['files']}")
        try:
            return files_page(files, first, inside(failed, "files"))
        except ValueError as error:
            why = one_line(str(error))
        raise ServerError(f"{self._host} answered in a shape that W&B does not use: {why}")

    async def _files_page(
        self,
        document: str,
        variables: Mapping[str, object],
        owner: Callable[[Answer], msgspec.Raw],
        *path: str,
    ) -> FilesPage:
        """One page of files; fields that fail and take files along are left out.

        Args:
            document: asks for the files of one thing.
            variables: `first` among them.
            owner: gives the bytes of the thing that has the files.
            path: the path to that thing.
        """
        without: frozenset[str] = frozenset()
        flaw: str | None = None
        while True:
            lacking = [f"File.{name}" for name in without]
            answer = await self._ask(document, variables, partial=True, without=lacking)
            first = variables["first"]
            assert isinstance(first, int)
            page = self._files_in(owner(answer), first, self._flaws_of(answer, *path))
            flaw = flaw or page.flaw
            if page.lost_to <= without:
                return msgspec.structs.replace(page, flaw=flaw)
            without |= page.lost_to

    async def _by_name(
        self,
        names: Sequence[str],
        most: int,
        ask: Callable[[Sequence[str], int | None], Awaitable[Mapping[str, _V]]],
        bad: Callable[[str, str], _V],
    ) -> dict[str, _V]:
        """Ask about several things in documents of at most `most`, so that one of them never spoils the others.

        A document that fails, or is refused, is asked again in halves, down to the one thing that the server cannot
        serve, or will not.

        Args:
            names: run ids or artifact ids; each is asked once.
            most: things in one document.
            ask: one document, with at most so many tries; answers by name.
            bad: makes the answer of a thing that fails alone, from its name and the reason.
        """
        asked = list(dict.fromkeys(names))
        found: dict[str, _V] = {}
        refused: dict[str, MirrorError] = {}  # things that the key may not read, or that the server does not find
        pending = [asked[start : start + most] for start in range(0, len(asked), most)]
        while pending:
            some = pending.pop(0)
            try:
                found |= await ask(some, FEW_TRIES if len(some) > 1 else None)
            except (ServerError, Unreachable) as error:
                if len(some) > 1 and may_be_too_much(error):
                    pending[:0] = [some[: len(some) // 2], some[len(some) // 2 :]]
                elif await self._is_to_blame(error):
                    found[some[0]] = bad(some[0], error.message)
                else:
                    raise
            except (AuthError, NotFound) as error:
                is_about_key = not isinstance(error, Forbidden | NotFound)
                is_of_all = not found and (len(refused) == SAMPLES or not (refused or await self._answers()))
                if is_of_all or (is_about_key and not await self._answers()):
                    raise
                if len(some) > 1:
                    pending[:0] = [some[: len(some) // 2], some[len(some) // 2 :]]
                else:
                    refused[some[0]] = error
        return found | {name: bad(name, error.message) for name, error in refused.items()}

    async def _is_to_blame(self, error: ServerError | Unreachable) -> bool:
        """Whether the one thing that was asked about is to blame for an error, and not the server."""
        if isinstance(error, GraphQLError):
            return not isinstance(error, DocumentRefused)
        return is_failure(error) and await self._answers()


OF_ANOTHER = "the server answered with another run than was asked about"


def names_another(node: msgspec.Raw, run_id: str) -> bool:
    """Whether what stands in the place of one run names another one; what names none is taken for the one."""
    return names_of(node)[0] not in (None, run_id)


def one_run(some: Sequence[str], run_ids: Iterable[str]) -> OneThing | None:
    """The one run of a document with an alias for each; None when it is about several.

    Args:
        some: the runs that it is about.
        run_ids: all that are to be asked about.
    """
    return one_of(some, run_ids, ("project", "r0"), "Run")


def one_of(some: Sequence[str], names: Iterable[str], path: tuple[str, ...], kind: str) -> OneThing | None:
    """The one thing of a document with an alias for each, at a path; None when it is about several."""
    if len(some) != 1:
        return None

    async def others() -> list[dict[str, object]]:
        return [{path[-1]: name} for name in sampled([name for name in dict.fromkeys(names) if name not in some])]

    return OneThing(path=path, type=kind, others=others)


def says_missing(errors: Iterable[Reported]) -> bool:
    """Whether a server says by errors that there is no such run or artifact, where W&B's answers null."""
    return all(error.path in _ONE_THING and "not found" in error.message.lower() for error in errors)


def sampled(values: Sequence[_T]) -> list[_T]:
    """A few of some values, from all over."""
    return [values[place * len(values) // SAMPLES] for place in range(SAMPLES)] if len(values) > SAMPLES else [*values]


def may_be_too_much(error: ServerError | Unreachable) -> bool:
    """Whether asking for less may help: the server is there, is one of W&B's, and knows what it is asked for."""
    if isinstance(error, DocumentRefused | NotOffered):
        return False
    if isinstance(error, Unreachable):
        return error.answered
    return isinstance(error, GraphQLError) or error.status >= 500 or error.status == TOO_LARGE
