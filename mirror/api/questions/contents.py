"""Questions about what runs contain: the contents of several runs at once, and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from mirror.api.documents.contents import FILES, FILES_BY_NAME, contents_document
from mirror.api.questions.asking import OF_ANOTHER, Asking, names_another, one_run
from mirror.api.questions.listings import ARTIFACTS_FIRST, FILES_FIRST
from mirror.api.rows.contents import to_contents_or_bad
from mirror.api.rows.flaws import fields_of, lost_with
from mirror.api.rows.listed import FilesPage, ListedContents, ListedFile
from mirror.api.rows.pages import BadRun
from mirror.api.rows.scalars import NULL, is_null
from mirror.errors import GraphQLError

RUNS_PER_DOCUMENT = 50
FILES_PER_PAGE = 500
NAMES_PER_DOCUMENT = 200


class ContentQuestions(Asking):
    """The part of `Client` for what pages of runs do not hold, and for what expired."""

    async def run_contents(
        self, entity: str, project: str, run_ids: Sequence[str], *, files_first: int = FILES_FIRST
    ) -> Mapping[str, ListedContents | BadRun | None]:
        """What several runs contain, with fresh addresses: one request for each 50 runs.

        Args:
            entity: W&B entity.
            project: W&B project.
            run_ids: any number; each is answered once.
            files_first: files of each run that come along.

        Returns:
            For each run id its contents, a bad run with its reason, or None when there is no such run.
        """

        files_first = self._files_first(files_first)

        async def ask(
            some: Sequence[str], attempts: int | None, without: Mapping[str, str] = MappingProxyType({})
        ) -> Mapping[str, ListedContents | BadRun | None]:
            variables: dict[str, object] = {
                "entity": entity,
                "project": project,
                "filesFirst": files_first,
                "artifactsFirst": ARTIFACTS_FIRST,
                **{f"r{n}": run_id for n, run_id in enumerate(some)},
            }
            document = contents_document(len(some))
            try:
                one = one_run(some, run_ids)
                answer = await self._ask(document, variables, attempts=attempts, partial=True, without=without, one=one)
                runs = self._runs_in(answer)
            except GraphQLError as error:  # a field that may not be null took the project along
                lost = lost_with(error, alone=len(some) == 1)
                if not lost.keys() - without.keys():
                    raise
                return await ask(some, attempts, {**without, **lost})
            failed = self._failed_aliases(answer)
            found: dict[str, ListedContents | BadRun | None] = {}
            for n, run_id in enumerate(some):
                node, fields = runs.get(f"r{n}", NULL), failed.get(f"r{n}", {})
                if names_another(node, run_id):
                    found[run_id] = bad(run_id, OF_ANOTHER)
                elif not is_null(node):
                    found[run_id] = to_contents_or_bad(
                        node,
                        files_first=files_first,
                        artifacts_first=ARTIFACTS_FIRST,
                        failed={**without, **fields},
                    )
                elif (taken := fields_of(fields)).keys() - without.keys():  # what may not be null took the run along
                    found |= await ask([run_id], attempts, {**without, **taken})
                else:
                    found[run_id] = None if not fields else bad(run_id, "; ".join(fields.values()))
            return found

        def bad(run_id: str, reason: str) -> ListedContents | BadRun | None:
            return BadRun(run_id=run_id, storage_id=None, reason=reason)

        return await self._by_name(run_ids, RUNS_PER_DOCUMENT, ask, bad)

    async def files_page(
        self, entity: str, project: str, run_id: str, after: str | None = None, *, first: int = FILES_PER_PAGE
    ) -> FilesPage:
        """One page of a run's files.

        Args:
            entity: W&B entity.
            project: W&B project.
            run_id: the run.
            after: `FilesPage.after` of the page before, or `ListedContents.files_after`.
            first: files on the page.

        Raises:
            NotFound: there is no such run.
        """
        variables = {"entity": entity, "project": project, "run": run_id, "first": first, "after": after}
        page = await self._files_page(
            FILES, variables, lambda answer: self._run_of(answer, run_id, project), "project", "run"
        )
        if page.has_more and page.after == after:
            raise self._stuck("files")
        return page

    async def file_urls(self, entity: str, project: str, run_id: str, names: Sequence[str]) -> FilesPage:
        """Some files of a run by name, with fresh addresses: cheaper than the whole list again.

        Args:
            entity: W&B entity.
            project: W&B project.
            run_id: the run.
            names: exact names; what the run no longer has is missing from the answer.

        Raises:
            NotFound: there is no such run.
        """
        found: tuple[ListedFile, ...] = ()
        for start in range(0, len(names), NAMES_PER_DOCUMENT):  # no names at all would mean every file
            some = list(names[start : start + NAMES_PER_DOCUMENT])
            variables = {"entity": entity, "project": project, "run": run_id, "names": some, "first": len(some) + 1}
            page = await self._files_page(
                FILES_BY_NAME, variables, lambda answer: self._run_of(answer, run_id, project), "project", "run"
            )
            found += page.files
        return FilesPage(files=found, after=None, has_more=False)
