"""The rules of a pull, as functions of values: which pass, which filter, what is new, what looks wrong."""

from __future__ import annotations

import datetime as dt
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from mirror.config import SourceSettings
from mirror.narrowed import since_of
from mirror.records.passes import HeldRun, SourceState
from mirror.records.projects import SweepRecord
from mirror.records.runs import RunRecord, is_same_run
from mirror.texts.values import storable

# A listing may shrink by this many runs without a question: people do delete a handful.
ALWAYS_ALLOWED_GONE = 10
FIRST_LOOK_AGAIN = dt.timedelta(minutes=1)  # after a run's end; each further look after twice the time
NAMES_IN_A_FILTER = 500  # run ids that one filter names; keeps the request small
LAST_UPDATED_FIRST = "-updatedAt"  # works together with filters; as a filter the field is not confirmed
# Runs on the first page of a look by `updatedAt`, beside those that go on: so many whole runs are what it costs to see
# that nothing moved.
LOOK_ROOM = 10


@dataclass(frozen=True, kw_only=True)
class Walk:
    """See every run, in order of creation."""

    resume_at: str | None  # `createdAt` to go on from, as the server wrote it; None from the beginning
    started_at: dt.datetime | None  # when the walk began; None: now


@dataclass(frozen=True, kw_only=True)
class Look:
    """See what moved since an instant; what moved shortly before it is counted, and listed if the count is wrong."""

    since: dt.datetime  # UTC
    overlap_from: dt.datetime  # UTC; clocks disagree and writes come late, so a while before `since` is doubted, too


def choose_pass(
    state: SourceState,
    *,
    now: dt.datetime,
    overlap: dt.timedelta,
    walk_every: dt.timedelta,
    force_walk: bool,
    wanted: str | None = None,
) -> Walk | Look:
    """Which pass a project needs.

    Args:
        state: how far the project was pulled.
        now: UTC.
        overlap: how far before the watermark to check, for clocks that disagree and writes that came late.
        walk_every: how often all runs are compared.
        force_walk: a person asked for it; a walk that was cut off starts anew, too.
        wanted: digest of what of each run is wanted now; another one than before asks for a walk, too.
    """
    if force_walk or (
        state.wanted is not None and state.wanted != wanted
    ):  # whatever was walked before it may have changed since
        return Walk(resume_at=None, started_at=None)
    if state.walk_started_at is not None:
        return Walk(resume_at=state.walk_through, started_at=state.walk_started_at)
    due = state.last_walk_at is None or now - state.last_walk_at >= walk_every
    if state.watermark is None or due:
        return Walk(resume_at=None, started_at=None)
    return Look(since=state.watermark, overlap_from=state.watermark - overlap)


def walk_filter(resume_at: str | None, narrowed: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """The listing filter of a walk, over those runs that are wanted."""
    return _both(narrowed, None if resume_at is None else {"createdAt": {"$gte": resume_at}})


def _both(narrowed: dict[str, Any] | None, other: dict[str, Any] | None) -> dict[str, Any] | None:
    return other if narrowed is None else narrowed if other is None else {"$and": [narrowed, other]}


def is_beyond(run: RunRecord, policy: SourceSettings, at: dt.datetime) -> bool:
    """Whether a run surely is none of those that a source wants, as far as its state, tags and day tell.

    Args:
        run: as the server listed it.
        policy: of the source. What its `filter` keeps is the server's to judge.
        at: the time of the pass, UTC.
    """
    if policy.states and run.tells("state") and run.state is not None and run.state not in policy.states:
        return True
    if policy.tags and run.tells("tags") and not set(policy.tags) <= set(run.tags):
        return True
    made = run.created_at
    return bool(policy.since) and made is not None and made < since_of(policy.since, at).replace(microsecond=0)


def last_creation(runs: Sequence[RunRecord]) -> str | None:
    """`createdAt` of the newest of some runs, as the server wrote it: where a walk that is cut off goes on."""
    dated = [(run.created_at, run.created_at_text) for run in runs if run.created_at and run.created_at_text]
    return max(dated)[1] if dated else None


def look_filter(since: dt.datetime, unsettled: Sequence[str], narrowed: dict[str, Any] | None = None) -> dict[str, Any]:
    """The listing filter of a look: wanted and moved since, or named. Times compare as ISO 8601 texts in UTC.

    Source: W&B API notes, section 5.
    """
    clauses: list[dict[str, Any]] = [{"heartbeatAt": {"$gte": _iso(since)}}, {"createdAt": {"$gte": _iso(since)}}]
    if narrowed is not None:
        clauses = [{"$and": [narrowed, {"$or": clauses}]}]
    if unsettled:
        clauses.append(names_filter(unsettled))
    return {"$or": clauses}


def moved_filter(look: Look) -> dict[str, Any]:
    """Runs that gave a sign of life, or were created, since the overlap began.

    A look by `updatedAt` has the server count them: when it counts others than the lake then holds, `updatedAt` does
    not tell about heartbeats and creations.
    """
    since = {"$gte": _iso(look.overlap_from)}
    return {"$or": [{"heartbeatAt": since}, {"createdAt": since}]}


@dataclass(frozen=True, kw_only=True)
class UpdateOrder:
    """How far a listing by `-updatedAt` came, and whether it is one."""

    oldest: dt.datetime | None = None  # the least `updatedAt` so far, UTC
    holds: bool = True  # every run has an `updatedAt`, and none a later one than the run before it

    def after(self, runs: Sequence[RunRecord]) -> UpdateOrder:
        """The same, one page on."""
        oldest, holds = self.oldest, self.holds
        for run in runs:
            if run.updated_at is None or (oldest is not None and run.updated_at > oldest):
                holds = False
            else:
                oldest = run.updated_at
        return UpdateOrder(oldest=oldest, holds=holds)

    def ends(self, look: Look, runs: Sequence[RunRecord], changed: Container[str]) -> bool:
        """Whether the next page holds nothing that a look is for.

        That is so once a page reaches runs that were updated before the last pass. Those of the overlap before it are
        held as a rule, and are read on as long as one of them is not.

        Args:
            look: since when.
            runs: the page that came last.
            changed: ids of runs on it that were not as they are held.
        """
        since = whole_second(look.since)
        if self.oldest is None or self.oldest >= since:
            return False
        late = any(run.run_id in changed and run.updated_at is not None and run.updated_at < since for run in runs)
        return not late or self.oldest < whole_second(look.overlap_from)


def overlap_filter(look: Look) -> dict[str, Any]:
    """Runs whose last sign of life lies in the overlap, that is in `[overlap_from, since)`.

    The server's count of them is compared with the lake's: a write that came late is one more, and then they are
    listed. Comparing costs nothing, listing them on every pass would cost a page for each thousand recent runs.
    """
    return {"heartbeatAt": {"$gte": _iso(look.overlap_from), "$lt": _iso(look.since)}}


def _iso(moment: dt.datetime) -> str:
    """A time as W&B writes it, cut to the second."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")


def whole_second(moment: dt.datetime) -> dt.datetime:
    """A time cut to the second, as filters hold it."""
    return moment.replace(microsecond=0)


def names_filter(run_ids: Sequence[str]) -> dict[str, Any]:
    """The listing filter that names runs."""
    return {"name": {"$in": list(run_ids)}}


def changed_runs(listed: Iterable[RunRecord], held: Mapping[str, HeldRun]) -> list[RunRecord]:
    """Those listed runs that differ from what is held; a run listed twice counts once, the later one."""
    last = {run.run_id: run for run in listed}
    return [
        run
        for run in last.values()
        if (before := held.get(run.run_id)) is None
        or before.gone
        or (before.fingerprint, before.updated) != (run.fingerprint, run.updated_at_text)
    ]


def remade_ids(listed: Iterable[RunRecord], held: Mapping[str, HeldRun]) -> frozenset[str]:
    """Ids of those listed runs that are not the ones held under these ids."""
    return frozenset(
        run.run_id
        for run in listed
        if (before := held.get(run.run_id)) is not None
        and not is_same_run(run, storage_id=before.storage_id, created_at=before.created_at)
    )


def is_touched(run: RunRecord, before: HeldRun | None) -> bool:
    """Whether a run is new, gave a sign of life, or changed its state: more than an edit."""
    return before is None or before.gone or (before.state, before.heartbeat) != (run.state, run.heartbeat_at_text)


def is_stirred(run: RunRecord, before: HeldRun | None) -> bool:
    """Whether nothing moved of a run that has ended but its `updatedAt`."""
    if before is None or before.updated is None or run.updated_at_text is None or run.is_active:
        return False
    return before.updated != run.updated_at_text and before.fingerprint == run.fingerprint


def speaks_against_updates(
    run: RunRecord, before: HeldRun | None, *, watermark: dt.datetime | None, by_update: bool
) -> bool:
    """Whether a run that a walk found edited shows that looks by `updatedAt` do not see edits.

    It does so when its `updatedAt` is older than the last pass: the edit did not move it, or a look should have seen
    it.

    Args:
        run: listed by a walk, and not as it is held.
        before: what is held of it.
        watermark: the last pass saw what moved before it, UTC.
        by_update: the passes since the last walk listed by `updatedAt`; else only an edit that did not move it counts.
    """
    if is_touched(run, before) or before is None or before.updated is None:
        return False
    if watermark is None or run.updated_at is None or run.updated_at >= whole_second(watermark):
        return False
    return by_update or before.updated == run.updated_at_text


def changed_sweeps(
    listed: Iterable[SweepRecord], held: Mapping[str, SweepRecord], *, flawed: bool = False
) -> tuple[SweepRecord, ...]:
    """Those listed sweeps that differ from what is held.

    Args:
        listed: as the server lists them.
        held: by sweep id.
        flawed: the server failed at something of them, so that nothing in a field says nothing: what is held stays.
    """
    if flawed:
        listed = [_with_held(sweep, held.get(sweep.sweep_id)) for sweep in listed]
    return tuple(
        sweep for sweep in listed if sweep.sweep_id not in held or _as_stored(held[sweep.sweep_id]) != _as_stored(sweep)
    )


def _with_held(sweep: SweepRecord, held: SweepRecord | None) -> SweepRecord:
    """A sweep with what is held in place of what came empty."""
    if held is None:
        return sweep
    empty = [name for name in sweep.__struct_fields__ if getattr(sweep, name) is None]
    return msgspec.structs.replace(sweep, **{name: getattr(held, name) for name in empty})


def _as_stored(sweep: SweepRecord) -> list[str]:
    """A sweep's values in a form that compares: a loss may be NaN, which equals nothing."""
    return [repr(storable(value) if isinstance(value, str) else value) for value in msgspec.structs.astuple(sweep)]


def look_again(alive_at: dt.datetime | None, *, last_look: dt.datetime | None, now: dt.datetime) -> bool:
    """Whether a run that ended is worth another look for exports that come without a sign of life.

    They come minutes to hours after the end, so a run is looked at a minute after its end, then after two, four and
    so on. Nothing has to be remembered for it but when the last pass was.

    Args:
        alive_at: the last sign of life, UTC.
        last_look: when the last good pass was, UTC.
        now: UTC.
    """
    if alive_at is None or last_look is None:
        return True
    return _doublings(now - alive_at) > _doublings(last_look - alive_at)


def _doublings(age: dt.timedelta) -> int:
    return max(0, int(age / FIRST_LOOK_AGAIN)).bit_length()


def may_be_gone(marked: int, held: int, fraction: float) -> bool:
    """Whether so many runs may be marked as gone in one pass without asking a person.

    Args:
        marked: runs that the server no longer lists.
        held: runs held before the pass.
        fraction: the configured share, 0 to 1.
    """
    if marked == 0:
        return True
    if marked >= held:  # everything vanished: a wrong answer is far more likely than a clean-up
        return held == 0
    return marked <= max(ALWAYS_ALLOWED_GONE, int(held * fraction))


@dataclass(frozen=True, kw_only=True)
class Window:
    """A stretch of a walk whose runs were all listed: what is held in it but was not listed may be gone.

    Runs created at the very end of a page may continue on the next one, so a window ends before them.
    """

    start: dt.datetime | None  # inclusive; None: from the first run
    end: dt.datetime | None  # exclusive; None: to the last run
    listed: frozenset[str]  # run ids seen in it


@dataclass(frozen=True, kw_only=True)
class WindowCarry:
    """What the next window needs to know of the last page."""

    start: dt.datetime | None
    listed: frozenset[str]


def next_window(
    carry: WindowCarry, created: Sequence[tuple[str, dt.datetime | None]], *, last: bool
) -> tuple[Window | None, WindowCarry]:
    """Close the window that a page completes.

    Args:
        carry: from the page before.
        created: run ids of the page with their creation times, in the server's order.
        last: whether the page is the last of the walk.

    Returns:
        The closed window, if the page moved forward in time, and the carry for the next page.
    """
    names = carry.listed | {run_id for run_id, _ in created}
    if last:
        return Window(start=carry.start, end=None, listed=names), WindowCarry(start=None, listed=frozenset())
    times = [at for _, at in created if at is not None]
    end = max(times, default=None)
    if end is None or (carry.start is not None and end <= carry.start):
        return None, WindowCarry(start=carry.start, listed=names)
    edge = frozenset(run_id for run_id, at in created if at is None or at >= end)
    return Window(start=carry.start, end=end, listed=names), WindowCarry(start=end, listed=edge)


def missing_from(window: Window, held: Iterable[str]) -> list[str]:
    """Run ids that are held in a window but were not listed in it."""
    return sorted(set(held) - window.listed)


def in_chunks(run_ids: Sequence[str], size: int = NAMES_IN_A_FILTER) -> Iterable[Sequence[str]]:
    """The ids in stretches that fit one filter."""
    return (run_ids[start : start + size] for start in range(0, len(run_ids), size))
