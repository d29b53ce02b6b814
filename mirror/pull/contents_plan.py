"""What of a run has to be fetched: pure decisions between what the server lists and what the lake holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from mirror.api import ListedFile, RunContents
from mirror.config import SourceSettings
from mirror.records.contents import HeldFile, HeldHistory
from mirror.records.runs import ACTIVE_STATES, RunRecord
from mirror.records.texts import parse_lenient

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
    return (listed.size, listed.md5, listed.updated_at_text) == (held.size, held.md5, held.updated_at_text)


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
    rows_to: int  # the step behind the last row
    replaces_tail: bool  # the rows read are the whole tail


def plan_history(run: RunRecord, listed: RunContents, held: HeldHistory) -> HistoryPlan | None:
    """Compare a run's history with what is held.

    The exports are fetched anew whenever the server's facts about the history moved, since parts are replaced,
    compacted and reordered upstream and no part can be told from its address. Rows that are not exported are read from
    the lowest live step on, since they may lie between exported ones, and once that is done, from the last row held,
    which may have grown since. A run with neither is read through `history`. W&B API notes, section 6.

    Args:
        run: as just listed.
        listed: the run's exports and live rows.
        held: what the lake holds.

    Returns:
        What to do; None when everything is held already.
    """
    last_step, count, before = last_step_of(run), run.history_line_count, held.completeness
    if last_step < 0 and not count and not listed.export_urls and not listed.has_live_rows:
        return None
    end = max([last_step, *listed.live_steps]) + 1
    moved = before is None or (before.last_step, before.history_line_count) != (last_step, count)
    parts_moved = len(listed.export_urls) != len(held.exports)
    if not listed.has_live_rows:
        if not (moved or parts_moved or (before is not None and not before.complete) or held.tail_rows):
            return None
        if listed.export_urls:
            return HistoryPlan(exports=True, rows_from=None, rows_to=end, replaces_tail=True)
        if before is not None and not moved and before.complete:
            return None
        return HistoryPlan(exports=False, rows_from=0, rows_to=end, replaces_tail=True)
    # A resumed run goes on behind its exports, which stay what they are; a rewound one loses rows.
    rewound = before is not None and (before.last_step or -1) > last_step
    exports = bool(listed.export_urls) and (before is None or parts_moved or rewound)
    lowest = min(listed.live_steps, default=0)
    first_time = exports or rewound or held.last_tail_step is None
    below = held.first_tail_step is not None and lowest < held.first_tail_step
    if first_time or below or held.tail_rows < sum(step <= (held.last_tail_step or -1) for step in listed.live_steps):
        return HistoryPlan(exports=exports, rows_from=lowest, rows_to=end, replaces_tail=True)
    if not moved and run.state not in ACTIVE_STATES:
        return None
    return HistoryPlan(exports=False, rows_from=held.last_tail_step, rows_to=end, replaces_tail=False)


def last_step_of(run: RunRecord) -> int:
    """`historyKeys.lastStep`; -1 when nothing was logged."""
    keys = parse_lenient(run.history_keys_text)
    if isinstance(keys, str):  # some servers wrap it twice
        keys = parse_lenient(keys)
    step = keys.get("lastStep") if isinstance(keys, dict) else None
    return int(step) if isinstance(step, int | float) and not isinstance(step, bool) and step == step else -1


def page_ranges(start: int, end: int, size: int = HISTORY_PAGE_STEPS) -> Iterable[tuple[int, int]]:
    """Stretches of steps `[a, b)` that cover `[start, end)`."""
    return ((low, min(low + size, end)) for low in range(start, end, size))
