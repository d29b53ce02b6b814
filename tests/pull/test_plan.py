"""The rules of a pull, as functions of values."""

from __future__ import annotations

import datetime as dt
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror.pull import plan
from mirror.pull.listing.budget import PAGE_CHARACTERS, PageSize
from mirror.records.passes import SourceState
from mirror.texts.values import DEEPEST, document_json, parse_lenient, storable

NOON = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def chosen(state: SourceState, *, force_walk: bool = False, wanted: str = "all") -> plan.Walk | plan.Look:
    return plan.choose_pass(state, now=NOON, overlap=HOUR, walk_every=24 * HOUR, force_walk=force_walk, wanted=wanted)


def test_the_first_pass_is_a_walk_and_the_next_a_look_until_a_day_has_gone() -> None:
    assert chosen(SourceState()) == plan.Walk(resume_at=None, started_at=None)
    fresh = SourceState(watermark=NOON - HOUR, last_walk_at=NOON - HOUR)
    assert chosen(fresh) == plan.Look(since=NOON - HOUR, overlap_from=NOON - 2 * HOUR)
    assert isinstance(chosen(SourceState(watermark=NOON, last_walk_at=NOON - 24 * HOUR)), plan.Walk)


def test_a_walk_that_was_cut_off_goes_on_unless_a_person_asks_for_a_whole_one() -> None:
    cut = SourceState(watermark=NOON, last_walk_at=NOON, walk_started_at=NOON, walk_through="2024")
    assert chosen(cut) == plan.Walk(resume_at="2024", started_at=NOON)
    assert chosen(cut, force_walk=True) == plan.Walk(resume_at=None, started_at=None)


def test_every_run_is_looked_at_again_when_another_part_of_runs_is_wanted() -> None:
    held = SourceState(watermark=NOON, last_walk_at=NOON, wanted="all")
    assert isinstance(chosen(held), plan.Look)
    assert chosen(held, wanted="histories") == plan.Walk(resume_at=None, started_at=None)
    cut = msgspec.structs.replace(held, walk_started_at=NOON, walk_through="2024")
    assert chosen(cut) == plan.Walk(resume_at="2024", started_at=NOON)
    assert chosen(cut, wanted="histories") == plan.Walk(resume_at=None, started_at=None)


@pytest.mark.parametrize(
    ("marked", "held", "allowed"),
    [(0, 0, True), (0, 9, True), (1, 1, False), (9, 10, True), (10, 10, False), (10, 1000, True), (200, 1000, True),
     (201, 1000, False), (11, 50, False)],
)  # fmt: skip
def test_a_handful_or_a_fifth_may_be_gone_and_never_everything(marked: int, held: int, allowed: bool) -> None:
    assert plan.may_be_gone(marked, held, 0.2) is allowed


@given(
    times=st.lists(st.integers(0, 20), max_size=30).map(sorted),
    size=st.integers(1, 7),
    held=st.lists(st.integers(0, 20), max_size=10),
)
@settings(deadline=None, derandomize=True, database=None)
def test_the_windows_of_a_walk_find_every_run_that_was_not_listed_and_no_other(
    times: list[int], size: int, held: list[int]
) -> None:
    def at(second: int) -> dt.datetime:
        return NOON + dt.timedelta(seconds=second)

    listed = [(f"listed-{place}", at(second)) for place, second in enumerate(times)]
    everything = [*listed, *((f"gone-{place}", at(second)) for place, second in enumerate(held))]
    pages = [listed[start : start + size] for start in range(0, len(listed), size)] or [[]]
    carry = plan.WindowCarry(start=None, listed=frozenset())
    missing: list[str] = []
    for number, page in enumerate(pages, start=1):
        window, carry = plan.next_window(carry, page, last=number == len(pages))
        if window is not None:
            inside = [
                name
                for name, moment in everything
                if (window.start is None or moment >= window.start) and (window.end is None or moment < window.end)
            ]
            missing += plan.missing_from(window, inside)
    assert sorted(missing) == sorted(f"gone-{place}" for place in range(len(held)))


@given(limit=st.integers(1, 1000), start=st.integers(1, 1000))
@settings(deadline=None, derandomize=True, database=None)
def test_page_sizes_close_in_on_a_limit_in_few_failures_and_stay_useful(limit: int, start: int) -> None:
    size, failures = PageSize.starting(start, 1000), 0
    for _ in range(60):
        asked = size.runs
        if asked > limit:
            size, failures = size.after_failure(asked=asked), failures + 1
        else:
            size = size.after_success(asked=asked, listed=asked, more=True, characters=0, seconds=0, target_s=8)
    assert failures <= 14
    assert limit // 2 <= size.runs <= limit


def test_large_documents_shrink_the_next_page_at_once() -> None:
    size = PageSize.starting(100, 1000)
    after = size.after_success(
        asked=100, listed=100, more=True, characters=100 * PAGE_CHARACTERS, seconds=0.1, target_s=8
    )
    assert after.runs == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(value=JSON.filter(lambda value: value is not None))
@settings(deadline=None, derandomize=True, database=None)
def test_a_document_of_plain_json_survives_unchanged(value: object) -> None:

    text = document_json(json.dumps(value))
    assert parse_lenient(text) == json.loads(json.dumps(value))


@pytest.mark.parametrize("depth", [DEEPEST + 1, 10_000, 300_000])
def test_depth_never_ends_in_a_recursion_error(depth: int) -> None:
    assert document_json("[" * depth + "]" * depth) is None
    assert document_json('{"a":' * depth + "NaN" + "}" * depth) is None


def test_wide_documents_are_not_taken_for_deep_ones() -> None:
    assert document_json("[" + ",".join(["[]"] * 1000) + "]") is not None


@given(text=st.text())
@settings(deadline=None, derandomize=True, database=None)
def test_whatever_is_stored_is_valid_utf_8_without_nul(text: str) -> None:
    assert "\0" not in storable(text)
    storable(text).encode()
    assert storable("a\ud800\0b") == "a\ufffd␀b"
