"""Questions about projects, and lists of runs and sweeps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

import msgspec

from mirror.api.documents import queries as documents
from mirror.api.questions.asking import Asking, sampled
from mirror.api.questions.fitted_asking import OneThing
from mirror.api.questions.path import Path
from mirror.api.rows.answers import Answer, one_line
from mirror.api.rows.contents import to_contents_or_bad
from mirror.api.rows.flaws import failed_fields
from mirror.api.rows.frames import decode_frame
from mirror.api.rows.misplaced import that_lead
from mirror.api.rows.pages import BadRun, RunCursor, RunsPage, SweepsPage
from mirror.api.rows.runs import to_run_or_bad, to_sweep
from mirror.api.rows.scalars import int_or_none, is_null
from mirror.api.rows.times import time_or_none
from mirror.api.rows.wire import (
    ProjectData,
    ProjectsData,
    RunNames,
    ServerData,
    WireConnection,
    WireProject,
    cursor_text,
)
from mirror.errors import DocumentRefused, NotOffered, Reported, ServerError
from mirror.records.projects import ProjectRecord, SweepRecord
from mirror.records.runs import RunRecord

PROJECTS_PER_PAGE = 100
SWEEPS_PER_PAGE = 100
FILES_FIRST = 50  # files of a run in a page of runs: most runs have fewer
ARTIFACTS_FIRST = 20  # artifacts of a run, each way, in a page of runs
ALL_RUNS = 1_000_000  # to ask for of a server that does not page
_PAGING = "Project.runs(after)"
_TO_LIST_RUNS = ("Query.project", "Project.runs", "RunConnection.edges", "RunEdge.node", "Run.name")
_DEPTH_OF_A_RUN = 5  # steps of the path to a run of a page
SAMPLED_FROM = 20  # of a project's runs, the newest
_NEWEST_FIRST = "-created_at"
OLDEST_FIRST = "+created_at"  # stable for old runs (W&B API notes, section 5)


class ListingQuestions(Asking):
    """The part of `Client` that walks."""

    async def projects(self, entity: str) -> AsyncIterator[tuple[ProjectRecord, ...]]:
        """Every project of an entity that the key may read, page by page."""
        after, path = None, Path(f"projects of {entity}")
        while True:
            variables = {"entity": entity, "first": PROJECTS_PER_PAGE, "after": after}
            listing = self._read(await self._ask(documents.PROJECTS, variables), ProjectsData).models
            if listing is None:
                return
            projects = tuple(self._listed_project(edge.node, entity) for edge in listing.rows if not is_null(edge.node))
            yield projects
            if not listing.goes_on(PROJECTS_PER_PAGE):
                return
            # The SDK continues projects from `endCursor` (W&B API notes, section 5).
            after = listing.end_cursor or listing.last_cursor
            if after is None:
                raise self._stuck("projects")
            path.step(after, [project.project for project in projects])

    async def project(self, entity: str, name: str) -> ProjectRecord | None:
        """One project; None when it does not exist or the key may not read it: W&B answers both alike."""
        answer = await self._ask(documents.PROJECT, {"entity": entity, "project": name})
        found = self._read(answer, ProjectData).project
        return None if found is None else found.record(entity, name)

    async def runs_page(
        self,
        entity: str,
        project: str,
        *,
        filters: Mapping[str, object] | None = None,
        order: str = OLDEST_FIRST,
        first: int,
        after: str | None = None,
        count_filters: Mapping[str, object] | None = None,
        with_counts: bool = False,
        with_sweeps: bool = False,
        with_contents: bool = False,
        files_first: int = FILES_FIRST,
        attempts: int | None = None,
        without: Mapping[str, str] = MappingProxyType({}),
    ) -> RunsPage | None:
        """One page of a project's runs, whole.

        Args:
            entity: W&B entity.
            project: W&B project.
            filters: Mongo-style, see W&B API notes, section 5; None: every run.
            order: `+field` ascending or `-field` descending.
            first: runs on the page.
            after: `RunsPage.after` of the page before.
            count_filters: what `counted` counts, in the same form; None: every run.
            with_counts: ask for `counted` and `total`, too.
            with_sweeps: ask for the first page of sweeps, too.
            with_contents: ask for what each run contains, too.
            files_first: files of each run that come along with its contents.
            attempts: at most so many tries; None: as configured.
            without: fields that the server could not serve for these runs, with its words; they are not asked again.

        Returns:
            The page, or None when the project does not exist or the key may not read it.
        """
        if not self._known.knows(_PAGING):  # then all come at once, or none
            if after is not None:
                raise self._not_offered(frozenset({_PAGING}))
            first = max(first, ALL_RUNS)
        variables: dict[str, object] = {
            **_listing(entity, project, filters, order, first, after),
            "countFilters": _filter_text(count_filters),
            "withCounts": with_counts,
            "withSweeps": with_sweeps,
        }
        document = documents.RUNS
        if with_contents:
            document = documents.RUNS_WITH_CONTENTS
            files_first = self._files_first(files_first)
            variables |= {"filesFirst": files_first, "artifactsFirst": ARTIFACTS_FIRST}
        answer, found, beside = await self._listed_runs(document, variables, attempts, without)
        if found is None:
            return None
        failed, is_doubtful = self._failed_runs(answer)
        self._note_server(self._read(answer, ServerData).server_info)
        listing = self._listed(found.runs, "runs", after, first)
        places = [
            ({**without, **failed.get(place, {})}, edge.node)
            for place, edge in enumerate(listing.edges or ())
            if edge is not None and (place in failed or not is_null(edge.node))
        ]
        if any(fields and is_null(node) for fields, node in places):  # likewise, one of them
            raise self._reported(answer)
        is_cut = listing.goes_on(first) and listing.last_cursor is None
        rows = [to_run_or_bad(node, entity, project, failed=fields, is_doubtful=is_doubtful) for fields, node in places]
        return RunsPage(
            project=found.record(entity, project),
            runs=tuple(row for row in rows if isinstance(row, RunRecord)),
            bad=tuple(row for row in rows if isinstance(row, BadRun)),
            empty=len(listing.edges or ()) - len(rows),
            counted=int_or_none(found.counted),
            total=int_or_none(found.held),
            after=listing.last_cursor,
            has_next=listing.goes_on(first) and not is_cut,
            is_cut=is_cut,
            sweeps=self._sweeps_page(found.sweeps, entity, project, None, beside.get("sweeps"))
            if with_sweeps
            else None,
            contents={
                row.run_id: to_contents_or_bad(
                    node, files_first=files_first, artifacts_first=ARTIFACTS_FIRST, failed=fields
                )
                for row, (fields, node) in zip(rows, places, strict=True)
                if with_contents and isinstance(row, RunRecord)
            },
            server_time=answer.server_time,
            seconds=answer.seconds,
        )

    async def _listed_runs(
        self, document: str, variables: Mapping[str, object], attempts: int | None, without: Mapping[str, str]
    ) -> tuple[Answer, WireProject | None, Mapping[str, str]]:
        """A page of runs as it came. What fails beside the runs and takes them along is not asked again.

        Returns:
            The answer; the project in it, None when it does not exist or the key may not read it; and what failed
            beside the runs, with the server's words.

        Raises:
            GraphQLError: runs failed, and took all of them along.
        """
        beside: dict[str, str] = {}  # fields of other types, of which the server could not serve a part
        while True:
            asked = {**variables, **{_SWITCHES[name]: False for name in beside.keys() & _SWITCHES.keys()}}
            left_out = [*without, *(name for name in beside if name not in _SWITCHES)]
            answer = await self._ask(
                document,
                asked,
                attempts=attempts,
                partial=True,
                needs=_TO_LIST_RUNS,
                without=left_out,
                one=self._one_run(variables) if variables["first"] == 1 else None,
            )
            found = self._read(answer, ProjectData).project
            more = {_BESIDE[error.path[:2]]: error.message for error in answer.errors if error.path[:2] in _BESIDE}
            if not answer.errors or (found is not None and found.runs is not None and found.runs.edges is not None):
                return answer, found, {**more, **beside}
            if not more.keys() - beside.keys():
                raise self._reported(answer)
            beside = {**more, **beside}

    def _one_run(self, variables: Mapping[str, object]) -> OneThing:
        """The run on a page of one, among the project's newest."""

        async def others() -> list[dict[str, object]]:
            entity, project = str(variables["entity"]), str(variables["project"])
            newest = await self.run_cursors(entity, project, order=_NEWEST_FIRST, first=SAMPLED_FROM)
            places = [None, *(each.cursor for each in newest[:-1] if each.cursor is not None)]
            return [{"filters": "{}", "order": _NEWEST_FIRST, "after": place} for place in sampled(places)]

        return OneThing(path=("project", "runs", "edges", 0, "node"), type="Run", others=others)

    def _failed_runs(self, answer: Answer) -> tuple[Mapping[str | int, Mapping[str, str]], bool]:
        """What failed of single runs of a page, by place. What failed beside them is not told, and no more.

        Returns:
            That, and whether an error is about nothing that can be told: then what is null may have failed.

        Raises:
            GraphQLError: a run failed as a whole.
        """
        if not answer.errors:
            return {}, False
        leading = that_lead(answer.data, answer.errors, _DEPTH_OF_A_RUN)
        errors = [error for error in leading if _is_about_a_run(error)]
        failed = failed_fields(errors, ("project", "runs", "edges"), ("node",))
        if failed is None:
            raise self._reported(answer, errors)
        is_beside = [error for error in answer.errors if error.path[:2] in _BESIDE or error.path[:1] == ("serverInfo",)]
        return failed, any(error not in leading and error not in is_beside for error in answer.errors)

    async def run(self, entity: str, project: str, run_id: str) -> RunRecord | BadRun | None:
        """One run; None when it or its project does not exist or the key may not read it."""
        variables = {"entity": entity, "project": project, "run": run_id}
        found = self._read(await self._ask(documents.RUN, variables), ProjectData).project
        return None if found is None or is_null(found.run) else to_run_or_bad(found.run, entity, project)

    async def run_cursors(
        self,
        entity: str,
        project: str,
        *,
        filters: Mapping[str, object] | None = None,
        order: str = OLDEST_FIRST,
        first: int,
        after: str | None = None,
        attempts: int | None = None,
    ) -> tuple[RunCursor, ...]:
        """Places in a listing of runs, to step over one that the server cannot serve whole.

        Where the server cannot even name the runs, the cursors come without names. Empty at the end of the listing,
        and when there is no such project. `attempts` bounds the tries; None: as configured.
        """
        variables = _listing(entity, project, filters, order, first, after)
        try:
            answer = await self._ask(documents.RUN_CURSORS, variables, attempts=attempts)
        except (DocumentRefused, NotOffered):
            raise
        except ServerError:
            answer = await self._ask(documents.BARE_CURSORS, variables, attempts=attempts)
        found = self._read(answer, ProjectData).project
        if found is None:
            return ()
        cursors: list[RunCursor] = []
        for edge in self._listed(found.runs, "runs", after, first).rows:
            names = RunNames() if is_null(edge.node) else self._decode(edge.node, RunNames, decode_frame)
            cursors.append(
                RunCursor(
                    cursor=cursor_text(edge.cursor),
                    run_id=names.name,
                    storage_id=names.id,
                    created_at=time_or_none(names.created_at),
                )
            )
        return tuple(cursors)

    async def sweeps(self, entity: str, project: str, after: str | None = None) -> SweepsPage:
        """One page of a project's sweeps; empty when there is no such project."""
        variables = {"entity": entity, "project": project, "first": SWEEPS_PER_PAGE, "after": after}
        found = self._read(await self._ask(documents.SWEEPS, variables), ProjectData).project
        return self._sweeps_page(msgspec.UNSET if found is None else found.sweeps, entity, project, after)

    def _listed_project(self, node: msgspec.Raw, entity: str) -> ProjectRecord:
        wire = self._decode(node, WireProject, decode_frame)
        if not wire.name:
            raise ServerError(f"{self._host} listed a project without a name")
        return wire.record(entity, wire.name)

    def _sweeps_page(
        self,
        listing: WireConnection | msgspec.UnsetType | None,
        entity: str,
        project: str,
        after: str | None,
        why: str | None = None,
    ) -> SweepsPage:
        """What can be had of a page of sweeps; what cannot never costs the runs that came along.

        Args:
            listing: None: the server did not tell them; unset: they were not asked for.
            entity: of the project.
            project: its name.
            after: the place that they were asked behind.
            why: what failed of them, in the server's words.
        """
        bad: list[str] = [] if why is None else [one_line(why)]
        if isinstance(listing, msgspec.UnsetType) or listing is None or listing.edges is None:
            if not bad and not isinstance(listing, msgspec.UnsetType):
                bad.append("the server gave a project without its sweeps")
            return SweepsPage(sweeps=(), bad=tuple(bad), after=None, has_next=False)
        sweeps: list[SweepRecord] = []
        for edge in listing.rows:
            if is_null(edge.node):
                bad.append("the server listed a place without a sweep")
                continue
            try:
                sweeps.append(to_sweep(edge.node, entity, project))
            except (ValueError, RecursionError) as error:
                bad.append(f"the server's answer for a sweep: {one_line(str(error))}")
        # The SDK continues sweeps from `endCursor` (W&B API notes, section 5).
        goes_on, place = listing.goes_on(SWEEPS_PER_PAGE), listing.end_cursor or listing.last_cursor
        if goes_on and (place is None or place == after):
            bad.append("the server promises more sweeps but gives no place to continue from")
            goes_on = False
        return SweepsPage(sweeps=tuple(sweeps), bad=tuple(bad), after=place, has_next=goes_on)

    def _listed(self, listing: WireConnection | None, what: str, after: str | None, first: int) -> WireConnection:
        """The listing, if it is one; a page that gives no place to continue from is the last one.

        Raises:
            ServerError: there is none, or it promises more at the place where it was asked to continue.
        """
        if listing is None or listing.edges is None:
            raise ServerError(f"{self._host} gave a project without its {what}")
        moves = listing.rows and (listing.last_cursor is None or listing.last_cursor != after)
        if listing.goes_on(first) and not moves:
            raise self._stuck(what)
        return listing


def _is_about_a_run(error: Reported) -> bool:
    """Whether an error is about a run of a page, and not about its place or what stands around the page."""
    return error.path[:3] == ("project", "runs", "edges") and len(error.path) > 3 and error.path[4:] != ("cursor",)


# What stands beside the runs of a page, by its path in the answer: a field, or what a variable switches off.
_BESIDE: Mapping[tuple[str | int, ...], str] = {
    ("project", "counted"): "counts",
    ("project", "held"): "counts",
    ("project", "sweeps"): "sweeps",
    ("project", "id"): "Project.id",
    ("project", "internalId"): "Project.internalId",
    ("project", "name"): "Project.name",
    ("project", "createdAt"): "Project.createdAt",
    ("serverInfo", "features"): "Query.serverInfo",
    ("serverInfo", "latestLocalVersionInfo"): "Query.serverInfo",
    ("serverInfo",): "Query.serverInfo",
}
_SWITCHES = {"counts": "withCounts", "sweeps": "withSweeps"}


def _listing(
    entity: str,
    project: str,
    filters: Mapping[str, object] | None,
    order: str,
    first: int,
    after: str | None,
) -> dict[str, object]:
    """Variables of a listing of runs."""
    return {
        "entity": entity,
        "project": project,
        "filters": _filter_text(filters),
        "order": order,
        "first": first,
        "after": after,
    }


def _filter_text(filters: Mapping[str, object] | None) -> str:
    """Filters travel as JSON text, "{}" for none (W&B API notes, section 5)."""
    return msgspec.json.encode(filters or {}).decode()
