"""What of a run has to be fetched: pure decisions between what the server lists and what the lake holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from mirror.api.rows.listed import ListedContents, ListedFile
from mirror.config import SourceSettings
from mirror.pull.contents.history_marks import (
    NAMES_TELL_NOTHING,
    keys_fingerprint,
    parsed_keys,
    parts_fingerprint,
    tells_keys,
)
from mirror.records.contents import STILL_ACTIVE, Completeness, HeldFile, HeldHistory
from mirror.records.passes import HISTORY
from mirror.records.runs import RunRecord
from mirror.texts.steps import step_of
from mirror.texts.values import parse_lenient

MB = 1_000_000
HISTORY_PAGE_STEPS = 1000  # as the SDK pages (W&B API notes, section 6)


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A file that the source's policy does not want."""

    file: ListedFile
    reason: str  # one sentence; recorded with the file


@dataclass(frozen=True, kw_only=True)
class FilesPlan:
    """What to do about a run's files."""

    fetch: tuple[ListedFile, ...]  # new, or changed since they were fetched
    left_out: tuple[LeftOut, ...]  # by policy; new to the lake, or with another reason
    gone: tuple[str, ...]  # held, but no longer listed

    @property
    def is_empty(self) -> bool:
        """Nothing to do."""
        return not (self.fetch or self.left_out or self.gone)


def plan_files(
    listed: Sequence[ListedFile], held: Mapping[str, HeldFile], policy: SourceSettings, *, whole: bool
) -> FilesPlan:
    """Compare a run's files with what is held.

    Args:
        listed: as the server lists them; a name listed twice counts once, the later one.
        held: by name.
        policy: which files are wanted.
        whole: `listed` is the whole list, so that what is missing from it is gone.
    """
    by_name = {file.name: file for file in listed}
    fetch, left_out = [], []
    for name, file in by_name.items():
        before = held.get(name)
        reason = why_left_out(file, policy)
        if reason is None:
            if before is None or before.status != "held" or not same_file(file, before):
                fetch.append(file)
        elif before is None or (before.status != "held" and (before.status, before.reason) != ("left_out", reason)):
            left_out.append(LeftOut(file=file, reason=reason))
    gone = () if not whole else tuple(sorted(n for n, f in held.items() if n not in by_name and f.status != "gone"))
    return FilesPlan(fetch=tuple(fetch), left_out=tuple(left_out), gone=gone)


def same_file(listed: ListedFile, held: HeldFile) -> bool:
    """Whether the bytes held are the ones listed, as far as the listing tells."""
    marks = {"size", "md5", "updated_at_text"} - listed.untold
    return all(getattr(listed, mark) == getattr(held, mark) for mark in marks)


def shortage(came: int, counted: int | None, what: str, *, active: bool) -> str | None:
    """What is missing from a list, by the server's own count; None when nothing is.

    Args:
        came: places in the list, whatever was in them.
        counted: by the server; None: it does not count.
        what: is in the list.
        active: the run goes on, and may have got more since its list was read.
    """
    if counted is None or came >= counted or (active and came):
        return None
    return f"the server counts {counted} {what} and lists {came or 'none'}"


def why_left_out(file: ListedFile, policy: SourceSettings) -> str | None:
    """The reason why a policy leaves a file out; None when it is wanted."""
    if not any(fnmatchcase(file.name, glob) for glob in policy.files_include):
        return "no files_include glob matches its name"
    for glob in policy.files_exclude:
        if fnmatchcase(file.name, glob):
            return f"files_exclude has {glob!r}"
    if file.size is not None and file.size > policy.file_size_max_mb * MB:
        return f"larger than file_size_max_mb = {policy.file_size_max_mb:g}"
    return None


@dataclass(frozen=True, kw_only=True)
class HistoryPlan:
    """What to do about a run's history."""

    exports: bool  # fetch all parts anew; they replace those that are held
    rows_from: int | None  # read rows of the API from this step on; None: none
    rows_to: int | None  # the step behind the last row; None: not known, they are read until none comes any more
    replaces_tail: bool  # the rows read are the whole tail
    renews: bool = field(default=False, compare=False)  # what is held is of another history: nothing of it stays


def plan_history(
    run: RunRecord,
    listed: ListedContents,
    held: HeldHistory,
    *,
    touched: bool = True,
    again: bool = True,
    changed: bool = True,
) -> HistoryPlan | None:
    """Compare a run's history with what is held.

    The exports are fetched anew whenever the server's facts about the history moved, since parts are replaced,
    compacted and reordered upstream and no part can be told from its address. Rows that are not exported are read from
    the lowest live step on, since they may lie between exported ones, and once that is done, from the last row held,
    which may have grown since. A run with neither is read through `history`, and so is one of which the server does not
    tell what is exported, or how far it goes. W&B API notes, section 6.

    Rows are not final: a history that was written again under the same last step and count is read whole. What tells of
    it is in `history_marks`.

    Args:
        run: as just listed.
        listed: the run's exports and live rows.
        held: what the lake holds.
        touched: the run gave a sign of life or changed its state since it was held; or its history failed before.
        again: what is lacking may be there by now, so that it is worth another look.
        changed: the run is not listed as it was held; else what the server says of the history is the same, too.

    Returns:
        What to do; None when everything is held already.
    """
    before = held.completeness
    facts = _Facts(run, listed, held, touched=touched, changed=changed)
    if facts.nothing_logged and not listed.export_urls and not listed.has_live_rows:
        return None
    if (facts.rewound or facts.overwritten) and held.exports and HISTORY in listed.failed:
        return None  # what takes their place cannot be told
    worth = touched or again
    lacking = before is not None and not before.complete and before.reason != STILL_ACTIVE and worth
    if before is None or lacking or facts.ended or facts.rewound or facts.overwritten:
        return facts.whole()
    plan = facts.with_live_rows() if listed.has_live_rows else facts.without_live_rows(worth=worth)
    just_ended = before.reason == STILL_ACTIVE and not run.is_active  # nothing is missing
    if plan is None and (just_ended or before.keys_fingerprint is None):  # an older mirror did not note what to compare
        return HistoryPlan(exports=False, rows_from=None, rows_to=facts.end, replaces_tail=False)
    return plan


def plan_whole_history(run: RunRecord, listed: ListedContents, held: HeldHistory) -> HistoryPlan:
    """What to do when a history turns out to be another one than the one held."""
    facts = _Facts(run, listed, held, touched=True, changed=True)
    facts.overwritten = True
    return facts.whole()


class _Facts:
    """One run's history upstream beside the one held."""

    def __init__(
        self, run: RunRecord, listed: ListedContents, held: HeldHistory, *, touched: bool, changed: bool
    ) -> None:
        before, last_step, count = held.completeness, last_step_of(run), line_count_of(run)
        self.listed, self.held, self.going = listed, held, run.is_active and touched
        self.nothing_logged = count == 0 if last_step is None else last_step < 0 and not count
        knows_end = last_step is not None or (listed.has_live_rows and listed.live_told)
        self.end = max([-1 if last_step is None else last_step, *listed.live_steps]) + 1 if knows_end else None
        self.moved = before is None or _is_more_or_less(before, last_step, count)
        self.moved |= touched and last_step is None and count is None  # nothing tells
        # Steps may have been written again before it ended, and its exports may be whole now.
        self.ended = touched and not run.is_active
        earlier = None if before is None else before.last_step
        self.rewound = earlier is not None and last_step is not None and earlier > last_step
        self.overwritten = before is not None and changed and _is_overwritten(run, before)
        self.parts_moved = len(listed.export_urls) != len(held.exports)
        if before is not None and before.parts_fingerprint not in (None, NAMES_TELL_NOTHING) and listed.export_urls:
            self.parts_moved |= before.parts_fingerprint != parts_fingerprint(listed.export_urls)

    def whole(self) -> HistoryPlan:
        """Everything, whatever is held."""
        renews, exports = self.overwritten or self.rewound, bool(self.listed.export_urls)
        if renews and not exports:
            # Exports that are held are of another history; what the server has stands in its rows, from the first on.
            return HistoryPlan(
                exports=bool(self.held.exports), rows_from=0, rows_to=self.end, replaces_tail=True, renews=True
            )
        if self.listed.has_live_rows:
            return self._live(exports=exports)
        start = None if exports else 0
        return HistoryPlan(exports=exports, rows_from=start, rows_to=self.end, replaces_tail=True, renews=renews)

    def with_live_rows(self) -> HistoryPlan | None:
        """A run that goes on, or whose export does not hold everything yet."""
        steps, first, last = self.listed.live_steps, self.held.first_tail_step, self.held.last_tail_step
        lowest = min(steps, default=0)
        exported_further = first is not None and lowest > first
        exports = bool(self.listed.export_urls) and (self.parts_moved or exported_further)
        if first is None or last is None or lowest < first or exports:
            return self._live(exports=exports)
        if self.held.tail_rows < sum(step <= last for step in steps):  # rows came between those that are held
            return self._live(exports=False)
        return self._from(last) if self.moved or self.going else None

    def without_live_rows(self, *, worth: bool) -> HistoryPlan | None:
        """All is exported, or the server serves rows through `history` alone."""
        last = self.held.last_tail_step
        if self.listed.export_urls:
            covered = self.held.tail_rows > 0 and worth
            return self.whole() if self.moved or self.parts_moved or covered else None
        if self.held.exports and not self.moved:  # the exports are not listed any more: they stay
            return None
        if not (self.moved or self.going):
            return None
        return self.whole() if last is None else self._from(last)

    def _live(self, *, exports: bool) -> HistoryPlan:
        """The whole tail; without new exports no row that is held is given up."""
        steps = list(self.listed.live_steps) or [0]
        if not exports and not self.rewound and self.held.first_tail_step is not None:
            steps.append(self.held.first_tail_step)
        return HistoryPlan(
            exports=exports,
            rows_from=min(steps),
            rows_to=self.end,
            replaces_tail=True,
            renews=self.overwritten or self.rewound,
        )

    def _from(self, step: int) -> HistoryPlan:
        return HistoryPlan(exports=False, rows_from=step, rows_to=self.end, replaces_tail=False)


def _is_more_or_less(before: Completeness, last_step: int | None, count: int | None) -> bool:
    """Whether the server tells of other rows than it did; what it did not tell then is compared with what is held."""
    held = before.last_step_held if before.last_step is None else before.last_step
    if last_step is not None and last_step != (-1 if held is None else held):
        return True
    if count is None or before.history_line_count is None:
        return count is not None and count > before.rows_held + before.shared_rows
    return count != before.history_line_count


def _is_overwritten(run: RunRecord, before: Completeness) -> bool:
    """Whether rows that are held were written again, by what the server says of the history.

    While a run goes on all of it moves with every row, so that only what cannot come of new rows alone is taken for it.
    """
    steps = before.last_step, last_step_of(run)
    counts = before.history_line_count, line_count_of(run)
    if run.is_active:
        if counts[0] is not None and counts[1] is not None:
            further = steps[0] is not None and steps[1] is not None and steps[1] > steps[0]
            if counts[1] < counts[0] or (counts[1] == counts[0] and further):
                return True
        if steps[0] != steps[1] or counts[0] != counts[1]:
            return False
    if not tells_keys(run):
        return False
    return before.keys_fingerprint is not None and before.keys_fingerprint != keys_fingerprint(run)


def last_step_of(run: RunRecord) -> int | None:
    """`historyKeys.lastStep`; -1 when nothing was logged, None where the server does not tell.

    A server has no table of keys for a run that logged nothing. That there is none says nothing where it counts rows,
    or where the summary shows the step of one.
    """
    if not run.tells("history_keys_text"):
        return None
    table = parsed_keys(run)
    step = step_of(table.get("lastStep"))
    if step is not None and step >= 0:
        return step
    return None if table.get("keys") or line_count_of(run) or summary_step_of(run) is not None else -1


def line_count_of(run: RunRecord) -> int | None:
    """Rows logged, by the server's count; None where it does not tell."""
    return run.history_line_count if run.tells("history_line_count") else None


def summary_step_of(run: RunRecord) -> int | None:
    """The step of the last row, as far as the summary shows it."""
    summary = parse_lenient(run.summary_text)
    return step_of(summary.get("_step")) if isinstance(summary, dict) else None
