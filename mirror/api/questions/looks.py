"""The look before and after a change: what it is decided on has to be told, or nothing is decided.

A field that the server does not have reads like one that is empty, and so does one that failed. So each question names
what its answer is needed for; without that it has no answer. What else failed is nobody's concern here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from mirror.api.documents import contents as content_documents
from mirror.api.documents import queries as documents
from mirror.api.documents import syncing as sync_documents
from mirror.api.questions.artifacts import ARTIFACTS_PER_PAGE, Direction
from mirror.api.questions.asking import OF_ANOTHER, Asking, names_another, says_missing
from mirror.api.questions.contents import FILES_PER_PAGE, NAMES_PER_DOCUMENT
from mirror.api.questions.fitted_asking import FEW_TRIES
from mirror.api.questions.path import Path
from mirror.api.rows.answers import Answer
from mirror.api.rows.artifacts import artifacts_page
from mirror.api.rows.listed import FilesPage, ListedFile
from mirror.api.rows.pages import BadRun
from mirror.api.rows.runs import to_run_or_bad
from mirror.api.rows.scalars import NULL, is_null
from mirror.api.rows.syncing import StreamStatus, WireStatus, to_status
from mirror.api.rows.wire import ProjectData
from mirror.errors import GraphQLError, NotOffered, RateLimited, ServerError, Unreachable
from mirror.records.artifacts import ArtifactRef
from mirror.records.runs import RunRecord

RUNS_LOOKED_AT = 16  # together, with their files
_SIZES = (2, 4, 8, RUNS_LOOKED_AT)  # of documents, so that few are fitted to a server
_A_RUN = "Project.run"
_A_FILE = ("Run.files", "FileConnection.edges", "FileEdge.node", "File.name")
_FIELDS_OF_A_FILE = frozenset({"id", "name", "sizeBytes", "md5"})
_LISTS: Mapping[Direction, str] = {"logged": "outputArtifacts", "used": "inputArtifacts"}
_TYPES: Mapping[Direction, str] = {"logged": "Artifact", "used": "InputArtifact"}
_AN_ARTIFACT = ("Artifact.id", "Artifact.artifactSequence", "ArtifactSequence.name")
_ITS_ALIASES = ("Artifact.aliases", "ArtifactAlias.alias")


class UpstreamRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it is upstream."""

    run: RunRecord  # fields that are not told are among its flaws
    nulls: frozenset[str]  # the server's names of fields that are null
    streams: StreamStatus | None = None  # how far they are, where that was asked
    files: FilesPage | None = None  # those that were asked for; None: they are not told along with it


class _WithArtifacts(msgspec.Struct):
    artifacts: msgspec.Raw = NULL


class LookQuestions(Asking):
    """The part of `Client` that looks at one thing, to change it."""

    async def look(
        self,
        entity: str,
        project: str,
        run_id: str,
        *,
        needs: Sequence[str] = (),
        wants: Iterable[str] = (),
        with_streams: bool = False,
        files: Sequence[str] = (),
    ) -> UpstreamRun | BadRun | None:
        """One run; None when it or its project does not exist or the key may not read it.

        Args:
            entity: W&B entity.
            project: W&B project.
            run_id: the run.
            needs: fields of `Run` that the answer is no use without.
            wants: fields that may be left out by a server that does not have them, but may not fail.
            with_streams: whether it is asked how far its streams are, too.
            files: with the streams, names of files that are asked for along with it, where that is one question.

        Raises:
            NotOffered: the server does not have what is needed.
            GraphQLError: it has, and cannot serve it just now.
        """
        document = sync_documents.SYNCED_RUN if with_streams else documents.RUN
        variables: dict[str, object] = {"entity": entity, "project": project, "run": run_id}
        with_files = 0 < len(files) <= NAMES_PER_DOCUMENT and self._known.knows("Run.files(names)")
        if with_files:
            document = sync_documents.SYNCED_RUN_AND_FILES
            variables |= {"names": list(files), "first": len(files) + 1}
        asked = [f"Run.{name}" for name in needs]
        failed: dict[str, str] = {}
        while True:
            try:
                answer = await self._ask(document, variables, partial=True, needs=asked, without=failed)
            except GraphQLError as error:
                if says_missing(error.reported):
                    return None
                raise
            if not (self._known.knows(_A_RUN) or self._known.knows("Project.bucket")):
                raise self._not_offered(frozenset({_A_RUN}))
            fails = self._failed_aliases(answer).get("run", {})
            if fails.keys() & {*needs, *wants}:
                raise self._reported(answer)
            found = self._read(answer, ProjectData).project
            if found is not None and not is_null(found.run):
                seen = self._seen(found.run, entity, project, run_id, {**failed, **fails})
                if with_streams and isinstance(seen, UpstreamRun):
                    seen = msgspec.structs.replace(seen, streams=to_status(self._decode(found.run, WireStatus)))
                if with_files and isinstance(seen, UpstreamRun) and not answer.errors:
                    page = self._files_in(found.run, len(files) + 1)
                    seen = msgspec.structs.replace(seen, files=None if page.unreadable else page)
                return seen
            if not fails:
                return None
            if not fails.keys() - failed.keys():
                raise self._reported(answer)
            failed |= fails  # one of them may not be null, and took the run along: it is asked for without

    async def synced_runs(
        self, entity: str, project: str, files: Mapping[str, Sequence[str]]
    ) -> dict[str, UpstreamRun]:
        """Runs with their state, how far their streams are, and some of their files; those of which all is told.

        Each other one has to be looked at by itself.

        Args:
            entity: W&B entity.
            project: W&B project.
            files: names of files, one or more, by run id; `RUNS_LOOKED_AT` runs at most.
        """
        if not self._known.knows("Run.files(names)"):
            return {}
        asked = list(files.items())
        asked += asked[-1:] * (next(size for size in _SIZES if size >= len(asked)) - len(asked))
        first = max(map(len, files.values())) + 1
        variables: dict[str, object] = {"entity": entity, "project": project, "first": first}
        for number, (run_id, names) in enumerate(asked):
            variables |= {f"r{number}": run_id, f"names{number}": list(names)}
        document = sync_documents.synced_runs_document(len(asked))
        try:
            answer = await self._ask(
                document, variables, attempts=FEW_TRIES, partial=True, needs=["Run.state"], tried=False
            )
            failed, nodes = self._failed_aliases(answer), self._runs_in(answer)
        except RateLimited:
            raise
        except (ServerError, Unreachable):  # so many may take it too long
            return {}
        found: dict[str, UpstreamRun] = {}
        for number, (run_id, names) in enumerate(files.items()):
            node = nodes.get(f"r{number}", NULL)
            if is_null(node) or f"r{number}" in failed:
                continue
            with contextlib.suppress(ServerError):  # in a shape that W&B does not use
                seen, page = self._seen(node, entity, project, run_id, {}), self._files_in(node, first)
                if isinstance(seen, UpstreamRun) and {file.name for file in page.files} >= set(names):
                    streams = to_status(self._decode(node, WireStatus))
                    found[run_id] = msgspec.structs.replace(seen, streams=streams, files=page)
        return found

    def _seen(
        self, node: msgspec.Raw, entity: str, project: str, run_id: str, failed: Mapping[str, str]
    ) -> UpstreamRun | BadRun:
        if names_another(node, run_id):
            return BadRun(run_id=run_id, storage_id=None, reason=OF_ANOTHER)
        run = to_run_or_bad(node, entity, project, failed={**self._untold(documents.RUN), **failed})
        if isinstance(run, BadRun):
            return run
        fields = self._decode(node, dict[str, msgspec.Raw])
        return UpstreamRun(run=run, nulls=frozenset(name for name, value in fields.items() if is_null(value)))

    async def listed_file(self, entity: str, project: str, run_id: str, name: str) -> ListedFile | None:
        """One file of a run; None when the run does not list it.

        Raises:
            NotFound: there is no such run.
            NotOffered: the server does not list files.
            ServerError: it does, and cannot show whether this one is there; GraphQLError says why.
        """
        run = {"entity": entity, "project": project, "run": run_id}
        try:
            variables = {**run, "names": [name], "first": 1}
            answer = await self._ask(
                content_documents.FILES_BY_NAME, variables, partial=True, needs=(*_A_FILE, "Run.files(names)")
            )
        except NotOffered:
            if self._known.knows("Run.files(names)"):
                raise
        else:
            return self._named(self._listed_files(answer, run_id, project, 2), name)
        after, path = None, Path(f"files of run {run_id}")
        while True:
            answer = await self._ask(
                content_documents.FILES, {**run, "first": FILES_PER_PAGE, "after": after}, partial=True, needs=_A_FILE
            )
            page = self._listed_files(answer, run_id, project, FILES_PER_PAGE)
            file = self._named(page, name)
            if file is None and page.is_cut:
                raise self._stuck("files")
            if file is not None or not page.has_more:
                return file
            after = page.after
            path.step(after, [file.name for file in page.files])

    def _listed_files(self, answer: Answer, run_id: str, project: str, first: int) -> FilesPage:
        """The page of files in an answer.

        Raises:
            GraphQLError: what tells a file from another failed.
            ServerError: there is no list.
        """
        if any(_hides_a_file(error.path) for error in answer.errors):
            raise self._reported(answer)
        node = self._run_of(answer, run_id, project)
        files = self._decode(node, dict[str, msgspec.Raw]).get("files", NULL)
        if is_null(files) or is_null(self._decode(files, dict[str, msgspec.Raw]).get("edges", NULL)):
            raise ServerError(f"{self._host} gave a run without its files")
        return self._files_in(node, first)

    def _named(self, page: FilesPage, name: str) -> ListedFile | None:
        file = next((file for file in page.files if file.name == name), None)
        if file is None and page.unreadable:
            raise ServerError(f"{self._host} listed a file that cannot be read; it may be the one that is meant")
        return file

    async def linked_artifact(
        self, entity: str, project: str, run_id: str, direction: Direction, artifact_id: str, *, with_aliases: bool
    ) -> ArtifactRef | None:
        """A version among those that a run logged or used; None when it is not there.

        Args:
            entity: W&B entity.
            project: W&B project.
            run_id: the run.
            direction: "logged" or "used".
            artifact_id: of the version.
            with_aliases: whether its aliases are needed.

        Raises:
            NotFound: there is no such run.
            NotOffered: the server does not list artifacts of runs, or not their aliases.
            ServerError: it does, and gives no list.
        """
        document = content_documents.LOGGED_ARTIFACTS if direction == "logged" else content_documents.USED_ARTIFACTS
        connection = f"{_TYPES[direction]}Connection.edges", f"{_TYPES[direction]}Edge.node"
        needs = [f"Run.{_LISTS[direction]}", *connection, *_AN_ARTIFACT, *(_ITS_ALIASES if with_aliases else ())]
        after, path = None, Path(f"artifacts of run {run_id}")
        while True:
            variables = {"entity": entity, "project": project, "run": run_id, "first": ARTIFACTS_PER_PAGE}
            answer = await self._ask(document, {**variables, "after": after}, needs=needs)
            listed = self._decode(self._run_of(answer, run_id, project), _WithArtifacts).artifacts
            try:
                page = artifacts_page(listed, ARTIFACTS_PER_PAGE)
            except ValueError as error:
                raise ServerError(f"{self._host} gave a run with artifacts in another shape: {error}") from error
            if not page.told:
                raise ServerError(f"{self._host} gave a run without its artifacts")
            for ref in page.artifacts:
                if ref.artifact_id == artifact_id:
                    return ref
            if page.is_cut:
                raise self._stuck("artifacts")
            if not page.has_more:
                return None
            after = page.after
            path.step(after, [ref.artifact_id for ref in page.artifacts])


def _hides_a_file(path: tuple[str | int, ...]) -> bool:
    """Whether an error at this place in a list of files hides a file, or what is to be known of it."""
    leaf = path[6] if path[:4] == ("project", "run", "files", "edges") and path[5:6] == ("node",) and path[6:] else None
    return leaf is None or leaf in _FIELDS_OF_A_FILE
