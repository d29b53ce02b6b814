"""Rules about what moved, as functions of values: the order by `updatedAt`, and histories that were written again."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror.api.rows.listed import ArtifactsPage, ListedContents
from mirror.api.transport.signed_url import SignedUrl
from mirror.pull import plan
from mirror.pull.contents.history_marks import contradicts, keys_fingerprint, parts_fingerprint
from mirror.pull.contents.plan import HistoryPlan, plan_history
from mirror.records.contents import Completeness, ExportRow, HeldHistory
from mirror.records.passes import HeldRun
from mirror.records.runs import RunRecord, is_same_run

NOON = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
LOOK = plan.Look(since=NOON, overlap_from=NOON - 10 * MINUTE)
LEAST = -1.7976931348623157e308


def run(**changes: Any) -> RunRecord:
    """A run that ended."""
    nothing: dict[str, Any] = dict.fromkeys(RunRecord.__struct_fields__)
    made = RunRecord(**nothing | {"run_id": "r", "storage_id": "s", "tags": (), "fingerprint": "f"})
    return msgspec.structs.replace(made, **{"state": "finished", **changes})


def keys(last: float = 1.0, count: int = 20, *, step: int = 19) -> str:
    """A table of keys."""
    about = {"typeCounts": [{"type": "number", "count": count}, {"type": "nil", "count": 1}], "previousValue": last}
    return json.dumps({"keys": {"loss": about}, "lastStep": step, "sets": []})


def listed(parts: tuple[str, ...] = (), live: tuple[int, ...] = ()) -> ListedContents:
    """What a run contains."""
    none = ArtifactsPage(artifacts=(), total=0, after=None, has_more=False)
    return ListedContents(
        run_id="r", storage_id="s", files=(), files_after=None, has_more_files=False, file_count=0,
        export_urls=tuple(SignedUrl(f"https://h/{part}?sig=1") for part in parts), live_steps=live,
        has_live_rows=bool(live), events_line_count=0, log_line_count=0, logged=none, used=none,
    )  # fmt: skip


def holding(before: RunRecord, contents: ListedContents, **changes: Any) -> HeldHistory:
    """What is held after a run was read."""
    last = json.loads(before.history_keys_text or "{}").get("lastStep")
    facts = Completeness(
        last_step=last, history_line_count=before.history_line_count, rows_held=20, shared_rows=0, last_step_held=last,
        parts=len(contents.export_urls), tail_rows=len(contents.live_steps), complete=True, reason=None,
        keys_fingerprint=keys_fingerprint(before), parts_fingerprint=parts_fingerprint(contents.export_urls),
    )  # fmt: skip
    exports = tuple(ExportRow(object=str(url), size=1, rows=10, min_step=0, max_step=9) for url in contents.export_urls)
    steps = contents.live_steps
    return HeldHistory(
        exports=exports, tail_rows=len(steps), first_tail_step=min(steps, default=None),
        last_tail_step=max(steps, default=None), completeness=msgspec.structs.replace(facts, **changes),
    )  # fmt: skip


@given(minutes=st.lists(st.integers(-30, 5), max_size=12), size=st.integers(1, 4))
@settings(deadline=None, derandomize=True, database=None)
def test_a_listing_by_update_ends_behind_what_moved_and_never_before(minutes: list[int], size: int) -> None:
    moments = sorted((NOON + minute * MINUTE for minute in minutes), reverse=True)
    runs = [run(run_id=f"r{place}", updated_at=moment) for place, moment in enumerate(moments)]
    order, seen = plan.UpdateOrder(), 0
    for start in range(0, len(runs), size):
        page = runs[start : start + size]
        order, seen = order.after(page), seen + len(page)
        if order.ends(LOOK, page, frozenset()):
            break
    assert order.holds
    assert all(one.updated_at is not None and one.updated_at < NOON for one in runs[seen:])
    assert seen - size <= sum(moment >= NOON for moment in moments), "at most one page too many"


def test_the_overlap_is_read_on_as_long_as_it_holds_something_that_is_not_held() -> None:
    page = [run(run_id="late", updated_at=NOON - 2 * MINUTE)]
    order = plan.UpdateOrder().after(page)
    assert order.ends(LOOK, page, frozenset())
    assert not order.ends(LOOK, page, {"late"})
    older = [run(run_id="late", updated_at=NOON - 11 * MINUTE)]
    assert order.after(older).ends(LOOK, older, {"late"})


@pytest.mark.parametrize(
    "moments",
    [(NOON, NOON + MINUTE), (NOON, None), (None,), (NOON, NOON - MINUTE, NOON)],
    ids=["rises", "lacks one", "lacks all", "falls and rises"],
)
def test_what_does_not_fall_or_is_not_there_is_no_order(moments: tuple[dt.datetime | None, ...]) -> None:
    order = plan.UpdateOrder()
    for moment in moments:
        order = order.after([run(updated_at=moment)])
    assert not order.holds


def test_an_edit_that_a_look_should_have_seen_speaks_against_updates() -> None:
    held = HeldRun(fingerprint="old", gone=False, state="finished", updated="u")

    def speaks(
        updated: str, at: dt.datetime, *, by_update: bool, before: HeldRun | None = held, state: str = "finished"
    ) -> bool:
        listed = run(updated_at_text=updated, updated_at=at, state=state)
        return plan.speaks_against_updates(listed, before, watermark=NOON, by_update=by_update)

    early, late = NOON - MINUTE, NOON + MINUTE
    assert speaks("u", early, by_update=True)
    assert speaks("u", early, by_update=False)
    assert speaks("v", early, by_update=True), "it moved, and a look by it has not seen it"
    assert not speaks("v", early, by_update=False), "it moved, and no look went by it"
    assert not speaks("v", late, by_update=True)
    assert not speaks("u", early, by_update=True, before=None)
    assert not speaks("u", early, by_update=True, state="crashed"), "more than an edit"


def test_a_run_is_the_same_by_its_creation_and_its_storage_id() -> None:
    one = run(storage_id="s", created_at=NOON)
    assert is_same_run(one, storage_id="s", created_at=NOON)
    assert is_same_run(one, storage_id=None, created_at=None)
    assert not is_same_run(one, storage_id="t", created_at=NOON)
    assert not is_same_run(one, storage_id="s", created_at=NOON + MINUTE)


def test_a_fingerprint_of_keys_moves_with_values_and_not_with_order() -> None:
    first = json.loads(keys())
    shuffled = {"sets": [], "lastStep": 19, "keys": {"loss": dict(reversed(first["keys"]["loss"].items()))}}
    shuffled["keys"]["loss"]["typeCounts"].reverse()  # type: ignore[index]
    same = [run(history_keys_text=text) for text in (keys(), json.dumps(shuffled), json.dumps(keys()))]
    assert len({keys_fingerprint(one) for one in same}) == 1
    others = [
        run(history_keys_text=keys(last=2.0)), run(history_keys_text=keys(count=21)),
        run(history_keys_text=keys(step=20)), run(history_keys_text=keys(), history_line_count=3),
        run(history_keys_text=None), run(history_keys_text="nonsense"),
    ]  # fmt: skip
    assert keys_fingerprint(same[0]) not in {keys_fingerprint(one) for one in others}
    plain = json.dumps({"keys": {"loss": {"typeCounts": []}}, "lastStep": 1})
    summaries = ('{"loss": 1, "_runtime": 5}', '{"loss": 1, "_runtime": 6, "note": 3}', '{"loss": NaN}')
    marks = [keys_fingerprint(run(history_keys_text=plain, summary_text=text)) for text in summaries]
    assert (marks[0] == marks[1], marks[0] == marks[2]) == (True, False)


def test_names_of_parts_count_without_host_signature_and_order() -> None:
    urls = [SignedUrl("https://a/x/1?sig=1"), SignedUrl("https://a/x/2?sig=1")]
    again = [SignedUrl("https://b/x/2?sig=2"), SignedUrl("https://b/x/1?sig=2")]
    assert parts_fingerprint(urls) == parts_fingerprint(again) != parts_fingerprint(urls[:1])


@pytest.mark.parametrize(
    ("row", "against"),
    [
        ('{"_step": 4, "a": 1}', False), ('{"_step": 4.0, "a": 1.0, "b": 2}', False), ('{"_step": 4, "a": 2}', True),
        ('{"_step": 4}', True), (None, True), ('{"_step": 4, "a": NaN}', True), ("[]", True),
    ],
)  # fmt: skip
def test_a_row_that_only_grew_contradicts_nothing(row: str | None, against: bool) -> None:
    assert contradicts('{"_step": 4, "a": 1}', [] if row is None else [row]) is against
    assert not contradicts(None, [] if row is None else [row])
    assert not contradicts('{"_step": 4, "a": NaN}', ['{"_step": 4, "a": NaN}'])


def planned(before: RunRecord, now: RunRecord, contents: ListedContents, **options: Any) -> HistoryPlan | None:
    """What to do about a run that gave no other sign."""
    return plan_history(now, contents, holding(before, contents), **{"touched": False, "again": False, **options})


WHOLE_EXPORT = HistoryPlan(exports=True, rows_from=None, rows_to=20, replaces_tail=True)


def test_an_ended_history_is_read_whole_when_its_values_moved_and_not_when_it_was_edited() -> None:
    before = run(history_keys_text=keys(), history_line_count=20)
    contents = listed(parts=("a", "b"))
    assert planned(before, run(history_keys_text=keys(), history_line_count=20, notes="n"), contents) is None
    moved = run(history_keys_text=keys(last=LEAST), history_line_count=20)
    assert planned(before, moved, contents) == WHOLE_EXPORT
    assert planned(before, moved, contents, changed=False) is None
    renamed = listed(parts=("a", "c"))
    held = holding(before, contents)
    assert plan_history(before, renamed, held, touched=False, again=False) == WHOLE_EXPORT
    untold = holding(before, contents, parts_fingerprint="-")
    assert plan_history(before, renamed, untold, touched=False, again=False) is None


def test_what_an_older_mirror_held_is_noted_once_and_not_read_again() -> None:
    before, contents = run(history_keys_text=keys(), history_line_count=20), listed(parts=("a",))
    held = holding(before, contents, keys_fingerprint=None, parts_fingerprint=None)
    assert plan_history(before, contents, held, touched=False, again=False) == HistoryPlan(
        exports=False, rows_from=None, rows_to=20, replaces_tail=False
    )


@pytest.mark.parametrize(
    ("now", "count", "whole"),
    [
        (keys(last=2.0), 20, True),
        (keys(last=2.0, count=25, step=24), 25, False),
        (keys(last=2.0, step=24), 20, True),
        (keys(last=2.0, count=18, step=24), 18, True),
        (keys(last=2.0, count=4, step=3), 4, True),
        (keys(last=2.0, count=25, step=24), None, False),
    ],
    ids=["same length", "grew", "no row more", "fewer rows", "rewound", "grew, not counted"],
)
def test_a_history_that_goes_on_is_read_whole_when_new_rows_alone_cannot_explain_it(
    now: str, count: int | None, whole: bool
) -> None:
    before, contents = run(history_keys_text=keys(), history_line_count=20, state="running"), listed(live=(18, 19))
    found = planned(before, run(history_keys_text=now, history_line_count=count, state="running"), contents)
    assert found is not None
    assert (found.rows_from, found.replaces_tail) == ((0, True) if whole else (19, False))
