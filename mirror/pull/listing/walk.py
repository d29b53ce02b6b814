"""Walk a listing page by page: the page size adapts, and a run that the server cannot serve is stepped over."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Set
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import msgspec
from anyio.abc import ObjectReceiveStream

from mirror.api.client import Client
from mirror.api.questions.listings import OLDEST_FIRST
from mirror.api.questions.path import Path
from mirror.api.rows.pages import RunCursor, RunsPage
from mirror.errors import (
    DocumentRefused,
    FailsForAll,
    Forbidden,
    GraphQLError,
    MirrorError,
    NotFound,
    NotOffered,
    RateLimited,
    ServerError,
    Unreachable,
)
from mirror.pull.listing.blame import judged
from mirror.pull.listing.budget import PageSize
from mirror.pull.listing.local_filter import matches
from mirror.records.addresses import ProjectKey
from mirror.records.passes import CONTENTS, Failure
from mirror.records.runs import RunRecord
from mirror.tasks import side_by_side

# A page of many runs that fails is asked again smaller rather than again alike. A 429 is no failure of the page: it is
# waited for, whatever the size.
ATTEMPTS_FOR_A_LARGE_PAGE = 2
ATTEMPTS_FOR_ONE_RUN = 3


@dataclass(frozen=True, kw_only=True)
class ListedPage:
    """One page that came, or one run that was stepped over."""

    page: RunsPage | None  # None: nothing but the failure
    failed: tuple[Failure, ...]
    last: bool
    nameless: bool  # the server listed a run that it could not even name
    blames: MirrorError | None  # why one of `failed` was given up


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What to list, and how."""

    key: ProjectKey
    filters: Mapping[str, Any] | None
    size: PageSize
    target_s: float  # a page slower than half of this does not grow
    with_extras: bool  # ask for counts and sweeps along with the first page
    order: str = OLDEST_FIRST
    count_filters: Mapping[str, Any] | None = None  # what the first page's `counted` counts


@dataclass(frozen=True, kw_only=True)
class _Question:
    """What is asked for next."""

    size: PageSize
    after: str | None = None
    extras: bool  # counts and sweeps as well
    contents: bool = True
    why: MirrorError | None = None  # what the contents of the one run asked for failed with
    without: Mapping[str, str] = field(default_factory=dict)  # fields that the server cannot serve for it: why

    def less(self, error: MirrorError) -> _Question | None:
        """What is asked for after a failure: one thing less. None when nothing is left that may be at fault."""
        if self.size.runs > 1:
            return replace(self, size=self.size.after_failure(asked=self.size.runs))
        if (fields := blamed_fields(error)).keys() - self.without.keys():  # the run may be had without them
            return replace(self, without={**self.without, **fields})
        if self.extras:
            return replace(self, extras=False)
        if self.contents:  # the run itself may be fine, and only what it contains be at fault
            return replace(self, contents=False, why=error)
        return None


def list_runs(client: Client, listing: Listing) -> AsyncGenerator[ListedPage, None]:
    """All runs that match, in the order that is asked for.

    Yields:
        Pages in the server's order; the last one says so.

    Raises:
        NotFound: the project does not exist or may not be read.
        FailsForAll: run after run failed alike, and so does the one at the other end; none of them is blamed.
        MirrorError: the server could not list even one run at this place, lists in circles, or ends a page without a
            place to continue from.
    """
    return judged(_list_runs(client, listing), lambda: _fails_at_the_other_end(client, listing))


async def _fails_at_the_other_end(client: Client, listing: Listing) -> bool:
    """Whether the server fails at the last run of a listing, too."""
    direction = "-" if listing.order.startswith("+") else "+"
    other_end = replace(listing, order=f"{direction}{listing.order[1:]}")
    try:
        await _ask(client, other_end, _Question(size=PageSize.starting(1, 1), extras=False))
    except MirrorError as error:
        if not _may_be_one_run(error):
            raise
        return True
    return False


async def _list_runs(client: Client, listing: Listing) -> AsyncGenerator[ListedPage, None]:
    """The same, and whoever fails is blamed."""
    ask, probed = _Question(size=listing.size, extras=listing.with_extras), False
    path = Path(f"runs of {listing.key}")
    total, listed, first_names = None, 0, frozenset[str]()
    while True:
        try:
            page = await _ask_whole(client, listing, ask, listed=listed, total=total)
        except MirrorError as error:
            if not _may_be_one_run(error):
                raise
            if not probed:  # a server that cannot even list one cursor is in trouble: no smaller page will help
                await _step_over(client, listing, ask.after, error)
                probed = True
            if (less := ask.less(error)) is not None:
                ask = less
                continue
            step = await _step_over(client, listing, ask.after, error)
            failure = _failure(step, ask.after, error)
            yield ListedPage(page=None, failed=(failure,), last=False, nameless=step.run_id is None, blames=error)
            ask = _Question(size=ask.size.after_stepping_over(), after=step.cursor, extras=ask.extras)
            continue
        if page is None:
            raise project_not_found(listing.key)
        total, names = page.total if total is None else total, frozenset(run.run_id for run in page.runs)
        first_names, listed = first_names or names, listed + len(names)
        if (
            not (page.has_next or page.is_cut)
            and names
            and listing.filters is None
            and total is not None
            and listed < total
        ):
            page = msgspec.structs.replace(page, has_next=await _has_more(client, listing, page, names | first_names))
        path.step(page.after if page.has_next else None, [run.storage_id or run.run_id for run in page.runs])
        listed_runs = len(page.runs) + len(page.bad) + page.empty
        if not client.knows("Project.runs(filters)"):  # it listed every run
            page = _matching(page, listing.filters)
        nameless = page.empty > 0 or any(bad.run_id is None for bad in page.bad)
        failed, last = _failures_on(page, ask.why), not page.has_next and not page.is_cut
        yield ListedPage(page=page, failed=failed, last=last, nameless=nameless, blames=ask.why)
        if page.is_cut:
            raise ServerError(f"the server promises more runs of {listing.key} but gives no place to continue from")
        if not page.has_next:
            return
        size = ask.size.after_success(
            asked=ask.size.runs,
            listed=listed_runs,
            more=page.has_next,
            characters=sum(map(_characters, page.runs)),
            seconds=page.seconds,
            target_s=listing.target_s,
        )
        if ask.why is not None or ask.without:
            size = size.after_stepping_over()
        ask, probed = _Question(size=size, after=page.after, extras=False), False


async def _ask_whole(
    client: Client, listing: Listing, ask: _Question, *, listed: int, total: int | None
) -> RunsPage | None:
    """A page; a later one that has nothing, though the server counts more and shows a run there, is asked for again."""
    page = await _ask(client, listing, ask)
    if page is None or page.runs or page.bad or page.empty or page.has_next or page.is_cut:
        return page
    if ask.after is None or listing.filters is not None or total is None or listed >= total:
        return page
    return page if await _run_behind(client, listing, ask.after) is None else await _ask(client, listing, ask)


async def _has_more(client: Client, listing: Listing, page: RunsPage, names: Set[str]) -> bool:
    """Whether runs follow a page that a server calls the last one, though it counts more than it listed.

    Args:
        names: run ids of that page and of the first one, which a server that takes no cursor begins with again.
    """
    if page.after is None:
        return False
    try:
        following = await _run_behind(client, listing, page.after)
    except (ServerError, Unreachable):
        return False
    return following is not None and following.run_id is not None and following.run_id not in names


async def _run_behind(client: Client, listing: Listing, after: str | None) -> RunCursor | None:
    """The name and place of the run behind a place; None at the end of the listing."""
    cursors = await client.run_cursors(
        listing.key.entity,
        listing.key.project,
        filters=listing.filters,
        order=listing.order,
        first=1,
        after=after,
        attempts=ATTEMPTS_FOR_ONE_RUN,
    )
    return cursors[0] if cursors else None


async def _ask(client: Client, listing: Listing, ask: _Question) -> RunsPage | None:
    return await client.runs_page(
        listing.key.entity,
        listing.key.project,
        filters=listing.filters,
        order=listing.order,
        first=ask.size.runs,
        after=ask.after,
        count_filters=listing.count_filters if ask.extras else None,
        with_counts=ask.extras,
        with_sweeps=ask.extras,
        with_contents=ask.contents,
        attempts=ATTEMPTS_FOR_A_LARGE_PAGE if ask.size.runs > 1 else ATTEMPTS_FOR_ONE_RUN,
        without=ask.without,
    )


def _failures_on(page: RunsPage, why: MirrorError | None) -> tuple[Failure, ...]:
    """Runs of a page that cannot be read, and those whose contents were given up for a reason."""
    failed = [
        Failure(run_id=bad.run_id or f"(unnamed, storage id {bad.storage_id})", reason=bad.reason) for bad in page.bad
    ]
    if why is not None:
        failed += [Failure(run_id=run.run_id, item=CONTENTS, reason=why.message) for run in page.runs]
    return tuple(failed)


def _matching(page: RunsPage, filters: Mapping[str, Any] | None) -> RunsPage:
    """A page without the runs that were not asked for."""
    runs = tuple(run for run in page.runs if matches(run, filters))
    contents = {run.run_id: page.contents[run.run_id] for run in runs if run.run_id in page.contents}
    return msgspec.structs.replace(page, runs=runs, contents=contents)


def _characters(run: RunRecord) -> int:
    """How long a run's documents are; next to them the rest of it does not count."""
    texts = (run.config_text, run.summary_text, run.system_metrics_text, run.history_keys_text)
    return sum(len(text) for text in texts if text is not None)


@asynccontextmanager
async def ahead(pages: AsyncGenerator[ListedPage, None]) -> AsyncGenerator[AsyncIterator[ListedPage], None]:
    """Ask for the next page while the last one is taken.

    Raises:
        MirrorError: what the listing met, once the pages before it are taken.
    """
    send, receive = anyio.create_memory_object_stream[ListedPage | MirrorError](0)

    async def produce() -> None:
        async with send:
            try:
                async with aclosing(pages):
                    async for page in pages:
                        await send.send(page)
            except MirrorError as error:
                await send.send(error)

    # Closed last: a producer that still has a page to give is cancelled by what the body met, and meets nothing itself.
    async with receive, side_by_side() as group:
        group.start_soon(produce)
        yield _Taken(receive)
        group.cancel_scope.cancel()


class _Taken:
    """Pages in their order, and then the error that the listing ended with."""

    def __init__(self, receive: ObjectReceiveStream[ListedPage | MirrorError]) -> None:
        self._receive = receive

    def __aiter__(self) -> _Taken:
        return self

    async def __anext__(self) -> ListedPage:
        try:
            found = await self._receive.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None
        if isinstance(found, MirrorError):
            raise found
        return found


def blamed_fields(error: MirrorError) -> dict[str, str]:
    """The fields of runs that an error about a page is about, by their names in answers, with the server's words."""
    reported = error.reported if isinstance(error, GraphQLError) else ()
    place = ("project", "runs", "edges")
    return {
        str(each.path[5]): each.message
        for each in reported
        if len(each.path) > 5 and each.path[:3] == place and each.path[4] == "node"
    }


def may_be_the_size(error: MirrorError) -> bool:
    """Whether a smaller page may succeed where this one failed."""
    if isinstance(error, RateLimited | DocumentRefused | NotOffered | FailsForAll):
        return False
    if isinstance(error, Unreachable):
        return error.answered
    return isinstance(error, ServerError)


def _may_be_one_run(error: MirrorError) -> bool:
    """Whether a run of a page may be to blame: it may be one that the key may not read, too."""
    return isinstance(error, Forbidden | NotFound) or may_be_the_size(error)


def project_not_found(key: ProjectKey) -> NotFound:
    """The error for a project that the server answers with null."""
    return NotFound(
        f"project {key} does not exist, or this API key may not read it",
        hint="check the spelling of ENTITY/PROJECT and whose key it is: `wandb-mirror doctor` names its user",
    )


async def _step_over(client: Client, listing: Listing, after: str | None, error: MirrorError) -> RunCursor:
    """The place behind the one run that cannot be served.

    Raises:
        MirrorError: the one given, when the server cannot list even its cursor: then it is not the run.
    """
    try:
        run = await _run_behind(client, listing, after)
    except RateLimited:
        raise
    except (ServerError, Unreachable):
        raise error from None
    if run is None or run.cursor is None or run.cursor == after:
        raise error
    return run


def _failure(step: RunCursor, after: str | None, error: MirrorError) -> Failure:
    name = step.run_id or f"(unnamed, storage id {step.storage_id or 'unknown'}, behind cursor {after})"
    return Failure(run_id=name, reason=error.message)
