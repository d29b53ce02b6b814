"""Questions about what runs wrote line by line: history, system metrics, console."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from mirror.api.documents.contents import EVENTS, HISTORY, LOG_LINES, LOG_TAIL, streams_document
from mirror.api.questions.asking import OF_ANOTHER, Asking, names_another, one_run
from mirror.api.questions.fitted_asking import OneThing
from mirror.api.rows.answers import Answer, one_line
from mirror.api.rows.contents import to_streams_or_bad
from mirror.api.rows.flaws import fields_of, lost_with
from mirror.api.rows.listed import LogPage, RunStreams, StreamAsk
from mirror.api.rows.pages import BadRun
from mirror.api.rows.scalars import NULL, is_null, is_told
from mirror.api.rows.streams import WireStreams, stream_rows, to_log_page
from mirror.errors import GraphQLError, NotOffered, ServerError

ASKS_PER_DOCUMENT = 20
LINES_PER_PAGE = 5000
_PAGING = "Run.logLines(useImprovedPagination)"


class StreamQuestions(Asking):
    """The part of `Client` for tails, system metrics and console lines."""

    async def history_rows(
        self, entity: str, project: str, run_id: str, min_step: int, max_step: int
    ) -> tuple[str | None, ...]:
        """Every row of a range of steps, each a JSON text as the server sent it: bare NaN and float steps come.

        None stands in place of a row that the server could not serve, or that is no JSON object.

        Args:
            entity: W&B entity.
            project: W&B project.
            run_id: the run.
            min_step: first step.
            max_step: the step behind the last. The SDK takes 1000 at a time; an empty range is not the end.

        Raises:
            NotFound: there is no such run.
        """
        variables = {"entity": entity, "project": project, "run": run_id, "minStep": min_step, "maxStep": max_step}
        variables["samples"] = max(1, max_step - min_step)  # fewer, and the server leaves rows out
        answer = await self._ask(HISTORY, variables, partial=True)
        return self._rows_in(answer, run_id, project, "history")

    async def events(self, entity: str, project: str, run_id: str, samples: int) -> tuple[str | None, ...]:
        """System metrics, one JSON text a row. No paging is known: ask for at least `ListedContents.events_line_count`.

        Args:
            entity: W&B entity.
            project: W&B project.
            run_id: the run.
            samples: at most so many rows; the server samples down to it.

        Raises:
            NotFound: there is no such run.
        """
        variables = {"entity": entity, "project": project, "run": run_id, "samples": max(1, samples)}
        answer = await self._ask(EVENTS, variables, partial=True)
        return self._rows_in(answer, run_id, project, "events")

    def _rows_in(self, answer: Answer, run_id: str, project: str, field: str) -> tuple[str | None, ...]:
        """The rows of one stream of one run.

        Raises:
            NotFound: there is no such run.
            ServerError: the server could not serve them, or they have another shape.
        """
        wire = self._decode(self._run_of(answer, run_id, project), WireStreams)
        failed = self._flaws_of(answer, "project", "run")
        rows = wire.history if field == "history" else wire.events
        if field in fields_of(failed) and not is_told(rows):
            raise self._reported(answer)
        try:
            return stream_rows(rows)
        except ValueError as error:
            why = one_line(str(error))
        raise ServerError(f"{self._host} answered in a shape that W&B does not use: {why}")

    async def log_lines(
        self, entity: str, project: str, run_id: str, after: str | None = None, *, first: int = LINES_PER_PAGE
    ) -> LogPage:
        """One page of console lines, oldest first; an old server gives its newest lines instead, once and for all.

        Args:
            entity: W&B entity.
            project: W&B project.
            run_id: the run.
            after: `LogPage.after` of the page before.
            first: lines on the page; the server may give fewer.

        Raises:
            NotFound: there is no such run.
        """
        where = {"entity": entity, "project": project, "run": run_id}
        try:
            answer = await self._ask(
                LOG_LINES, {**where, "first": first, "after": after}, needs=[_PAGING], partial=True
            )
            is_tail = False
        except NotOffered:
            answer = await self._ask(LOG_TAIL, {**where, "last": first}, partial=True)
            is_tail = True
        wire = self._decode(self._run_of(answer, run_id, project), WireStreams)
        failed = self._flaws_of(answer, "project", "run")
        if "logLines" in failed:
            raise self._reported(answer)
        try:
            return to_log_page(wire, after=after, is_tail=is_tail, failed=failed)
        except (ValueError, RecursionError) as error:
            why = one_line(str(error))
        raise ServerError(f"{self._host} answered in a shape that W&B does not use: {why}")

    async def run_streams(
        self, entity: str, project: str, asks: Sequence[StreamAsk]
    ) -> Mapping[str, RunStreams | BadRun | None]:
        """Events, console lines and history of several runs: one request for each 20 runs.

        Args:
            entity: W&B entity.
            project: W&B project.
            asks: what of which run; a run that is asked twice is answered for the last ask.

        Returns:
            For each run id what was asked, a bad run with its reason, or None when there is no such run.
        """
        by_run = {ask.run_id: ask for ask in asks}

        async def ask(some: Sequence[str], attempts: int | None) -> Mapping[str, RunStreams | BadRun | None]:
            one = one_run(some, by_run)
            return await self._streams(entity, project, [by_run[run_id] for run_id in some], attempts, one)

        def bad(run_id: str, reason: str) -> RunStreams | BadRun | None:
            return BadRun(run_id=run_id, storage_id=None, reason=reason)

        return await self._by_name(list(by_run), ASKS_PER_DOCUMENT, ask, bad)

    async def _streams(
        self,
        entity: str,
        project: str,
        asks: Sequence[StreamAsk],
        attempts: int | None,
        one: OneThing | None,
        without: Mapping[str, str] = MappingProxyType({}),
    ) -> Mapping[str, RunStreams | BadRun | None]:
        """One document, in the way that this server understands."""
        modern = self._known.knows(_PAGING)
        variables: dict[str, object] = {"entity": entity, "project": project, "lines": LINES_PER_PAGE}
        for n, ask in enumerate(asks):
            variables |= _variables(n, ask, modern=modern)
        document = streams_document(len(asks), modern=modern)
        needs = [_PAGING] if modern else []
        try:
            answer = await self._ask(
                document, variables, attempts=attempts, partial=True, needs=needs, without=without, one=one
            )
            runs = self._runs_in(answer)
        except NotOffered:
            if modern and not self._known.knows(_PAGING):  # it just said so
                return await self._streams(entity, project, asks, attempts, one, without)
            raise
        except GraphQLError as error:  # a field that may not be null took the project along
            lost = lost_with(error, alone=len(asks) == 1)
            if not lost.keys() - without.keys():
                raise
            return await self._streams(entity, project, asks, attempts, one, {**without, **lost})
        failed = self._failed_aliases(answer)
        found: dict[str, RunStreams | BadRun | None] = {}
        for n, ask in enumerate(asks):
            node, fields = runs.get(f"r{n}", NULL), failed.get(f"r{n}", {})
            if names_another(node, ask.run_id):
                found[ask.run_id] = BadRun(run_id=ask.run_id, storage_id=None, reason=OF_ANOTHER)
            elif not is_null(node):
                is_tail = not modern or ask.log_last is not None
                found[ask.run_id] = to_streams_or_bad(
                    node,
                    with_log=ask.with_log,
                    log_after=ask.log_after,
                    is_tail=is_tail,
                    failed={**without, **fields},
                )
            elif (taken := fields_of(fields)).keys() - without.keys():  # what may not be null took the run along
                found |= await self._streams(entity, project, [ask], attempts, one, {**without, **taken})
            elif fields:
                found[ask.run_id] = BadRun(run_id=ask.run_id, storage_id=None, reason="; ".join(fields.values()))
            else:
                found[ask.run_id] = None
        return found


def _variables(n: int, ask: StreamAsk, *, modern: bool) -> dict[str, object]:
    """The variables of one ask, as `streams_document` names them."""
    with_history = ask.history_from is not None and ask.history_to is not None
    rows = max(1, (ask.history_to or 0) - (ask.history_from or 0))
    return {
        f"r{n}": ask.run_id,
        f"withEvents{n}": ask.events_samples is not None,
        f"samples{n}": None if ask.events_samples is None else max(1, ask.events_samples),
        f"withLog{n}": ask.with_log and (not modern or ask.log_last is None),
        **(_newest(n, ask) if modern else {}),
        f"withHistory{n}": with_history,
        f"minStep{n}": ask.history_from,
        f"maxStep{n}": ask.history_to,
        f"rows{n}": rows if with_history else None,
    }


def _newest(n: int, ask: StreamAsk) -> dict[str, object]:
    """What only a server is told that pages console lines; an old one gives its newest lines whatever is asked."""
    with_tail = ask.with_log and ask.log_last is not None
    return {f"logAfter{n}": ask.log_after, f"withLogTail{n}": with_tail, f"logLast{n}": ask.log_last}
